# Both operands of a product are made of one tensor, and the loads of both begin a turn ahead. A text did not compile in bf16: a variable was declared twice.
import std.optim
block Net()(x: [n:2, px:128, f:32]) -> [n:2, px:128, key:128] {
  param weight: [f:32, o:64] = uniform(-0.2, 0.2)
  let t = sum[f](weight * x)
  let q = max(0.1, t[o = 0:32]), k = max(-0.1, t[o = 32:64])[px as key]
  return sum[o](q * k)
}
use net = Net()
loss l(x: [n:2, px:128, f:32]) -> [n:2] { return mean[px,key]((net(x) - 0.3)^2) }
train(x: [n:2, px:128, f:32]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:2, px:128, f:32]) -> y = net(x)
