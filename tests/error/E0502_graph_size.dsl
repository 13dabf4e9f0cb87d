block B()(x: [n, c]) -> [n, c] {
  var y = x
  for i in 0..2000 { for j in 0..1000 { y = y * (i + 1) + j } }
  return y
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0502_graph_size.dsl:3:45: error E0502: the graph of this program has more than 1000000 nodes
#|     3 |   for i in 0..2000 { for j in 0..1000 { y = y * (i + 1) + j } }
#|       |                                             ^^^^^^^^^^^^^^^
#|    note: in b (B), from E0502_graph_size.dsl:7
#|    note: in program f
#|    help: loops are unrolled: make them shorter, or put a long axis into a tensor      (ectc explain E0502)
