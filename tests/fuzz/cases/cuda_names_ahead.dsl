# Axes with the names of what CUDA kernels fetch ahead with: stages that a function fills, the turn that is next. A text did not compile.
import std.optim
block Net()(x: [n:4, a_to:32, next:8, own:8]) -> [n:4, a_to:32, next:8, own:8] {
  param weight: [bring:32, a_to:32, ahead:3, staging:3] = uniform(-0.1, 0.1)
  param pixel: [b_to:32, a_to:32] = uniform(-0.1, 0.1)
  let y = max(0, sum[a_to,ahead,staging](weight * window(x; next by ahead:3, own by staging:3; pad = 1))[bring as a_to])
  let z = max(0, sum[a_to](pixel * max(0, y))[b_to as a_to])
  return sum[a_to](pixel * z)[b_to as a_to] + x
}
use net = Net()
loss l(x: [n:4, a_to:32, next:8, own:8]) -> [n:4] { return mean[a_to,next,own]((net(x) - 0.3)^2) }
train(x: [n:4, a_to:32, next:8, own:8]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:4, a_to:32, next:8, own:8]) -> y = net(x)
