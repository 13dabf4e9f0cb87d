import std.nn
block B()(x: [n, c]) -> [n, c] {
  let a = x + foo
  let b = a * bar
  let d = sum[h](x)
  return d + b
}
use b = B()
program f(x: [n:4, c:8]) -> y = b(x)
#| several.dsl:3:15: error E0201: unknown name `foo`
#|     3 |   let a = x + foo
#|       |               ^^^
#|    help: declare it with `config`, `let`, `fn` or `use`, or import the file that does      (ectc explain E0201)
#| several.dsl:4:15: error E0201: unknown name `bar`
#|     4 |   let b = a * bar
#|       |               ^^^
#|    help: declare it with `config`, `let`, `fn` or `use`, or import the file that does      (ectc explain E0201)
#| several.dsl:5:15: error E0204: `sum` needs an axis `h`
#|     5 |   let d = sum[h](x)
#|       |               ^  ^ [n:4, c:8]   from several.dsl:9
#|    note: in b (B), from several.dsl:9
#|    note: in program f
#|    help: name one of the axes it has      (ectc explain E0204)
