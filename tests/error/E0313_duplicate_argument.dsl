import std.nn
use layer = Linear(8, 4, cin = 3)
program f(x: [n:4, c:8]) -> y = layer(x)
#| E0313_duplicate_argument.dsl:2:26: error E0313: argument `cin` is given twice
#|     2 | use layer = Linear(8, 4, cin = 3)
#|       |                          ^^^
#|    note: in block Linear, from E0313_duplicate_argument.dsl:2
#|    help: remove one      (ectc explain E0313)
