block B()(x: [n, c]) -> [n, c] {
  if training {
    param w: [c:8] = 0
    return x + w
  }
  return x
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
program g(x: [n:4, c:8]) training -> y = b(x)
#| E0406_training.dsl:3:11: error E0406: parameter `b.w` is not reached by every application of its instance
#|     3 |     param w: [c:8] = 0
#|       |           ^
#|    note: in b (B), from E0406_training.dsl:10
#|    note: in program g
#|    help: a `param` may depend on the block's own parameters, not on `training` or on which application it is      (ectc explain E0406)
