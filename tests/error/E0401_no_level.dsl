import std.nn
use a as "" = Linear(8, 8), b as "" = Linear(8, 8)
program f(x: [n:4, c:8]) -> y = b(a(x))
#| std/nn.dsl:10:9: error E0401: two parameters have the path `weight`
#|    10 |   param weight: [o:cout, i:cin] = init(cin, cout)
#|       |         ^^^^^^
#|    note: in Linear, from E0401_no_level.dsl:3
#|    note: in program f
#|    help: `use ... as "name"` gives an instance its own level      (ectc explain E0401)
#| std/nn.dsl:13:9: error E0401: two parameters have the path `bias`
#|    13 |   param bias: [c:cout] = 0
#|       |         ^^^^
#|    note: in Linear, from E0401_no_level.dsl:3
#|    note: in program f
#|    help: `use ... as "name"` gives an instance its own level      (ectc explain E0401)
