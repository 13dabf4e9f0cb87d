block B()(x: [n, c]) -> [n, c] {
  if false { let a = x * 2 }
  return x
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0208_dead_arm.dsl:2:18: error E0208: value `a` is never read
#|     2 |   if false { let a = x * 2 }
#|       |                  ^
#|    help: use it or remove it      (ectc explain E0208)
