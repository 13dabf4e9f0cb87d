program f(x: [n:4, c:8]) -> y = repeat(x; n by 2000000000, c by 2000000000)
#| E0503_tensor_size.dsl:1:60: error E0503: a tensor of more than 2^40 elements
#|     1 | program f(x: [n:4, c:8]) -> y = repeat(x; n by 2000000000, c by 2000000000)
#|       |                                                            ^^^^^^^^^^^^^^^ [n:8000000000, c:16000000000]
#|    note: in program f
#|    help: make a size smaller      (ectc explain E0503)
