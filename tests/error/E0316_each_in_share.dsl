stream s
block B()(x: [n, c:8]) -> [n, c:8] { return x + normal like x from s }
use b = B()
sample(z: [n:4, c:8], mid: times = []) -> y {
  var x = z
  share s { each t in mid { x = b(t * x) } }
  return x
}
#| E0316_each_in_share.dsl:6:13: error E0316: `each` does not belong here
#|     6 |   share s { each t in mid { x = b(t * x) } }
#|       |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
#|    help: it belongs in the top level of `sample`      (ectc explain E0316)
