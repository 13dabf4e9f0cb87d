program f(x: [n:4, c:8]) -> y = rearrange(x: [n, c:(a b:2)] -> [n, a])
#| E0215_rearrange_roles.dsl:1:55: error E0215: factor `b` is missing on the right side
#|     1 | program f(x: [n:4, c:8]) -> y = rearrange(x: [n, c:(a b:2)] -> [n, a])
#|       |                                                       ^^^      ^^^^^^ here
#|    note: in program f
#|    help: every factor of the left side stands once on the right      (ectc explain E0215)
