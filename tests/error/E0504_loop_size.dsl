block B()(x: [n, c]) -> [n, c] {
  var y = x
  for i in 0..1000000000 { y = y + i }
  return y
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0504_loop_size.dsl:3:12: error E0504: the range 0..1000000000 has more than 100000 elements
#|     3 |   for i in 0..1000000000 { y = y + i }
#|       |            ^^^^^^^^^^^^^
#|    note: in b (B), from E0504_loop_size.dsl:7
#|    note: in program f
#|    help: loops are unrolled at compile time; a long axis belongs in a tensor      (ectc explain E0504)
