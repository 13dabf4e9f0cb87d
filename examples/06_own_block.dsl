# Lesson 6: an own block, and an own optimizer, in a model that draws pictures: diffusion in the preconditioning of EDM.
#
#   ectc examples/06_own_block.dsl -o plan
#   ect-rt train plan --steps 1500 --out run
#   ect-rt sample plan --weights run --mid 20 --mid 8 --mid 3 --mid 1.2 --mid 0.5 --mid 0.2 --mid 0.08 -o grid.png

import std.nn

config res = 8, colors = 3, batch = 32, width = 24, depth = 2

stream time, noise, again

# Gated residual: the second half of the channels decides how much of the first half passes. The last layer starts at 0, so the block starts as
# the identity.
block Gated(ch: int, E: int)(x: [n, c:ch, h, w], e: [n, c:E]) -> [n, c:ch, h, w] {
  use norm = GroupNorm(ch), spread = Conv(ch, 2 * ch), told = Linear(E, 2 * ch), back = Conv(ch, ch, init = zeros())
  let v = spread(silu(norm(x))) + told(e)
  let halves = rearrange(v: [n, c:(half:2 c), h, w] -> [n, half, c, h, w])
  return x + back(halves[half = 0] * sigmoid(halves[half = 1]))
}

block Net(ch: int)(x: [n, c:C, h, w], t: [n]) -> [n, c:C, h, w] {
  let f = 100 ^ (-iota[c: ch] / ch)
  let e = concat[c](sin(t * f), cos(t * f))
  use into = Conv(C, ch), pooled = Attention(ch), out = Conv(ch, C)
  var v = into(x), skips = []
  for i in 0..depth {
    use b as "down{i}" = Gated(ch, 2 * ch)
    v = b(v, e)
    skips = skips + [v]                    # a list of tensors; it is gone before the graph exists
    v = down2(v)
  }
  v = v + pooled(v)
  for i in reversed(0..depth) {
    v = up2(v) + skips[i]
    use b as "up{i}" = Gated(ch, 2 * ch)
    v = b(v, e)
  }
  return out(silu(v))
}

block Denoiser()(x: [n, c:colors, h:res, w:res], sigma: [n]) -> [n, c, h, w] {
  use net = Net(width)
  let s = sqrt(sigma^2 + 0.25)
  return 0.25 / s^2 * x + 0.5 * sigma / s * net(x / s, log(sigma) / 4)
}

use D as "" = Denoiser()                   # no level of its own: the parameters are net.into.weight and so on

loss diffusion(y: [n, c:colors, h:res, w:res]) -> [n] {
  let t = exp(1.2 * normal[n: y.n] from time - 1.2)
  report sigma = t
  return mean[c,h,w]((D(y + t * normal like y from noise, t) - y)^2) * (t^2 + 0.25) / (0.5 * t)^2
}

# Element by element over all parameters; `:=` sets the next step's state. Momentum, divided by how large the gradients lately were.
optimizer Scaled(rate, b1, b2, eps: real = 1e-4) for p, g {
  state m = 0, size = 0
  m := b1 * m + (1 - b1) * g
  size := b2 * size + (1 - b2) * g^2
  p := p - rate * m / (sqrt(size) + eps)
}
ema Mean(beta) for p { state e = p;  e := beta * e + (1 - beta) * p }

runtime rate: real = 2e-3 * min(1, step / 50)

train(images: [n:batch, c:colors, h:res, w:res]) {
  minimize mean[n](diffusion(images))
  optimizer Scaled(rate, 0.9, 0.99)
  ema as "ema" = Mean(0.995)
}

# From noise to picture in the levels that --mid gives: clean, add less noise, clean again.
sample(z: [n:batch, c:colors, h:res, w:res], mid: times = []) -> images {
  var x = D@ema(80 * z, 80)
  each t in mid { x = D@ema(x + t * normal like x from again, t) }
  return x
}
