import std.nn
program f(x: [n:4, c:8, h:5, w:4]) -> y = down2(x)
#| std/nn.dsl:23:61: error E0206: 2 does not divide axis `h` of size 5
#|    23 | fn down2(x: [n, c, h, w]) = mean[dh,dw](rearrange(x: [n, c, h:(h dh:2), w:(w dw:2)] -> [n, c, h, w, dh, dw]))
#|       |                                                             ^^^^^^^^^^ [n:4, c:8, h:5, w:4]   from E0206_down2.dsl:2
#|    note: in fn down2, from E0206_down2.dsl:2
#|    note: in program f
#|    help: choose factors whose product is 5      (ectc explain E0206)
