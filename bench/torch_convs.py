"""cuDNN's time for each convolution shape of a DDPM++ training step at batch 128: forward, data gradient, weight gradient.

One line of JSON a shape, printed when it is known. channels-last; the fastest algorithm (cudnn.benchmark). Assumes torch with CUDA, or --device cpu to
try the script."""
import argparse
import json
import time

import torch

# image size, input channels, output channels, kernel: every convolution of the net, the most frequent first.
SHAPES = [(32, 256, 256, 3), (16, 256, 256, 3), (8, 256, 256, 3), (32, 512, 256, 3), (16, 512, 256, 3), (8, 512, 256, 3), (32, 384, 256, 3),
          (32, 128, 256, 3), (32, 128, 128, 3), (32, 512, 256, 1), (16, 512, 256, 1), (8, 512, 256, 1), (16, 256, 768, 1), (16, 256, 256, 1),
          (32, 3, 128, 3), (32, 256, 3, 3)]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--device", default="cuda")
    ap.add_argument("--dtype", choices=["bf16", "fp32"], default="bf16")
    ap.add_argument("--batch", type=int, default=128)
    ap.add_argument("--times", type=int, default=20)
    a = ap.parse_args()
    torch.backends.cudnn.benchmark = True
    dtype = torch.bfloat16 if a.dtype == "bf16" else torch.float32
    cuda = a.device == "cuda"

    def clock(f):
        for _ in range(3 if cuda else 1):
            f()
        if not cuda:
            t = time.perf_counter()
            for _ in range(a.times):
                f()
            return (time.perf_counter() - t) / a.times * 1e6
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(a.times):
            f()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / a.times * 1e3

    for size, cin, cout, k in SHAPES:
        last = torch.channels_last
        x = torch.randn(a.batch, cin, size, size, device=a.device, dtype=dtype).to(memory_format=last)
        w = torch.randn(cout, cin, k, k, device=a.device, dtype=dtype).to(memory_format=last)
        dy = torch.randn(a.batch, cout, size, size, device=a.device, dtype=dtype).to(memory_format=last)

        def back(data, weights):
            return torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [k // 2, k // 2], [1, 1], False, [0, 0], 1, [data, weights, False])

        forward = clock(lambda: torch.nn.functional.conv2d(x, w, padding=k // 2))
        data = clock(lambda: back(True, False))
        weights = clock(lambda: back(False, True))
        flops = 2 * a.batch * size * size * cin * cout * k * k
        print(json.dumps(dict(shape=f"{size}x{size} {cin}->{cout} {k}x{k}", dtype=a.dtype, batch=a.batch, forward_us=round(forward, 1), data_us=round(data, 1),
                              weights_us=round(weights, 1), tflops=round(flops / forward / 1e6, 1))), flush=True)


if __name__ == "__main__":
    main()
