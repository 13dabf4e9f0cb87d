config a = "abc
program p(x: [n:4]) -> y = x
#| E0103_bad_string.dsl:1:12: error E0103: the string does not end on its line
#|     1 | config a = "abc
#|       |            ^^^^
#|    help: close it with `"`; a quote inside a string is written \"      (ectc explain E0103)
