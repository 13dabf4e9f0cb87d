#!/bin/sh
# Products of rounded operands on cpu, ref and cuda-emu: bf16, f16 and tf32, each written in the text (ref rounds too, so only sums in f32 differ) and
# compiled with that precision. Every leaf: convolutions staged once, strided, narrow, of odd sizes; plain products whichever operand lies how;
# batches; long sums in parts; rows reduced in the tile.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
cat >"$work/model.dsl" <<'DSL'
block Conv3(i: int, o: int)(x: [n, c:i, h, w]) -> [n, c:o, h, w] {
  param weight: [o:o, i:i, kh:3, kw:3] = normal(0, 0.3)
  return sum[i,kh,kw](ROUND(weight) * window(ROUND(max(0, x[c as i])); h by kh:3, w by kw:3; pad = 1))[o as c]
}
block Strided(i: int, o: int)(x: [n, c:i, h:H, w:W]) -> [n, c:o, h:H//2, w:W//2] {
  param weight: [o:o, i:i, kh:3, kw:3] = normal(0, 0.3)
  return sum[i,kh,kw](ROUND(weight) * window(ROUND(x[c as i]); h by kh:3, w by kw:3; pad = 1, stride = 2))[o as c]
}
block Pixel(i: int, o: int)(x: [n, c:i, h, w]) -> [n, c:o, h, w] {
  param weight: [o:o, i:i] = normal(0, 0.3)
  return sum[i](ROUND(weight) * ROUND(x[c as i]))[o as c]
}
use conv as "conv" = Conv3(32, 40), narrow as "narrow" = Conv3(3, 5), strided as "strided" = Strided(16, 24), pixel as "pixel" = Pixel(48, 130)
program convolution(x: [n:2, c:32, h:8, w:8]) -> y = conv(x)
program wide_lines(x: [n:2, c:32, h:16, w:16]) -> y = conv(x)
program narrow_odd(x: [n:3, c:3, h:7, w:5]) -> y = narrow(x)
program with_stride(x: [n:2, c:16, h:8, w:8]) -> y = strided(x)
program pixels(x: [n:2, c:48, h:9, w:9]) -> y = pixel(x)
program softened(x: [n:2, c:48, h:8, w:8]) -> y = softmax[c](pixel(x))
program logits(x: [n:3, c:24, i:17], z: [n, c, j:20]) -> y = sum[c](ROUND(x) * ROUND(z))
program values(x: [n:2, i:16, j:40], z: [n, j, c:24]) -> y = sum[j](ROUND(x) * ROUND(z))
program weights(x: [n:4, c:24, h:16, w:16], z: [n, o:33, h, w]) -> y = sum[n,h,w](ROUND(x) * ROUND(z))
program turned(x: [n:2, c:24, h:8, w:8], z: [n, o:33, h, w]) -> y = sum[h](ROUND(x[w as u]) * ROUND(z))
DSL
AGREE='--scaled --emu'
for number in bf16 f16 tf32; do
    sed "s/ROUND/$number/g" "$work/model.dsl" >"$work/$number.dsl"
    for precision in f32 $number; do agree $number-$precision "$work/$number.dsl" --precision $precision --target cpu,cuda; done
done
