#!/bin/sh
# Axes may have any name: also one that kernels use for a buffer, an accumulator, a tile, a constant or a function of their own.
. "$SRC/tests/kernels/lib"
in_one_go
# net A B C D E F G: a convolution, norm, attention-like products, a reduction with the axes so called.
net() {
    cat >"$work/names.dsl" <<EOF
import std.optim
stream noise
block Net()(x: [n:3, $1:8, $2:6, $3:6]) -> [n:3, $1:8, $2:6, $3:6] {
  param weight: [$4:8, $1:8, $5:3, $6:3] = uniform(-0.3, 0.3)
  param bias: [$1:8] = uniform(-0.5, 0.5)
  let a = standardize[$2, $3](x, 0.01)
  let y = sum[$1, $5, $6](window(a; $2 by $5:3, $3 by $6:3; pad = 1) * weight)[$4 as $1] + bias
  let s = softmax[$7](sum[$2, $3](y * y[$1 as $7]) / 36)
  return x + 0.3 * sum[$7](s * y[$1 as $7])
}
use net = Net()
loss l(x: [n:3, $1:8, $2:6, $3:6]) -> [n:3] {
  let y = net(x + 0.1 * normal like x from noise)
  return mean[$1, $2, $3]((y - 0.3)^2)
}
train(x: [n:3, $1:8, $2:6, $3:6]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program f(x: [n:3, $1:8, $2:6, $3:6]) -> y = net(x)
EOF
    agree names "$work/names.dsl"
}
net c h w o kh kw d
net x0 w1 t2 y3 key0 first0 sum0
net H W CI CO K N ROWS
net m r px row task wanted total
net c_tile b_panel stage_row h_block a_panel part lane
net ect_fma omp_x do int float args sizeof
net x0_ x0 x_ x m_ m __
