# Lesson 1: linear regression. Which shape is in the picture? The smallest model that trains.
#
#   ectc examples/01_linear_regression.dsl -o plan
#   ect-rt train plan --steps 500 --out run
#
# `ect-rt train` feeds the inputs of `train` that are called images and labels; without --data they are drawn circles, squares and triangles.

import std.optim

config res = 8, batch = 64                 # `ectc -D batch=32` compiles for another size

# A tensor type names its axes: images has n, c, h and w. The result of `*` has the axes of both sides; `sum` names those it removes.
block Line(classes: int)(x: [n, c:C, h:H, w:W]) -> [n, k:classes] {
  param weight: [k:classes, c:C, h:H, w:W] = 0
  param bias: [k:classes] = 0
  return sum[c,h,w](x * weight) + bias
}

use line = Line(3)                         # one instance: its parameters are line.weight and line.bias

runtime lr: real = 0.002                   # `ect-rt train plan --set lr=0.001`: no new compilation

# A loss gives one number for each image. The labels are 1 for the right class and 0 elsewhere.
loss squared(x: [n, c:3, h:res, w:res], truth: [n, c:3]) -> [n] {
  return sum[k]((line(x) - truth[c as k])^2)
}

train(images: [n:batch, c:3, h:res, w:res], labels: [n, c:3]) {
  minimize mean[n](squared(images, labels))
  optimizer Sgd(lr)
}

program guess(x: [n:1, c:3, h:res, w:res]) -> y = line(x)
