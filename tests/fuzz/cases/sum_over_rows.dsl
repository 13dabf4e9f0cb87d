# A sum over rows, read by a sum over each row's columns: it is complete when all rows are there, so the two are not of one kernel.
import std.optim
block Lines(i: int, o: int)(x: [n, px, c:i]) -> [n, c:o] {
  param weight: [o:o, i:i] = normal(0, 0.3)
  let y = sum[i](weight * x[c as i])[o as c]
  let m = mean[c](y)
  let z = y - m
  return sum[px](z / sqrt(mean[c](z^2) + 0.1) + y)
}
use lines = Lines(8, 256)
fn pixels(x) = rearrange(x: [n, c, h, w] -> [n, px:(h w), c])
program row_sums(x: [n:2, c:8, h:8, w:8]) -> y = lines(pixels(x))
loss far(x: [n, c:8, h:8, w:8]) -> [n] { return 0.01 * sum[c](lines(pixels(x))^2) }
train(images: [n:2, c:8, h:8, w:8]) {
  minimize mean[n](far(images))
  optimizer Sgd(1e-3)
}
