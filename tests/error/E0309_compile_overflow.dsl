config a = 10
program f(x: [n:4, c:8]) -> y = x * a^40
#| E0309_compile_overflow.dsl:2:38: error E0309: `^` overflows at compile time
#|     2 | program f(x: [n:4, c:8]) -> y = x * a^40
#|       |                                      ^
#|    note: in program f
#|    help: integers are 64-bit; 10.0 in place of 10 makes it a real      (ectc explain E0309)
