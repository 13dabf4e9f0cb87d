program f(x: [n:4, c:8]) -> y = x[c as n]
#| E0221_rename_role.dsl:1:40: error E0221: there is an axis `n` already
#|     1 | program f(x: [n:4, c:8]) -> y = x[c as n]
#|       |                                 ^      ^
#|       |                                 [n:4, c:8]   from E0221_rename_role.dsl:1
#|    note: in program f
#|    help: choose another name      (ectc explain E0221)
