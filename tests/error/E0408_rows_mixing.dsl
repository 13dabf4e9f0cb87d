program f(x: [n:4, c:8]) -> y = rows x[c = 0] > 0 { x - mean[n](x) } else { x }
#| E0408_rows_mixing.dsl:1:57: error E0408: `mean` along `n` mixes rows inside `rows`
#|     1 | program f(x: [n:4, c:8]) -> y = rows x[c = 0] > 0 { x - mean[n](x) } else { x }
#|       |                                                         ^^^^^^^^^^
#|    note: in program f
#|    help: what `rows c { ... }` computes must be one thing for each row of n      (ectc explain E0408)
