block B()(x: [n, c]) -> [n, c:4] {
  return x
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0211_result_type.dsl:2:10: error E0211: axis `c` of result `B` is 8, declared 4
#|     2 |   return x
#|       |          ^ [n:4, c:8]   from E0211_result_type.dsl:5
#|     1 | block B()(x: [n, c]) -> [n, c:4] {
#|       |                             ^^^ c:4
#|    note: in b (B), from E0211_result_type.dsl:5
#|    note: in program f
#|    help: declare another size, or give it a value whose axis `c` is 4      (ectc explain E0211)
