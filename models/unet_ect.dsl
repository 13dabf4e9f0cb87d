# DDPM++ tuned as a consistency model (ECT): the whole model. Names and order of parameters are EDM's.

import std.nn, std.optim

config res = 32, colors = 3, batch = 128            # every name here: `ectc -D name=value`
config channels = 128, mult = [2, 2, 2], blocks = 4, attn = [16], dropout = 0.2
config labels = 0, augment = 0, mapping: "sigmoid" | "const" = "sigmoid", optimizer: "radam" | "adam" = "radam"
config sigma_data = 0.5, sigma_min = 0.003, sigma_max = 80.0

stream time, noise, sample

block Res(cin: int, cout: int, E: int, mode: "keep" | "up" | "down" = "keep", att: bool = false, p: real = 0)
     (x: [n, c:cin, h, w], emb: [n, c:E]) -> [n, c:cout, h, w]
{
  use norm0 = GroupNorm(cin), conv0 = Conv(cin, cout)
  use affine = Linear(E, cout)
  use norm1 = GroupNorm(cout), conv1 = Conv(cout, cout, init = xavier_uniform(1e-5))
  let f = fn(v) = if mode == "up" { up2(v) } else if mode == "down" { down2(v) } else { v }
  let a = conv0(f(silu(norm0(x))))
  let b = silu(norm1(a + affine(emb)))
  let d = conv1(drop_units(b, p))
  var s = f(x)
  if cin != cout || mode != "keep" { use skip = Conv(cin, cout, k = 1);  s = skip(s) }
  let y = (d + s) * sqrt(1/2)
  if !att { return y }
  use norm2 = GroupNorm(cout), attention as "" = Attention(cout)     # qkv and proj sit directly in the block, as in EDM's names
  return (y + attention(norm2(y))) * sqrt(1/2)
}

