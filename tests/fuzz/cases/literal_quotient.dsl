# The gradient of a hinge is one of two literals, divided by a third: C's numbers, unless they are marked as numbers of the kernel's type.
import std.optim
block Scale()(x: [n:2, c:9]) -> [n:2, c:9] {
  param s: [c:9] = 1
  return x * s
}
use scale = Scale()
loss l(y: [n:2, c:9]) -> [n:2] { return 0.1 * max(0, mean[c](abs(scale(y) - 0.5 * y)) - 0.2) }
train(x: [n:2, c:9]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.1)
}
