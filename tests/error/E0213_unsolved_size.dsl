program f(x: [n:4, c:8]) -> y = rearrange(x: [n, c:(a b)] -> [n, a, b])
#| E0213_unsolved_size.dsl:1:55: error E0213: the sizes of `a` and `b` are both unknown
#|     1 | program f(x: [n:4, c:8]) -> y = rearrange(x: [n, c:(a b)] -> [n, a, b])
#|       |                                                       ^
#|    note: in program f
#|    help: give one of them a size: b:2      (ectc explain E0213)
