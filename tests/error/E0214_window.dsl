program f(x: [n:4, h:4]) -> y = window(x; h by kh:7; pad = 1)
#| E0214_window.dsl:1:43: error E0214: a window over 7 does not fit axis `h` of size 4 with pad 1
#|     1 | program f(x: [n:4, h:4]) -> y = window(x; h by kh:7; pad = 1)
#|       |                                        ^  ^^^^^^^^^
#|       |                                        [n:4, h:4]   from E0214_window.dsl:1
#|    note: in program f
#|    help: a larger pad or a smaller window      (ectc explain E0214)
