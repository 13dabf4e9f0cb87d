import std.nn, std.nn
program f(x: [n:4, c:8]) -> y = silu(x)
#| E0606_import_twice.dsl:1:16: error E0606: `std.nn` is imported twice
#|     1 | import std.nn, std.nn
#|       |        ^^^^^^  ^^^^^^
#|       |        first here
#|    help: ectc explain E0606
