import std.nn
block B()(x: [n, c:8]) -> [n, c:8] {
  var y = x
  for i in 0..2 { use layer = Linear(8, 8)  y = layer(y) }
  return y
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| E0401_duplicate_path.dsl:4:23: error E0401: two instances have the path `b.layer`
#|     4 |   for i in 0..2 { use layer = Linear(8, 8)  y = layer(y) }
#|       |                       ^^^^^
#|    note: in b (B), from E0401_duplicate_path.dsl:8
#|    note: in program f
#|    help: `as "name{i}"` gives each its own      (ectc explain E0401)
