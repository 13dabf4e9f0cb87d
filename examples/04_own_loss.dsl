# Lesson 4: an own loss with random numbers in it. A network learns to take noise off pictures.
#
#   ectc examples/04_own_loss.dsl -o plan
#   ect-rt train plan --steps 300 --out run

import std.nn, std.optim

config res = 16, batch = 32, width = 24

# Random numbers come from declared streams. A draw depends on seed, stream, place in the model, step, image and element, and on nothing else:
# the same from every device, whatever the batch is split into.
stream level, noise

block Clean(ch: int)(x: [n, c:C, h, w], t: [n]) -> [n, c:C, h, w] {
  use into = Conv(C, ch), time = Linear(4, ch), norm = GroupNorm(ch), middle = Conv(ch, ch), out = Conv(ch, C)
  let told = time(sin(log(t) * (1 + iota[c: 4])))             # [n] times [c:4] is [n, c:4]: sines of log t, 2 log t, ...
  let v = into(x) + told                                      # [n, c, h, w] + [n, c]: joined by name
  return x + out(silu(middle(silu(norm(v)))))
}

use clean = Clean(width)

runtime spread: real = 1, huber: real = 0.03, heavy: real = 0.5

# Pseudo-Huber distance: squared near 0, straight far out. Noisier pictures count less, and above `heavy` not at all: `rows` computes
# the network only where its condition holds.
loss denoising(y: [n, c:3, h:res, w:res]) -> [n] {
  let t = exp(spread * normal[n: y.n] from level - 1)
  let noisy = y + t * normal like y from noise
  let guess = rows t < heavy { clean(noisy, t) } else { y }
  report sigma = t                                            # metrics.jsonl shows the loss by noise level
  return (sqrt(sum[c,h,w]((guess - y)^2) + huber^2) - huber) / (1 + t)
}

train(images: [n:batch, c:3, h:res, w:res]) {
  minimize mean[n](denoising(images))
  gradient fn(g) = nan_to_num(g, nan = 0, inf = 1)            # before the optimizer sees them
  optimizer Adam(2e-3, 0.9, 0.99)
}

program denoise(x: [n:batch, c:3, h:res, w:res], t: [n]) -> y = clean(x, t)
