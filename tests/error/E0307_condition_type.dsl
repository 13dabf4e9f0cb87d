program f(x: [n:4, c:8]) -> y = if x > 0 { x } else { 0 }
#| E0307_condition_type.dsl:1:36: error E0307: a condition must be true or false
#|     1 | program f(x: [n:4, c:8]) -> y = if x > 0 { x } else { 0 }
#|       |                                    ^^^^^ [n:4, c:8]
#|    note: in program f
#|    help: `where(c, a, b)` chooses element by element, `rows c { a } else { b }` row by row      (ectc explain E0307)
