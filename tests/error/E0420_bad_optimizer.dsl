import std.nn
use net = Linear(8, 8)
optimizer Lazy() for p, g {
  state m = 0
  let s = m + g + p
}
loss l(x: [n, c:8]) -> [n] { return sum[c](net(x)) }
train(x: [n:4, c:8]) {
  minimize mean[n](l(x))
  optimizer Lazy()
}
#| E0420_bad_optimizer.dsl:5:7: error E0208: value `s` is never read
#|     5 |   let s = m + g + p
#|       |       ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0420_bad_optimizer.dsl:3:11: error E0420: state `m` is never updated
#|     3 | optimizer Lazy() for p, g {
#|       |           ^^^^
#|    help: m := ...      (ectc explain E0420)
#| E0420_bad_optimizer.dsl:3:11: error E0420: optimizer `Lazy` never updates `p`
#|     3 | optimizer Lazy() for p, g {
#|       |           ^^^^
#|    help: p := p - ...      (ectc explain E0420)
