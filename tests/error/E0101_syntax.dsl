fn f(x) = x +
program p(x: [n:4]) -> y = f(x)
#| E0101_syntax.dsl:2:9: error E0101: unexpected `p`, expected a declaration, an operator or end of file
#|     2 | program p(x: [n:4]) -> y = f(x)
#|       |         ^
#|    help: ectc explain E0101