block SongUNet(ch: int, widths: list, depth: int, att: list, p: real)
     (x: [n, c:C, h:R, w:R], t: [n], labels: [n, c:L], augment: [n, c:A]) -> [n, c:C, h:R, w:R]
{
  const E = 4 * ch
  let f = 10000 ^ (-iota[c: ch//2] / (ch//2 - 1))
  var e0 = concat[c](sin(t * f), cos(t * f))
  if L > 0 { use map_label = Linear(L, ch);                      e0 = e0 + map_label(labels * sqrt(L)) }
  if A > 0 { use map_augment = Linear(A, ch, biased = false);    e0 = e0 + map_augment(augment) }
  use map_layer0 = Linear(ch, E), map_layer1 = Linear(E, E)
  let e = silu(map_layer1(silu(map_layer0(e0))))

  var v = x, skips = []
  for level, m in widths {
    const r = R // 2^level
    if level == 0 { use conv as "enc.{r}x{r}_conv" = Conv(C, ch);                      v = conv(v) }
    else          { use down as "enc.{r}x{r}_down" = Res(v.c, v.c, E, "down", p = p);  v = down(v, e) }
    skips = skips + [v]
    for i in 0..depth {
      use b as "enc.{r}x{r}_block{i}" = Res(v.c, ch*m, E, att = r in att, p = p)
      v = b(v, e);  skips = skips + [v]
    }
  }
  for level in reversed(0..len(widths)) {
    const m = widths[level], r = R // 2^level
    if level == len(widths) - 1 {
      use in0 as "dec.{r}x{r}_in0" = Res(v.c, v.c, E, att = true, p = p), in1 as "dec.{r}x{r}_in1" = Res(v.c, v.c, E, p = p)
      v = in1(in0(v, e), e)
    } else { use up as "dec.{r}x{r}_up" = Res(v.c, v.c, E, "up", p = p);  v = up(v, e) }
    for i in 0..depth+1 {
      v = concat[c](v, last(skips));  skips = drop_last(skips)
      use b as "dec.{r}x{r}_block{i}" = Res(v.c, ch*m, E, att = i == depth && r in att, p = p)
      v = b(v, e)
    }
  }
  use norm as "dec.{R}x{R}_aux_norm" = GroupNorm(v.c), conv as "dec.{R}x{R}_aux_conv" = Conv(v.c, C, init = xavier_uniform(1e-5))
  return conv(silu(norm(v)))
}

# EDM preconditioning, in f32. Inputs lab and aug do not exist when their size is 0.
block Denoiser()(x: [n, c:colors, h:res, w:res], sigma: [n], lab: [n, c:labels], aug: [n, c:augment]) -> [n, c, h, w] {
  const sd = sigma_data, low = if training { 0 } else { sigma_min }
  use model = SongUNet(channels, mult, blocks, attn, dropout)
  let s = sqrt(sigma^2 + sd^2)
  let F = f32(model(x / s, log(sigma) / 4, lab, aug))
  return sd^2 / ((sigma - low)^2 + sd^2) * x + (sigma - low) * sd / s * F
}

use D as "" = Denoiser()

runtime P_mean: real = -1.1, P_std: real = 2, q: real = 2, k: real = 8, b: real = 1, c: real = 0
runtime stage_images: real = 3.2e6, stage: int = floor(seen / stage_images)       # stage -1: r = 0 everywhere, diffusion pre-training
runtime lr: real = 1e-4, beta1: real = 0.9, beta2: real = 0.999, ema_beta: real = 0.9999

# The square of how far rounding moves D(x, s), a mean over elements: the network's part of it, of which a value is off by `roundoff` (the operands of its
# last product by 0.6 of that, those before add to it), and the rounding of the sum itself.
fn rounding2(D, x, s) = mean[c,h,w]((roundoff * (D - sigma_data^2 / (s^2 + sigma_data^2) * x))^2 + (precision f32 { roundoff } * D)^2)

loss ect(y: [n, c:colors, h:res, w:res], lab: [n, c:labels], aug: [n, c:augment]) -> [n] {
  let t = exp(P_mean + P_std * normal[n: y.n] from time)
  let adj = if mapping == "sigmoid" { 1 + k * sigmoid(-b * t) } else { 1 }
  let r = max(0, t * (1 - q^-(stage + 1) * adj))
  let eps = normal like y from noise                         # one direction for both points
  share drop {                                               # both passes draw the same masks
    let Dt = D(y + t * eps, t, lab, aug)
    let target = rows r > 0 { stop(D(y + r * eps, r, lab, aug)) } else { y }   # rows with r = 0 are not computed
  }
  let off = sum[c,h,w]((Dt - target)^2)
  report sigma = t                                           # metrics.jsonl: loss by noise-level bucket
  report resolution = sqrt(off / (y.c * y.h * y.w) / (rounding2(Dt, y + t * eps, t) + rounding2(target, y + r * eps, r)))   # below 1: it is rounding
  return (sqrt(off + c^2) - c) / (t - r)
}

program denoise(x: [n:batch, c:colors, h:res, w:res], sigma: [n], labels: [n, c:labels], augment: [n, c:augment])
  -> denoised = D(x, sigma, labels, augment)
program denoise_train(x: [n:batch, c:colors, h:res, w:res], sigma: [n], labels: [n, c:labels], augment: [n, c:augment]) training
  -> denoised = D(x, sigma, labels, augment)

train(images: [n:batch, c:colors, h:res, w:res], labels: [n, c:labels], augment: [n, c:augment]) {   # makes programs loss, grad, train_step
  minimize  mean[n](ect(images, labels, augment))            # programs loss and grad return the `loss` inside, per image; images arrive in [-1, 1]
  gradient  fn(g) = nan_to_num(g, nan = 0, inf = 1e5)        # after program `grad`
  optimizer if optimizer == "radam" { Radam(lr, beta1, beta2) } else { Adam(lr, beta1, beta2) }
  ema as "ema" = Ema(ema_beta)                               # starts at the loaded weights; several allowed
}

sample(z: [n:batch, c:colors, h:res, w:res], labels: [n, c:labels], mid: times = []) -> images {
  var x = D@ema(sigma_max * z, sigma_max, labels, 0)
  each t in mid { x = D@ema(x + t * normal like x from sample, t, labels, 0) }   # run-time list: one compiled step, repeated
  return x
}
