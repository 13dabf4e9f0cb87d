program f(x: [n:4]) -> y = x
program f(x: [n:4]) -> y = x * 2
program loss(x: [n:4]) -> y = x
#| E0414_duplicate_program.dsl:2:9: error E0414: two programs are called `f`
#|     2 | program f(x: [n:4]) -> y = x * 2
#|       |         ^
#|     1 | program f(x: [n:4]) -> y = x
#|       |         ^ the other
#|    help: rename one of them      (ectc explain E0414)
#| E0414_duplicate_program.dsl:3:9: error E0414: program `loss` is made by `train`
#|     3 | program loss(x: [n:4]) -> y = x
#|       |         ^^^^
#|    help: choose another name      (ectc explain E0414)
