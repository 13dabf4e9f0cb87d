import std.nn
use layer = Linear(8)
program f(x: [n:4, c:8]) -> y = layer(x)
#| E0312_missing_argument.dsl:2:13: error E0312: block `Linear` needs its argument `cout`
#|     2 | use layer = Linear(8)
#|       |             ^^^^^^^^^
#|   std/nn.dsl:9:24:
#|     9 | block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
#|       |                        ^^^^^^^^^ declared here
#|    note: in block Linear, from E0312_missing_argument.dsl:2
#|    help: add `cout = ...`      (ectc explain E0312)
