config a = 3
block B()(x: [n, c]) -> [n, c] {
  var y = x
  for i in a { y = y + i }
  return y
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0311_not_iterable.dsl:4:12: error E0311: `for` runs over a list or a range a..b
#|     4 |   for i in a { y = y + i }
#|       |            ^ the integer 3
#|    note: in b (B), from E0311_not_iterable.dsl:8
#|    note: in program f
#|    help: 0..3 counts from 0 to 2      (ectc explain E0311)
