block B()(x: [n, c], y: [n, k:K]) -> [n, c] {
  return x * sum[k](y) / K
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x, 0)
program g(x: [n, c:8]) -> y = x
#| E0207_unknown_size.dsl:5:38: error E0207: the size of axis `k` is not known
#|     5 | program f(x: [n:4, c:8]) -> y = b(x, 0)
#|       |                                      ^
#|     1 | block B()(x: [n, c], y: [n, k:K]) -> [n, c] {
#|       |                             ^^^ `K` would be set by a tensor given here
#|    note: in b (B), from E0207_unknown_size.dsl:5
#|    note: in program f
#|    help: write the size, k:8, or give a tensor in place of a number      (ectc explain E0207)
#| E0207_unknown_size.dsl:6:11: error E0207: the size of axis `n` is not known
#|     6 | program g(x: [n, c:8]) -> y = x
#|       |           ^^^^^^^^^^^
#|       |               declared without a size
#|    note: in program g
#|    help: write the size, n:8, or give a tensor in place of a number      (ectc explain E0207)
