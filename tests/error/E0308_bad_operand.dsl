program f(x: [n:4, c:8]) -> y = x + "three"
#| E0308_bad_operand.dsl:1:35: error E0308: `+` does not take these operands
#|     1 | program f(x: [n:4, c:8]) -> y = x + "three"
#|       |                                 ^ ^ ^^^^^^^ the string "three"
#|       |                                 [n:4, c:8]
#|    note: in program f
#|    help: numbers and tensors go together; lists are joined by +, strings by + or "{x}"      (ectc explain E0308)
