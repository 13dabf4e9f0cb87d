# Lesson 3: a convolution, written as what it is: a sum over windows.
#
#   ectc examples/03_convolution.dsl -o plan
#   ect-rt train plan --steps 300 --out run

import std.nn, std.optim

config res = 16, batch = 32, width = 16, depth = 2, dropout = 0.1

# `window` gives x two new axes, kh and kw: the k by k neighbours of each pixel (0 outside the image). It copies nothing; the compiler sees
# that the sum is a convolution. x[c as i] calls the axis c by another name, so that it is summed over and not joined with the result's c.
block MyConv(cin: int, cout: int, k: int = 3)(x: [n, c:cin, h, w]) -> [n, c:cout, h, w] {
  param weight: [o:cout, i:cin, kh:k, kw:k] = xavier_uniform()(cin * k * k, cout * k * k)
  param bias: [c:cout] = 0
  return sum[i,kh,kw](weight * window(x[c as i]; h by kh:k, w by kw:k; pad = k // 2))[o as c] + bias
}

# `for` and `if` run while compiling. Each round makes an instance of its own, so each needs a name of its own.
block Tower(ch: int, levels: int)(x: [n, c:C, h, w]) -> [n, c, h, w] {
  use first = MyConv(C, ch)
  var v = first(x)                         # a `var` may be given new values
  for i in 0..levels {
    use norm as "norm{i}" = GroupNorm(v.c), conv as "conv{i}" = MyConv(v.c, 2 * v.c)
    v = drop_units(conv(silu(norm(down2(v)))), dropout)
  }
  return v
}

use tower = Tower(width, depth), head = Linear(width * 2^depth, 3)

fn scores(x) = head(mean[h,w](tower(x)))

loss cross_entropy(x: [n, c:3, h:res, w:res], truth: [n, c:3]) -> [n] {
  let s = scores(x)
  return log(sum[c](exp(s))) - sum[c](s * truth)
}

train(images: [n:batch, c:3, h:res, w:res], labels: [n, c:3]) {
  minimize mean[n](cross_entropy(images, labels))
  optimizer Radam(1e-3, 0.9, 0.999)
}

# Dropout is on in `loss`, `grad` and `train_step`, and off here.
program classify(x: [n:1, c:3, h:res, w:res]) -> p = softmax[c](scores(x))
