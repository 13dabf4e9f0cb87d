program f(x: [n:4, c:8]) -> y = x[c = 8] + x[c = 5:9][c = 0]
#| E0212_index_range.dsl:1:35: error E0212: index 8 is outside axis `c` of size 8
#|     1 | program f(x: [n:4, c:8]) -> y = x[c = 8] + x[c = 5:9][c = 0]
#|       |                                 ^ ^^^^^
#|       |                                 [n:4, c:8]   from E0212_index_range.dsl:1
#|    note: in program f
#|    help: indices run from 0 to 7, and a slice a:b ends before b      (ectc explain E0212)
#| E0212_index_range.dsl:1:46: error E0212: the slice 5:9 does not lie in axis `c` of size 8
#|     1 | program f(x: [n:4, c:8]) -> y = x[c = 8] + x[c = 5:9][c = 0]
#|       |                                            ^ ^^^^^^^
#|       |                                            [n:4, c:8]   from E0212_index_range.dsl:1
#|    note: in program f
#|    help: indices run from 0 to 7, and a slice a:b ends before b      (ectc explain E0212)
