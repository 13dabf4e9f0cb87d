# Under a mask both sides of a comparison are literals: C's, unless one is a number of the kernel's type.
import std.optim
block Net()(x: [n:2, c:4, h:4, w:4]) -> [n:2, c:4, h:4, w:4, a:3] {
  let v2 = window(x; n by a:3; pad = 1)
  let v3 = where(!(v2 > 0.25) && v2 > -0.75, v2, 0.5 * sin(v2))
  param p0: [a:3] = uniform(-0.5, 0.5)
  let v4 = v3 * p0
  return v4
}
use net = Net()
loss l(x: [n:2, c:4, h:4, w:4]) -> [n:2] {
  let y = net(x)
  return mean[c,h,w,a]((y - 0.3)^2) + mean[c,h,w](x^2)
}
train(x: [n:2, c:4, h:4, w:4]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:2, c:4, h:4, w:4]) -> y = net(x)
