program f(x: [n:4, c:8]) -> y = concat[c](x, sum[c](x))
#| E0220_concat_roles.dsl:1:46: error E0220: every part of concat[c] needs an axis `c`
#|     1 | program f(x: [n:4, c:8]) -> y = concat[c](x, sum[c](x))
#|       |                                              ^^^^^^^^^ [n:4]   from E0220_concat_roles.dsl:1
#|    note: in program f
#|    help: a rename gives the axis this role: y[a as c]      (ectc explain E0220)
