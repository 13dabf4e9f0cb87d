import std.nn
use layer = Linear("eight", 4)
program f(x: [n:4, c:8]) -> y = layer(x)
#| E0301_type_mismatch.dsl:2:20: error E0301: `cin` is an int
#|     2 | use layer = Linear("eight", 4)
#|       |                    ^^^^^^^ the string "eight"
#|   std/nn.dsl:9:14:
#|     9 | block Linear(cin: int, cout: int, biased: bool = true, init = xavier_uniform())(x: [n, c:cin]) -> [n, c:cout] {
#|       |              ^^^ declared here
#|    note: in block Linear, from E0301_type_mismatch.dsl:2
#|    help: give it an int      (ectc explain E0301)
