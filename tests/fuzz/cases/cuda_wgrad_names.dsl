# The first thing that a weight gradient's prologue reads is a parameter, w0: so was the first column of a chunk called. The CUDA text did not compile.
import std.optim
block Net()(x: [n:4, c:16, h:8, w:16]) -> [n:4, a:16, h:8, w:16] {
  param scale: [w:16] = uniform(0.5, 1.5)
  param weight: [a:16, c:16, kh:3, kw:3] = uniform(-0.2, 0.2)
  return sum[c,kh,kw](weight * window(tanh(scale * x); h by kh:3, w by kw:3; pad = 1))
}
use net = Net()
loss l(x: [n:4, c:16, h:8, w:16]) -> [n:4] { return mean[a,h,w]((net(x) - 0.3)^2) }
train(x: [n:4, c:16, h:8, w:16]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:4, c:16, h:8, w:16]) -> y = net(x)
