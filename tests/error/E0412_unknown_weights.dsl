import std.nn
use net = Linear(8, 8)
program f(x: [n:4, c:8]) -> y = net@ema(x)
#| E0412_unknown_weights.dsl:3:37: error E0412: no `ema` of `train` is called `ema`
#|     3 | program f(x: [n:4, c:8]) -> y = net@ema(x)
#|       |                                     ^^^
#|    note: in program f
#|    help: `ema as "ema" = ...` in `train` makes such weights      (ectc explain E0412)
