import std.nn
use layer = Linear(8, 4)
program f(x: [n:4, c:8, w:3]) -> y = layer(x)
#| E0205_extra_role.dsl:3:44: error E0205: argument `x` has an axis `w` that is not declared
#|     3 | program f(x: [n:4, c:8, w:3]) -> y = layer(x)
#|       |                                            ^ [n:4, c:8, w:3]   from E0205_extra_role.dsl:3
#|   std/nn.dsl:9:84:
#|     9 | block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
#|       |                                                                                    ^^^^^^^^^^ declared here
#|    note: in layer (Linear), from E0205_extra_role.dsl:3
#|    note: in program f
#|    help: reduce it (sum, mean), pick from it (x[w = 0]), or declare the axis      (ectc explain E0205)
