import std.nn
use net as "a..b" = Linear(8, 8)
program f(x: [n:4, c:8]) -> y = net(x)
#| E0416_bad_path.dsl:2:12: error E0416: "a..b" is no path
#|     2 | use net as "a..b" = Linear(8, 8)
#|       |            ^^^^^^
#|    help: words of letters, digits, _ and - with single dots between them; "" adds no level      (ectc explain E0416)
