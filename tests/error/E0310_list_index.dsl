config sizes = [1, 2]
program f(x: [n:4, c:8]) -> y = x * sizes[2]
#| E0310_list_index.dsl:2:43: error E0310: index 2 is outside a list of 2
#|     2 | program f(x: [n:4, c:8]) -> y = x * sizes[2]
#|       |                                           ^
#|    note: in program f
#|    help: indices run from 0 to 1      (ectc explain E0310)
