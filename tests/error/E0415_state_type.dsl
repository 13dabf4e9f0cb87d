import std.nn
use net = Linear(8, 8)
optimizer Bad(lr) for p, g {
  state m = 0
  g := g * 2
  m := m + sum[e](g)
  p := p - lr * m
}
loss l(x: [n, c:8]) -> [n] { return sum[c](net(x)) }
train(x: [n:4, c:8]) {
  minimize mean[n](l(x))
  optimizer Bad(0.1)
}
#| E0415_state_type.dsl:5:3: error E0415: `:=` updates a state or the parameters, and `g` is none
#|     5 |   g := g * 2
#|       |   ^
#|     3 | optimizer Bad(lr) for p, g {
#|       |                          ^ declared here
#|    note: in optimizer Bad, from E0415_state_type.dsl:12
#|    help: `let` names an intermediate value      (ectc explain E0415)
