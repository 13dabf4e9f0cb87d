# Lesson 7: three blocks of other networks, written here from nothing. Each says what it computes; none is known to the compiler.
#
#   ectc examples/07_gated_blocks.dsl -o plan
#   ect-rt train plan --steps 300 --out run
#   ectc explain examples/07_gated_blocks.dsl --fusion net.mixer
#
# The last command tells which kernels a block became, and what each tensor between them costs (docs/fusion.md goes through it).

import std.nn, std.optim

config res = 16, batch = 32, width = 32, heads = 2

# The mean and spread of each pixel's channels, not of an image.
block LayerNorm(C: int)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  param weight: [c:C] = 1
  param bias: [c:C] = 0
  return standardize[c](x, 1e-5) * weight + bias
}

# A convolution of each channel by itself: `c` is in both factors and is not summed over.
block Depthwise(C: int, k: int)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  param weight: [c:C, kh:k, kw:k] = uniform(-1 / k, 1 / k)
  return sum[kh,kw](weight * window(x; h by kh:k, w by kw:k; pad = k // 2))
}

# (a) Neighbours are mixed channel by channel, then channels pixel by pixel; a gate, one number for each channel, says how much of it is added.
block Mixer(C: int)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  use spread = Conv(C, C, k = 1), norm = LayerNorm(C), mix = Depthwise(C, 5), back = Conv(C, C, k = 1)
  param gate: [c:C] = 0.5
  return x + tanh(gate) * back(mix(gelu(norm(spread(x)))))
}

# (b) Each pixel goes through a small network: one half of the hidden channels decides how much of the other passes.
block Rms(C: int)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  param weight: [c:C] = 1
  return x / sqrt(mean[c](x^2) + 1e-6) * weight
}

block GatedMlp(C: int, hidden: int)(x: [n, c:C, h, w]) -> [n, c:C, h, w] {
  use norm = Rms(C), up = Conv(C, hidden, k = 1), gate = Conv(C, hidden, k = 1), down = Conv(hidden, C, k = 1)
  param scale: [c:C] = 0.1  # layer scale: the block starts close to the identity
  let y = norm(x)
  return x + scale * down(silu(gate(y)) * up(y))
}

# (c) A convolution with stride 2 (every second window), and channels that are turned up or down by what the whole picture holds.
block Halve(cin: int, cout: int)(x: [n, c:cin, h:H, w:W]) -> [n, c:cout, h:H//2, w:W//2] {
  param weight: [o:cout, i:cin, kh:3, kw:3] = xavier_uniform()(cin * 9, cout * 9)
  return sum[i,kh,kw](weight * window(x[c as i]; h by kh:3, w by kw:3; pad = 1, stride = 2))[o as c]
}

block Squeeze(cin: int, C: int)(x: [n, c:cin, h:H, w:W]) -> [n, c:C, h:H//2, w:W//2] {
  use halve = Halve(cin, C), norm = GroupNorm(C), less = Linear(C, C // 4), more = Linear(C // 4, C)
  let y = silu(norm(halve(x)))
  return y * sigmoid(more(silu(less(mean[h,w](y)))))
}

block Net(ch: int)(x: [n, c:C, h, w]) -> [n, c, h, w] {
  use into = Conv(C, ch), mixer = Mixer(ch), mlp = GatedMlp(ch, 2 * ch), squeeze = Squeeze(ch, 2 * ch),
      look = Attention(2 * ch, heads)
  let y = squeeze(mlp(mixer(into(x))))
  return y + look(y)
}

use net = Net(width), head = Linear(2 * width, 3)

fn scores(x) = head(mean[h,w](net(x)))

loss cross_entropy(x: [n, c:3, h:res, w:res], truth: [n, c:3]) -> [n] {
  let s = scores(x)
  let shifted = s - stop(max[c](s))
  return log(sum[c](exp(shifted))) - sum[c](shifted * truth)
}

train(images: [n:batch, c:3, h:res, w:res], labels: [n, c:3]) {
  minimize mean[n](cross_entropy(images, labels))
  optimizer Adam(2e-3, 0.9, 0.999)
}

program classify(x: [n:1, c:3, h:res, w:res]) -> p = softmax[c](scores(x))
