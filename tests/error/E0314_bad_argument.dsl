block B(mode: "up" | "down")(x: [n, c]) -> [n, c] {
  return if mode == "up" { x } else { x * 2 }
}
use b = B("left")
program f(x: [n:4, c:8]) -> y = b(x)
#| E0314_bad_argument.dsl:4:11: error E0314: `mode` takes one of its listed values
#|     4 | use b = B("left")
#|       |           ^^^^^^ the string "left"
#|     1 | block B(mode: "up" | "down")(x: [n, c]) -> [n, c] {
#|       |               ^^^^^^^^^^^^^ these
#|    note: in block B, from E0314_bad_argument.dsl:4
#|    help: choose one of them      (ectc explain E0314)
