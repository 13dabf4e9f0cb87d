import std.nn
program f(x: [n:4, c:8]) -> y = silu(x, 2)
#| E0303_argument_count.dsl:2:41: error E0303: function `silu` takes 1 argument
#|     2 | program f(x: [n:4, c:8]) -> y = silu(x, 2)
#|       |                                         ^ argument 2
#|   std/nn.dsl:27:9:
#|    27 | fn silu(x) = x * sigmoid(x)
#|       |         ^ its parameters
#|    note: in fn silu, from E0303_argument_count.dsl:2
#|    note: in program f
#|    help: remove what is too much      (ectc explain E0303)
