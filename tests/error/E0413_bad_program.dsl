program f(x) -> y = x
program g(x: [n:4]) -> y = "text"
#| E0413_bad_program.dsl:2:11: error E0208: input `x` is never read
#|     2 | program g(x: [n:4]) -> y = "text"
#|       |           ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0413_bad_program.dsl:1:11: error E0413: an input of a program is a tensor without default
#|     1 | program f(x) -> y = x
#|       |           ^
#|    note: in program f
#|    help: x: [n:batch, c:3]      (ectc explain E0413)
#| E0413_bad_program.dsl:2:28: error E0413: a program returns a tensor
#|     2 | program g(x: [n:4]) -> y = "text"
#|       |                            ^^^^^^ the string "text"
#|    note: in program g
#|    help: apply an instance to the inputs: -> y = net(x)      (ectc explain E0413)
