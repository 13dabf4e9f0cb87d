fn f(x) = x
fn f(x) = x * 2
program p(x: [n:4]) -> y = f(x)
#| E0202_file_level.dsl:2:4: error E0202: `f` is declared already
#|     2 | fn f(x) = x * 2
#|       |    ^
#|     1 | fn f(x) = x
#|       |    ^ here
#|    help: rename one of them      (ectc explain E0202)
