# gcc 12 at -O3 made masked loads of the arms of `where`, in a small nest with wrong masks; arms are loaded first now.
import std.optim
block Net()(x: [n:2, c:4, h:4, w:4]) -> [n:2, c:4, h:4, w:4] {
  let v2 = where(x > 0, x, 0.5 * sin(x))
  param p0: [w:4] = uniform(-0.5, 0.5)
  let v3 = v2 * p0
  return v3
}
use net = Net()
loss l(x: [n:2, c:4, h:4, w:4]) -> [n:2] {
  let y = net(x)
  return mean[c,h,w]((y - 0.3)^2) + mean[c,h,w](x^2)
}
train(x: [n:2, c:4, h:4, w:4]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:2, c:4, h:4, w:4]) -> y = net(x)
