program p(for: [n:4]) -> y = 1
#| E0111_reserved_word.dsl:1:11: error E0111: `for` is a reserved word and cannot be a name
#|     1 | program p(for: [n:4]) -> y = 1
#|       |           ^^^
#|    help: choose another name, for example `for_`      (ectc explain E0111)
