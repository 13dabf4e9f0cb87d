program f(x: [n:4, c:8]) -> y = sum[h](x)
#| E0204_missing_role_reduce.dsl:1:37: error E0204: `sum` needs an axis `h`
#|     1 | program f(x: [n:4, c:8]) -> y = sum[h](x)
#|       |                                     ^  ^ [n:4, c:8]   from E0204_missing_role_reduce.dsl:1
#|    note: in program f
#|    help: name one of the axes it has      (ectc explain E0204)
