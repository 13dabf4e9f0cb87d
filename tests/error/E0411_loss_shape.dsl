import std.nn, std.optim
use net = Linear(8, 8)
loss l(x: [n, c:8]) -> [n] { return sum[c](net(x)) }
train(x: [n:4, c:8]) {
  minimize l(x)
  optimizer Sgd(0.1)
}
#| E0411_loss_shape.dsl:5:12: error E0411: `minimize` needs one number
#|     5 |   minimize l(x)
#|       |            ^^^^ [n:4]   from E0411_loss_shape.dsl:3
#|    note: in train
#|    help: mean[n](...) over the images      (ectc explain E0411)
