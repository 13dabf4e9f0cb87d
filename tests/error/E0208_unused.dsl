import std.nn, std.optim
config spare = 3
stream s
fn g(x, y) = x
block B(k: int)(x: [n, c:C], t: [n]) -> [n, c] {
  param w: [c:8] = 0
  use layer = Linear(8, 8)
  let a = x * 2
  const d = 2
  return x
}
use b = B(3)
program f(x: [n:4, c:8], z: [n]) -> y = b(x, sum[c](x))
#| E0208_unused.dsl:4:9: error E0208: parameter `y` is never read
#|     4 | fn g(x, y) = x
#|       |         ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:6:9: error E0208: parameter `w` is never read
#|     6 |   param w: [c:8] = 0
#|       |         ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:7:7: error E0208: instance `layer` is never read
#|     7 |   use layer = Linear(8, 8)
#|       |       ^^^^^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:8:7: error E0208: value `a` is never read
#|     8 |   let a = x * 2
#|       |       ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:9:9: error E0208: constant `d` is never read
#|     9 |   const d = 2
#|       |         ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:5:9: error E0208: parameter `k` is never read
#|     5 | block B(k: int)(x: [n, c:C], t: [n]) -> [n, c] {
#|       |         ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:5:26: error E0208: size name `C` is never read
#|     5 | block B(k: int)(x: [n, c:C], t: [n]) -> [n, c] {
#|       |                          ^
#|    help: without `:C` the size is not checked      (ectc explain E0208)
#| E0208_unused.dsl:5:30: error E0208: parameter `t` is never read
#|     5 | block B(k: int)(x: [n, c:C], t: [n]) -> [n, c] {
#|       |                              ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:13:26: error E0208: input `z` is never read
#|    13 | program f(x: [n:4, c:8], z: [n]) -> y = b(x, sum[c](x))
#|       |                          ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:2:8: error E0208: config `spare` is never used
#|     2 | config spare = 3
#|       |        ^^^^^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:3:8: error E0208: stream `s` is never used
#|     3 | stream s
#|       |        ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:4:4: error E0208: function `g` is never used
#|     4 | fn g(x, y) = x
#|       |    ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0208_unused.dsl:1:16: error E0208: nothing of `std.optim` is used
#|     1 | import std.nn, std.optim
#|       |                ^^^^^^^^^
#|    help: remove the import      (ectc explain E0208)
