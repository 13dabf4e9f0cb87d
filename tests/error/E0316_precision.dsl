import std.optim
block B()(x: [n, c:8]) -> [n, c:8] {
  param bias: [c:8] = 0
  return x + bias
}
use b = B()
fn halved(x) = precision bf16 { x / 2 }
loss l(x: [n, c:8]) -> [n] { return sum[c](b(x)^2) }
optimizer Own(lr) for p, g {
  precision f32 { p := p - lr * g }
}
train(x: [n:4, c:8]) {
  minimize  mean[n](l(x))
  gradient  fn(g) = halved(g)
  optimizer Own(0.1)
}
sample(z: [n:4, c:8], mid: times = []) -> y {
  var x = z
  precision f32 { each t in mid { x = b(t * x) } }
  return x
}
#| E0316_precision.dsl:10:3: error E0316: `precision` does not belong here
#|    10 |   precision f32 { p := p - lr * g }
#|       |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
#|    help: it belongs in blocks, `loss` and `sample`      (ectc explain E0316)
#| E0316_precision.dsl:19:19: error E0316: `each` does not belong here
#|    19 |   precision f32 { each t in mid { x = b(t * x) } }
#|       |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
#|    help: it belongs in the top level of `sample`      (ectc explain E0316)
#| E0316_precision.dsl:7:16: error E0316: `precision` does not belong here
#|     7 | fn halved(x) = precision bf16 { x / 2 }
#|       |                ^^^^^^^^^^^^^^^^^^^^^^^^
#|    note: in fn halved, from E0316_precision.dsl:14
#|    note: in a function, from E0316_precision.dsl:14
#|    help: parameters and the states of an optimizer are always f32      (ectc explain E0316)
