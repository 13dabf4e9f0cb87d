import std.nn, std.optim
use net = Linear(8, 8)
loss l(x: [n, c:8]) -> [n] {
  return max[c](net(x))
}
train(x: [n:4, c:8]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.1)
}
#| E0407_no_gradient.dsl:4:10: error E0407: no gradient is known for `max[...]`
#|     4 |   return max[c](net(x))
#|       |          ^
#|    help: stop(x) cuts the gradient where it is not wanted      (ectc explain E0407)
