import std.nn
program f(x: [n:4, c:8]) -> y = sliu(x) + undefined_thing
#| E0201_unknown_name.dsl:2:33: error E0201: unknown name `sliu`
#|     2 | program f(x: [n:4, c:8]) -> y = sliu(x) + undefined_thing
#|       |                                 ^^^^
#|    help: did you mean `silu`?      (ectc explain E0201)
#| E0201_unknown_name.dsl:2:43: error E0201: unknown name `undefined_thing`
#|     2 | program f(x: [n:4, c:8]) -> y = sliu(x) + undefined_thing
#|       |                                           ^^^^^^^^^^^^^^^
#|    help: declare it with `config`, `let`, `fn` or `use`, or import the file that does      (ectc explain E0201)
