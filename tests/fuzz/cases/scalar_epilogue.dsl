# An epilogue that ends in a scalar which the epilogue of another reduction reads: fuse took the mark `held` from it.
import std.optim
stream mask
block Block1()(x: [n:2]) -> [] {
  let v1 = sin(x * (iota[a: 3] + 1) / 2)
  let v2 = log(1 + x^2)
  let v3 = x[n = 0] - 0.5 * x[n = 1]
  let v4 = v3 + 0.5 * 2 * mean[n](v2) + 0.4 * 3 * mean[n,a](v1)
  return v4
}
block Net()(t: [n:2]) -> [] {
  use b1 = Block1()
  let v2 = bernoulli(0.5) like t from mask
  let v5 = b1(v2)
  let v6 = tanh(v5)
  param p0: [] = uniform(-0.5, 0.5)
  let v7 = v6 * p0
  return v7
}
use net = Net()
loss l(x: [n:2, c:6, h:7], t: [n:2]) -> [n:2] {
  let y = net(t)
  report level = (sin(y))
  return (y * tanh(y)) + mean[c,h](x^2)
}
train(x: [n:2, c:6, h:7], t: [n:2]) {
  minimize mean[n](l(x, t))
  optimizer Radam(0.02, 0.9, 0.99)
  ema Ema(0.9)
}
program f(t: [n:2]) -> y = net(t)
