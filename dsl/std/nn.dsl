# Layers: initialisers, linear, convolution, normalisation, resampling, dropout, attention.
stream drop

# Bounds by fan-in and fan-out; `gain` scales them.
fn xavier_uniform(gain: real = 1) = fn(fan_in, fan_out) = uniform(-gain * sqrt(6 / (fan_in + fan_out)), gain * sqrt(6 / (fan_in + fan_out)))
fn xavier_normal(gain: real = 1) = fn(fan_in, fan_out) = normal(0, gain * sqrt(2 / (fan_in + fan_out)))
fn zeros() = fn(fan_in, fan_out) = 0

block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
  param weight: [o:cout, i:cin] = init(cin, cout)
  let y = sum[i](x[c as i] * weight)[o as c]
  if !biased { return y }
  param bias: [c:cout] = 0
  return y + bias
}

block Conv(cin: int, cout: int, k: int = 3, init = xavier_uniform())(x: [n, c:cin, h, w]) -> [n, c:cout, h, w] {
  param weight: [o:cout, i:cin, kh:k, kw:k] = init(cin*k*k, cout*k*k)
  param bias: [c:cout] = 0
  return sum[i,kh,kw](weight * window(x[c as i]; h by kh:k, w by kw:k; pad = k//2))[o as c] + bias
}

fn down2(x: [n, c, h, w]) = mean[dh,dw](rearrange(x: [n, c, h:(h dh:2), w:(w dw:2)] -> [n, c, h, w, dh, dw]))
fn up2(x: [n, c, h, w]) = repeat(x; h by 2, w by 2)

fn relu(x) = max(0, x)
fn silu(x) = x * sigmoid(x)
fn gelu(x) = x * (1 + erf(x / sqrt(2))) / 2

# Zeroes each unit with probability p while training, and scales the others up.
fn drop_units(x, p: real) = if training && p > 0 { where(bernoulli(1 - p) like x from drop, x / (1 - p), 0) } else { x }

block GroupNorm(C: int, groups: int = min(32, C//4), eps: real = 1e-6)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  param weight: [c:C] = 1
  param bias: [c:C] = 0
  let g = rearrange(x: [n, c:(g:groups d), h, w] -> [n, g, d, h, w])
  let y = standardize[d,h,w](g, eps)                       # (g - mean) / sqrt(var + eps); has a gradient rule of its own
  return rearrange(y: [n, g, d, h, w] -> [n, c:(g d), h, w]) * weight + bias
}

# Every pixel looks at every other.
block Attention(C: int, heads: int = 1)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  use qkv = Conv(C, 3*C, k = 1, init = xavier_uniform(sqrt(0.2)))
  use proj = Conv(C, C, k = 1, init = xavier_uniform(1e-5))
  let t = rearrange(qkv(x): [n, c:(head:heads d three:3), h, w] -> [n, head, d, three, px:(h w)])
  let q = t[three = 0], k = t[three = 1][px as key], v = t[three = 2][px as key]
  let s = softmax[key](sum[d](q * k) / sqrt(q.d))
  let a = sum[key](s * v)
  return proj(rearrange(a: [n, head, d, px:(h:x.h w:x.w)] -> [n, c:(head d), h, w]))
}
