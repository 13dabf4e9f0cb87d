import std.nnn, blocks.mine
program f(x: [n:4, c:8]) -> y = x
#| E0601_import_missing.dsl:1:8: error E0601: `std.nnn` is not found
#|     1 | import std.nnn, blocks.mine
#|       |        ^^^^^^^
#|    help: did you mean `std.nn`?      (ectc explain E0601)
#| E0601_import_missing.dsl:1:17: error E0601: `blocks.mine` is not found
#|     1 | import std.nnn, blocks.mine
#|       |                 ^^^^^^^^^^^
#|    help: looked for blocks/mine.dsl; the standard library is imported as std.name      (ectc explain E0601)
