block B()(x: [n, c]) -> [n, c] {
  return x
  let a = x * 2
  return a
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0219_unreachable.dsl:3:3: error E0219: this can never run: everything returned before
#|     3 |   let a = x * 2
#|       |   ^^^^^^^^^^^^^
#|    help: remove it, or return later      (ectc explain E0219)
