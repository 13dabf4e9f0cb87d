program p(x: [n:4]) -> y = x * 1.e5
#| E0105_bad_number.dsl:1:32: error E0105: `1.` is not a number
#|     1 | program p(x: [n:4]) -> y = x * 1.e5
#|       |                                ^^
#|    help: a real needs a digit after its point: 1.0      (ectc explain E0105)
#| E0105_bad_number.dsl:1:34: error E0101: unexpected `e5`, expected a declaration, an operator or end of file
#|     1 | program p(x: [n:4]) -> y = x * 1.e5
#|       |                                  ^^
#|    help: ectc explain E0101
