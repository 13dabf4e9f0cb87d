import std.nn
use norm = GroupNorm(8, groups = 3)
program f(x: [n:4, c:8, h:2, w:2]) -> y = norm(x)
#| std/nn.dsl:36:28: error E0206: 3 does not divide axis `c` of size 8
#|    36 |   let g = rearrange(x: [n, c:(g:groups d), h, w] -> [n, g, d, h, w])
#|       |                            ^^^^^^^^^^^^^^ [n:4, c:8, h:2, w:2]   from E0206_not_divisible.dsl:3
#|    note: in norm (GroupNorm), from E0206_not_divisible.dsl:3
#|    note: in program f
#|    help: choose factors whose product is 8      (ectc explain E0206)
