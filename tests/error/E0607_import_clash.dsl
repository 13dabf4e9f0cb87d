import std.nn, lib.clash
program f(x: [n:4, c:8]) -> y = silu(x)
#| E0607_import_clash.dsl:1:16: error E0607: two imported files declare `silu`
#|     1 | import std.nn, lib.clash
#|       |                ^^^^^^^^^
#|   std/nn.dsl:27:4:
#|    27 | fn silu(x) = x * sigmoid(x)
#|       |    ^^^^ here
#|   lib/clash.dsl:1:4:
#|     1 | fn silu(x) = x
#|       |    ^^^^ and here
#|    help: import one of the files, or rename      (ectc explain E0607)
