# Axes with the names that CUDA kernels use: c of a batch of products, windows on k, vectors along x and y, a column d of rows that are reduced.
import std.optim
block Net()(x: [n:4, c:3, h:8, w:32], t: [n:4]) -> [n:4, c:3, slot:16] {
  param p0: [c:3, w:32, deep:16] = uniform(-0.5, 0.5)
  let v0 = sum[w](p0 * x)
  param p1: [slot:16, c:3, tap:3] = uniform(-0.5, 0.5)
  let v1 = sum[c,tap](p1 * window(x[w as k]; k by tap:3; pad = 1))
  param p2: [x:32, q:16] = uniform(-0.5, 0.5)
  let v2 = sum[x](p2 * x[w as x])
  param p3: [y:16, d:16] = uniform(-0.5, 0.5)
  let v3 = softmax[d](sum[y](p3 * v2[q as y]))
  let v4 = mean[h,d](v3) + mean[h,deep](v0)
  return v4 + mean[h,k](v1) * sin(t)
}
use net = Net()
loss l(x: [n:4, c:3, h:8, w:32], t: [n:4]) -> [n:4] {
  let y = net(x, t)
  return mean[c,slot]((y - 0.3)^2) + mean[c,h,w](x^2)
}
train(x: [n:4, c:3, h:8, w:32], t: [n:4]) {
  minimize mean[n](l(x, t))
  optimizer Adam(0.01, 0.9, 0.99, 1e-2)
}
program f(x: [n:4, c:3, h:8, w:32], t: [n:4]) -> y = net(x, t)
