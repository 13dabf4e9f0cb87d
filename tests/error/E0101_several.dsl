fn f(x) = (x + ) * 2
fn g(x) = if x { 1 }
program p(x: [n:4]) -> y = f(g(x))
#| E0101_several.dsl:1:16: error E0101: unexpected `)`, expected an expression
#|     1 | fn f(x) = (x + ) * 2
#|       |                ^
#|    help: ectc explain E0101
#| E0101_several.dsl:3:1: error E0101: unexpected `program`, expected `else`
#|     3 | program p(x: [n:4]) -> y = f(g(x))
#|       | ^^^^^^^
#|    help: ectc explain E0101
