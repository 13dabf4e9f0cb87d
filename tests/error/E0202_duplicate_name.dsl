block B()(x: [n, c]) -> [n, c] {
  let a = x
  let a = x * 2
  if true { let x = a  return x }
  return a
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0202_duplicate_name.dsl:3:7: error E0202: `a` is declared already
#|     3 |   let a = x * 2
#|       |       ^
#|     2 |   let a = x
#|       |       ^ here
#|    help: inside a block a name has one meaning; `var` may be given new values      (ectc explain E0202)
#| E0202_duplicate_name.dsl:4:17: error E0202: `x` is declared already
#|     4 |   if true { let x = a  return x }
#|       |                 ^
#|     1 | block B()(x: [n, c]) -> [n, c] {
#|       |           ^ here
#|    help: inside a block a name has one meaning; `var` may be given new values      (ectc explain E0202)
