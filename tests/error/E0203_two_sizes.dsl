import std.nn
block B()(x: [n, c:128, h, w]) -> [n, c:128, h, w] {
  use conv1 = Conv(x.c, 256)
  let y = (x + conv1(x)) * sqrt(1/2)
  return y
}
use b = B()
program f(x: [n:4, c:128, h:8, w:8]) -> y = b(x)
#| E0203_two_sizes.dsl:4:12: error E0203: axis `c` has two sizes in `+`
#|     4 |   let y = (x + conv1(x)) * sqrt(1/2)
#|       |            ^   ^^^^^^^^ [n:4, c:256, h:8, w:8]   from b.conv1, std/nn.dsl:20
#|       |            [n:4, c:128, h:8, w:8]   from E0203_two_sizes.dsl:8
#|    note: in b (B), from E0203_two_sizes.dsl:8
#|    note: in program f
#|    help: axes join by role: rename one (x[c as other]) if they are different things      (ectc explain E0203)
