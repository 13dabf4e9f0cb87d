config a = d + 1, d = a + 1
program f(x: [n:4, c:8]) -> y = x * a
#| E0217_circle.dsl:1:23: error E0217: `a` is needed for its own value
#|     1 | config a = d + 1, d = a + 1
#|       |        ^              ^
#|       |        declared here
#|    help: break the circle: give one of the names a value of its own      (ectc explain E0217)
