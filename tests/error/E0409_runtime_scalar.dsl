runtime k: int = floor(seen / 1000)
block B()(x: [n, c]) -> [n, c] {
  var y = x
  for i in 0..k { y = y + i }
  if k > 3 { y = y * 2 }
  return y
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0409_runtime_scalar.dsl:4:12: error E0409: `..` needs compile-time values
#|     4 |   for i in 0..k { y = y + i }
#|       |            ^^^^ the run-time scalar k
#|    note: in b (B), from E0409_runtime_scalar.dsl:9
#|    note: in program f
#|    help: a `config` value is known at compile time and set by -D      (ectc explain E0409)
#| E0409_runtime_scalar.dsl:5:6: error E0409: this condition must be known at compile time
#|     5 |   if k > 3 { y = y * 2 }
#|       |      ^^^^^ the run-time scalar k > 3
#|    note: in b (B), from E0409_runtime_scalar.dsl:9
#|    note: in program f
#|    help: `where(c, a, b)`, or `if` between run-time scalars, chooses at run time      (ectc explain E0409)
