import std.nn
use layer = Conv(8, 4)
program f(x: [n:4, c:8]) -> y = layer(x)
#| E0204_missing_role_argument.dsl:3:39: error E0204: argument `x` has no axis `h`
#|     3 | program f(x: [n:4, c:8]) -> y = layer(x)
#|       |                                       ^ [n:4, c:8]   from E0204_missing_role_argument.dsl:3
#|   std/nn.dsl:17:73:
#|    17 | block Conv(cin: int, cout: int, k: int = 3, init = xavier_uniform())(x: [n, c:cin, h, w]) -> [n, c:cout, h, w] {
#|       |                                                                         ^^^^^^^^^^^^^^^^ declared here
#|    note: in layer (Conv), from E0204_missing_role_argument.dsl:3
#|    note: in program f
#|    help: a rename x[a as h] gives an axis this role; only scalars are expanded by themselves      (ectc explain E0204)
