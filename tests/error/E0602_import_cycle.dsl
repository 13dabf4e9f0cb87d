import lib.circle_a
program f(x: [n:4, c:8]) -> y = fa(x)
#| lib/circle_b.dsl:1:8: error E0602: `lib/circle_a.dsl` imports itself in a circle
#|     1 | import circle_a
#|       |        ^^^^^^^^
#|    note: lib/circle_a.dsl is imported by lib/circle_b.dsl
#|    note: which is imported by lib/circle_a.dsl
#|    help: move what both need into a third file      (ectc explain E0602)
