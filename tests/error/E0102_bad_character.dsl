program p(x: [n:4]) -> y = x $ 2
#| E0102_bad_character.dsl:1:30: error E0102: `$` cannot be used here
#|     1 | program p(x: [n:4]) -> y = x $ 2
#|       |                              ^
#|    help: ectc explain E0102
