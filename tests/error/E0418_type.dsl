sample(z: [n:4, c:8], mid: times = []) -> images {
  var x = z
  each t in mid { x = sum[c](x) * t }
  return x
}
#| E0418_type.dsl:3:3: error E0418: `each` must leave `x` with the type it had: it is one step, repeated
#|     3 |   each t in mid { x = sum[c](x) * t }
#|       |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ [n:4, c:8] before, [n:4] after
#|    note: in sample
#|    help: use another name for what differs      (ectc explain E0418)
