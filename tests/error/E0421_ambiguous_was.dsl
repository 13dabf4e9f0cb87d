import std.nn
use a was "old" = Linear(8, 8), b was "old" = Linear(8, 8)
program f(x: [n:4, c:8]) -> y = a(b(x))
#| std/nn.dsl:10:9: error E0421: `b.weight` and `a.weight` both name the old path `old.weight`
#|    10 |   param weight: [o:cout, i:cin] = init(cin, cout)
#|       |         ^^^^^^
#|    help: an old path belongs to one parameter      (ectc explain E0421)
#| std/nn.dsl:13:9: error E0421: `b.bias` and `a.bias` both name the old path `old.bias`
#|    13 |   param bias: [c:cout] = 0
#|       |         ^^^^
#|    help: an old path belongs to one parameter      (ectc explain E0421)
