import std.nn
block B()(x: [n, c:C]) -> [n, c] {
  param w: [c:C] = 0
  return x + w
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)[c = 0:4] + b(x[c = 0:4])
#| E0406_instance_mismatch.dsl:1:8: error E0208: nothing of `std.nn` is used
#|     1 | import std.nn
#|       |        ^^^^^^
#|    help: remove the import      (ectc explain E0208)
#| E0406_instance_mismatch.dsl:3:9: error E0406: two applications of `b` disagree about parameter `w`
#|     3 |   param w: [c:C] = 0
#|       |         ^ [c:4] here, [c:8] before
#|    note: in b (B), from E0406_instance_mismatch.dsl:7
#|    note: in program f
#|    help: the sizes of a parameter are those of the first application; make a second instance for other sizes      (ectc explain E0406)
