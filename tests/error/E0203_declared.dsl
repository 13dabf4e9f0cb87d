import std.nn
use layer = Linear(16, 4)
program f(x: [n:4, c:8]) -> y = layer(x)
#| E0203_declared.dsl:3:39: error E0203: axis `c` of argument `x` is 8, declared 16
#|     3 | program f(x: [n:4, c:8]) -> y = layer(x)
#|       |                                       ^ [n:4, c:8]   from E0203_declared.dsl:3
#|   std/nn.dsl:9:88:
#|     9 | block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
#|       |                                                                                        ^^^^^ c:16 (cin)
#|    note: in layer (Linear), from E0203_declared.dsl:3
#|    note: in program f
#|    help: declare another size, or give it a value whose axis `c` is 16      (ectc explain E0203)
