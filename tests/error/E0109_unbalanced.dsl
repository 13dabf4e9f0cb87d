block B()(x: [n]) -> [n] {
  if true {
    return x
#| E0109_unbalanced.dsl:2:11: error E0109: this `{` is never closed
#|     2 |   if true {
#|       |           ^
#|    help: add `}`; the text ends at line 8      (ectc explain E0109)
