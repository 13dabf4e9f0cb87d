import std.optim
loss l(x: [n, c:8]) -> [n] { return sum[c](x) }
train(x: [n:4, c:8]) {
  optimizer Sgd(0.1)
  optimizer Sgd(0.2)
}
#| E0410_missing_train_item.dsl:3:7: error E0208: input `x` is never read
#|     3 | train(x: [n:4, c:8]) {
#|       |       ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0410_missing_train_item.dsl:2:6: error E0208: loss `l` is never used
#|     2 | loss l(x: [n, c:8]) -> [n] { return sum[c](x) }
#|       |      ^
#|    help: use it or remove it      (ectc explain E0208)
#| E0410_missing_train_item.dsl:3:22: error E0410: `train` has no `minimize`
#|     3 | train(x: [n:4, c:8]) {
#|       |                      ^
#|    help: minimize mean[n](my_loss(images))      (ectc explain E0410)
#| E0410_missing_train_item.dsl:5:3: error E0410: `optimizer` appears twice in `train`
#|     5 |   optimizer Sgd(0.2)
#|       |   ^^^^^^^^^^^^^^^^^^
#|    help: keep one      (ectc explain E0410)
