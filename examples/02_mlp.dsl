# Lesson 2: a network of two layers, and a loss that is written out.
#
#   ectc examples/02_mlp.dsl -o plan -D hidden=128
#   ect-rt train plan --steps 500 --out run

import std.nn, std.optim

config res = 8, batch = 64, hidden = 64

# Blocks have two lists of parameters: what is known when compiling, then the tensors. C is not declared anywhere, so it takes the size it finds.
block Mlp(width: int, classes: int)(x: [n, c:C]) -> [n, c:classes] {
  use first = Linear(C, width), second = Linear(width, classes)
  return second(silu(first(x)))
}

use net = Mlp(hidden, 3)                   # parameters net.first.weight, net.first.bias, net.second.weight, net.second.bias

# `rearrange` merges three axes into one.
fn flat(x) = rearrange(x: [n, c, h, w] -> [n, c:(c h w)])

# Cross-entropy: log sum exp(score) - score of the right class. Taking the largest score off first keeps exp in range; no gradient passes through it.
loss cross_entropy(x: [n, c:3, h:res, w:res], truth: [n, c:3]) -> [n] {
  let score = net(flat(x))
  let shifted = score - stop(max[c](score))
  return log(sum[c](exp(shifted))) - sum[c](shifted * truth)
}

train(images: [n:batch, c:3, h:res, w:res], labels: [n, c:3]) {
  minimize mean[n](cross_entropy(images, labels))
  optimizer Adam(1e-3, 0.9, 0.999)
}

program classify(x: [n:1, c:3, h:res, w:res]) -> p = softmax[c](net(flat(x)))
