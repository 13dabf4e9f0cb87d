import std.nn
block B()(x: [n, c]) -> [n, c:4] {
  use layer = Linear(x, 4)
  return layer(x)
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0302_not_compile_time.dsl:3:22: error E0302: `cin` must be known at compile time
#|     3 |   use layer = Linear(x, 4)
#|       |                      ^ [n:4, c:8]
#|   std/nn.dsl:9:14:
#|     9 | block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
#|       |              ^^^ declared here
#|    note: in block Linear, from E0302_not_compile_time.dsl:3
#|    note: in b (B), from E0302_not_compile_time.dsl:7
#|    note: in program f
#|    help: x.c is the size of an axis, known at compile time      (ectc explain E0302)
