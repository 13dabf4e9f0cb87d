program f(x: [n:4, c:8, c:8]) -> y = x
#| E0209_duplicate_role.dsl:1:25: error E0209: axis `c` appears twice
#|     1 | program f(x: [n:4, c:8, c:8]) -> y = x
#|       |                    ^    ^
#|       |                    here
#|    help: axes are told apart by their roles: give each its own      (ectc explain E0209)
