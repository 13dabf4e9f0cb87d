block B()(x: [n, c]) -> [n, c] {
  let a = x
  a = a * 2
  return a
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0218_cannot_assign.dsl:3:3: error E0218: `a` is no `var`
#|     3 |   a = a * 2
#|       |   ^
#|     2 |   let a = x
#|       |       ^ declared here
#|    note: in b (B), from E0218_cannot_assign.dsl:7
#|    note: in program f
#|    help: var a = ... declares a name that may be given new values      (ectc explain E0218)
