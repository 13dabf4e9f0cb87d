program f(x: [n:4]) -> y = x
sample(z: [n:4, c:8]) -> images {
  var x = z
  each t in [1.0, 2.0] { x = x + t }
  return x
}
#| E0418_each_body.dsl:4:13: error E0418: `each` runs over a run-time list of times
#|     4 |   each t in [1.0, 2.0] { x = x + t }
#|       |             ^^^^^^^^^^ a list of 2
#|    note: in sample
#|    help: sample(..., mid: times = []) declares one; `for` runs over compile-time lists      (ectc explain E0418)
