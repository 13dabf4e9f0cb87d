block B()(x: [n, c:8]) -> [n, c:8] {
  precision bf61 { let y = 2 * x }
  return if false { precision half { y } } else { y }
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0317_unknown_precision.dsl:2:13: error E0317: there is no precision `bf61`
#|     2 |   precision bf61 { let y = 2 * x }
#|       |             ^^^^
#|    help: did you mean `bf16`?      (ectc explain E0317)
#| E0317_unknown_precision.dsl:3:31: error E0317: there is no precision `half`
#|     3 |   return if false { precision half { y } } else { y }
#|       |                               ^^^^
#|    help: there are `f32`, `tf32`, `bf16` and `f16`      (ectc explain E0317)
