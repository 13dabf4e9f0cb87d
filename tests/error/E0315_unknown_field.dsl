config sizes = [1, 2]
program f(x: [n:4, c:8]) -> y = x * sizes.c
#| E0315_unknown_field.dsl:2:43: error E0315: `.c` asks a tensor for the size of its axis
#|     2 | program f(x: [n:4, c:8]) -> y = x * sizes.c
#|       |                                     ^^^^^ ^
#|       |                                     a list of 2
#|    note: in program f
#|    help: xs[0] is an element, len(xs) the length      (ectc explain E0315)
