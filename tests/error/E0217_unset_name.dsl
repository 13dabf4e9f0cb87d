block B()(x: [n, c]) -> [n, c] {
  let a = later * 2
  let later = x
  return a + later
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0217_unset_name.dsl:2:11: error E0217: `later` is read before it is set
#|     2 |   let a = later * 2
#|       |           ^^^^^
#|     3 |   let later = x
#|       |       ^^^^^ set here
#|    help: move its declaration up      (ectc explain E0217)
