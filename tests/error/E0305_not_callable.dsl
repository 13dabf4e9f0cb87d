import std.nn
program f(x: [n:4, c:8]) -> y = x(3) + Linear(8, 4)(x)
#| E0305_not_callable.dsl:2:33: error E0305: this cannot be applied
#|     2 | program f(x: [n:4, c:8]) -> y = x(3) + Linear(8, 4)(x)
#|       |                                 ^ [n:4, c:8]
#|    note: in program f
#|    help: [ ] picks elements      (ectc explain E0305)
#| E0305_not_callable.dsl:2:40: error E0305: block `Linear` has parameters of its own: make an instance first
#|     2 | program f(x: [n:4, c:8]) -> y = x(3) + Linear(8, 4)(x)
#|       |                                        ^^^^^^^^^^^^
#|    note: in program f
#|    help: use layer = Linear(...), then layer(x)      (ectc explain E0305)
