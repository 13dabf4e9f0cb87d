block B()(x: [n, c]) -> [n, c] {
  report a = x
  state s = 0
  return x + s
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0316_statement_place.dsl:2:3: error E0316: `report` does not belong here
#|     2 |   report a = x
#|       |   ^^^^^^^^^^^^
#|    help: it belongs in `loss`      (ectc explain E0316)
#| E0316_statement_place.dsl:3:3: error E0316: `state` does not belong here
#|     3 |   state s = 0
#|       |   ^^^^^^^^^^^
#|    help: it belongs in `optimizer` and `ema`      (ectc explain E0316)
