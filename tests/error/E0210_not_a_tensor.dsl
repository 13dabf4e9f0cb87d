program f(x: [n:4, c:8]) -> y = sum[c](3) + x
#| E0210_not_a_tensor.dsl:1:40: error E0210: `sum` needs a tensor
#|     1 | program f(x: [n:4, c:8]) -> y = sum[c](3) + x
#|       |                                        ^ the integer 3
#|    note: in program f
#|    help: sum[roles](e)      (ectc explain E0210)
