# A sum of everything and sums over each row, of the same large tensor: they went into one pass, where each row stored its own sum as that of everything.
import std.optim
block Net()(x: [c:32, h:12, n:200]) -> [c:32, h:12, n:200] {
  param scale: [c:32, h:12] = uniform(0.5, 1.5)
  param shift: [c:32, h:12] = uniform(-0.5, 0.5)
  return standardize[n](tanh(x), 0.1) * scale + shift
}
use net = Net()
loss l(x: [c:32, h:12, n:200]) -> [n:200] {
  let y = net(x)
  report level = mean[c,h,n](sin(y))
  return mean[c,h,n](y * tanh(y)) + mean[c,h](x^2)
}
train(x: [c:32, h:12, n:200]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [c:32, h:12, n:200]) -> y = net(x)
