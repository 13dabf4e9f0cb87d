program p(x: [n:4]) -> y = x * 99999999999999999999
#| E0104_number_overflow.dsl:1:32: error E0104: the integer is larger than 9223372036854775807
#|     1 | program p(x: [n:4]) -> y = x * 99999999999999999999
#|       |                                ^^^^^^^^^^^^^^^^^^^^
#|    help: write it as a real, with a point or an exponent, if a real is meant      (ectc explain E0104)
