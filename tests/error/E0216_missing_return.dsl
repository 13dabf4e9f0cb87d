block B(k: int)(x: [n, c]) -> [n, c] {
  if k > 3 { return x }
}
use b = B(3)
program f(x: [n:4, c:8]) -> y = b(x)
#| E0216_missing_return.dsl:1:7: error E0216: block `B` does not return on every path
#|     1 | block B(k: int)(x: [n, c]) -> [n, c] {
#|       |       ^
#|    help: end it with `return`      (ectc explain E0216)
