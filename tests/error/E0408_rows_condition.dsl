program f(x: [n:4, c:8]) -> y = rows x > 0 { log(x) } else { x }
#| E0408_rows_condition.dsl:1:38: error E0408: `rows` needs one condition for each row: [n]
#|     1 | program f(x: [n:4, c:8]) -> y = rows x > 0 { log(x) } else { x }
#|       |                                      ^^^^^ [n:4, c:8]   from E0408_rows_condition.dsl:1
#|    note: in program f
#|    help: where(c, a, b) chooses element by element      (ectc explain E0408)
