# Statistics of pieces of the last axes but one, and the last: two sums of a large tensor went into a pass of whole rows, whose kernel did not compile.
import std.optim
block Net()(x: [n:8, c:64, h:8, w:12]) -> [n:8, c:64, h:8, w:12] {
  param scale: [h:8] = uniform(0.5, 1.5)
  let y = standardize[b,w](rearrange(x: [n, c, h:(a:4 b), w] -> [n, c, a, b, w]), 0.1)
  return rearrange(y: [n, c, a, b, w] -> [n, c, h:(a b), w]) * scale
}
use net = Net()
loss l(x: [n:8, c:64, h:8, w:12]) -> [n:8] { return mean[c,h,w](net(x) * tanh(net(x))) }
train(x: [n:8, c:64, h:8, w:12]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:8, c:64, h:8, w:12]) -> y = net(x)
