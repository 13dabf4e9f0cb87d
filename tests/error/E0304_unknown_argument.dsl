import std.nn
use layer = Linear(8, 4, bias = false)
program f(x: [n:4, c:8]) -> y = layer(x)
#| E0304_unknown_argument.dsl:2:26: error E0304: block `Linear` has no parameter `bias`
#|     2 | use layer = Linear(8, 4, bias = false)
#|       |                          ^^^^
#|   std/nn.dsl:9:14:
#|     9 | block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
#|       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ its parameters
#|    note: in block Linear, from E0304_unknown_argument.dsl:2
#|    help: ectc explain E0304
