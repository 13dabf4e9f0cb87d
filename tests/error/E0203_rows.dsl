program f(x: [n:3, c:2], t: [n:3]) -> y = rows t[n = 0:2] > 0 { sin(x) } else { x[n = 0:2] }
#| E0203_rows.dsl:1:69: error E0203: axis `n` has two sizes in `rows`
#|     1 | program f(x: [n:3, c:2], t: [n:3]) -> y = rows t[n = 0:2] > 0 { sin(x) } else { x[n = 0:2] }
#|       |                                                                     ^ [n:3, c:2]   from E0203_rows.dsl:1; the condition is [n:2]
#|    note: in program f
#|    help: what `rows c { ... }` reads has one row for each condition, or no axis `n`      (ectc explain E0203)
