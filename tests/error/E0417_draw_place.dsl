stream s
program f(x: [n:4, c:8]) -> y = x + normal from s + 3 like x from s
#| E0417_draw_place.dsl:2:37: error E0417: this draw has no shape
#|     2 | program f(x: [n:4, c:8]) -> y = x + normal from s + 3 like x from s
#|       |                                     ^^^^^^^^^^^^^
#|    note: in program f
#|    help: normal like y from noise, or normal[n: y.n] from noise      (ectc explain E0417)
#| E0417_draw_place.dsl:2:53: error E0417: a distribution stands before `from`: uniform(a, b), normal(mean, deviation) or bernoulli(p)
#|     2 | program f(x: [n:4, c:8]) -> y = x + normal from s + 3 like x from s
#|       |                                                     ^ the integer 3
#|    note: in program f
#|    help: normal like x from noise      (ectc explain E0417)
