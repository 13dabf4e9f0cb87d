import std.nn
use layer = Linear(8, 4)
use other = Linear(4, 7)
block B(k: real)(x: [n, c]) -> [n, c] {
  param w: [c:k] = 0
  return x + w
}
use b = B(9/2)
program f(x: [n:4, c:8]) -> y = b(other(layer(x)))
#| E0207_not_a_size.dsl:5:15: error E0207: a size must be an integer from 0 to 2147483647
#|     5 |   param w: [c:k] = 0
#|       |               ^ the real 4.5
#|    note: in b (B), from E0207_not_a_size.dsl:9
#|    note: in program f
#|    help: `/` divides reals; `//` divides integers and rounds down      (ectc explain E0207)
