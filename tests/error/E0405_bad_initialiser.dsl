block B()(x: [n, c]) -> [n, c] {
  param w: [c:8] = "zero"
  return x + w
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0405_bad_initialiser.dsl:2:20: error E0405: a parameter starts as a number, uniform(a, b) or normal(mean, deviation)
#|     2 |   param w: [c:8] = "zero"
#|       |                    ^^^^^^ the string "zero"
#|    note: in b (B), from E0405_bad_initialiser.dsl:6
#|    note: in program f
#|    help: = 0, or = xavier_uniform()(fan_in, fan_out) of std.nn      (ectc explain E0405)
