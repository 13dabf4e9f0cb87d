fn f(x, k) = f(x, k + 1) * 2
program f(x: [n:4, c:8]) -> y = f(x, 0)
#| E0501_recursion.dsl:1:14: error E0501: recursion without end: calls are nested more than 250 deep
#|     1 | fn f(x, k) = f(x, k + 1) * 2
#|       |              ^^^^^^^^^^^
#|    note: in fn f, from E0501_recursion.dsl:1
#|    note: in fn f, from E0501_recursion.dsl:1
#|    note: in fn f, from E0501_recursion.dsl:1
#|    note: in fn f, from E0501_recursion.dsl:1
#|    note: in fn f, from E0501_recursion.dsl:1
#|    note: in fn f, from E0501_recursion.dsl:1
#|    note: and 244 more
#|    help: what calls itself must end: `if k > 0 { ... }` with a compile-time k      (ectc explain E0501)
