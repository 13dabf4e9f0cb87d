stream s
block B()(x: [n, c:8]) -> [n, c:8] {
  return x + normal like x from s
}
use a as "" = B(), b as "" = B()
program f(x: [n:4, c:8]) -> y = b(a(x))
#| E0402_duplicate_draw.dsl:3:14: error E0402: two draws would get the path `draw.s`
#|     3 |   return x + normal like x from s
#|       |              ^^^^^^^^^^^^^^^^^^^^
#|    note: in B, from E0402_duplicate_draw.dsl:6
#|    note: in program f
#|    help: give an instance a level of its own with `as`, or declare another stream; `share` is for draws meant to be equal      (ectc explain E0402)
