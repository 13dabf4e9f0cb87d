# Lesson 5: run-time scalars. Schedules for the learning rate and the loss, and averages of the weights.
#
#   ectc examples/05_schedules.dsl -o plan
#   ect-rt train plan --steps 500 --out run --set peak=3e-3 --set 'mix=0.5'

import std.nn, std.optim

config res = 8, batch = 64

use net = Linear(3 * res * res, 3)

# A `runtime` value is an expression over numbers, other run-time scalars, `step` (1 in the first update) and `seen` (images before it). It is
# computed on the host in double precision, once a step. --set replaces the expression; nothing is compiled again.
runtime peak: real = 2e-3, warm: real = 64 * 20, flat: real = 64 * 200
runtime lr: real = peak * warm_up(warm) * inverse_sqrt(flat)          # functions of std.optim
runtime stage: int = floor(step / 100)
runtime mix: real = if stage < 1 { 0 } else { min(1, 0.25 * stage) }  # `if` between scalars is decided at run time

# Between squared error and cross-entropy, more of the latter in each stage.
loss mixed(x: [n, c:3, h:res, w:res], truth: [n, c:3]) -> [n] {
  let s = net(rearrange(x: [n, c, h, w] -> [n, c:(c h w)]))
  let squared = sum[c]((s - truth)^2)
  let cross = log(sum[c](exp(s))) - sum[c](s * truth)
  return (1 - mix) * squared + mix * cross
}

train(images: [n:batch, c:3, h:res, w:res], labels: [n, c:3]) {
  minimize mean[n](mixed(images, labels))
  optimizer Adam(lr, 0.9, 0.999)
  ema as "slow" = Ema(0.99)                # several averages of the weights are kept at once
  ema as "power" = PowerEma(0.1)           # its width grows with training
}

# `net@slow` is the network with that average's weights.
program classify(x: [n:1, c:3, h:res, w:res]) -> p = softmax[c](net@slow(rearrange(x: [n, c, h, w] -> [n, c:(c h w)])))
