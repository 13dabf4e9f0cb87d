config a = 0
program f(x: [n:4, c:8]) -> y = x * (1 / a)
#| E0306_divide_by_zero.dsl:2:40: error E0306: division by zero
#|     2 | program f(x: [n:4, c:8]) -> y = x * (1 / a)
#|       |                                        ^ ^ this is 0
#|    note: in program f
#|    help: ask first: `if b != 0 { a / b } else { ... }`      (ectc explain E0306)
