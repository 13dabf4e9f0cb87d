#!/usr/bin/env python3
"""The DDPM++ training step with the ECT loss, and its sampler, in plain PyTorch as a user of PyTorch would write them.

What bench/*.sh measures beside ours; assumes torch. Nothing of ectc or ect-rt uses this. Parameter names equal EDM's.
  peer_torch.py train  [--batch 8] [--iters 3] [--mode eager|compile] [--channels-last] [--dropout 0.2] [--q 256]
                       [--channels 128 --mult 2,2,2 --blocks 4 --res 32]
  peer_torch.py sample [--batch 8] [--steps 1|2] ...
One JSON line on standard output: times per step (s), images/s, peak memory (bytes), seconds from process start to the end
of step 1.
"""
import argparse, json, math, resource, sys, time
T0 = time.perf_counter()
import torch
import torch.nn.functional as F
from torch import nn


def groups(c):
    return min(32, c // 4)


class Block(nn.Module):
    """Residual block of DDPM++: [n, cin, h, w] and embedding [n, e] -> [n, cout, h', w']."""

    def __init__(self, cin, cout, emb, mode="keep", attn=False, p=0.0):
        super().__init__()
        self.mode, self.p, self.attn = mode, p, attn
        self.norm0 = nn.GroupNorm(groups(cin), cin, eps=1e-6)
        self.conv0 = nn.Conv2d(cin, cout, 3, padding=1)
        self.affine = nn.Linear(emb, cout)
        self.norm1 = nn.GroupNorm(groups(cout), cout, eps=1e-6)
        self.conv1 = nn.Conv2d(cout, cout, 3, padding=1)
        self.skip = nn.Conv2d(cin, cout, 1) if cin != cout or mode != "keep" else None
        if attn:
            self.norm2 = nn.GroupNorm(groups(cout), cout, eps=1e-6)
            self.qkv = nn.Conv2d(cout, 3 * cout, 1)
            self.proj = nn.Conv2d(cout, cout, 1)

    def resample(self, x):
        if self.mode == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        if self.mode == "down":
            return F.avg_pool2d(x, 2)
        return x

    def forward(self, x, emb):
        h = F.silu(self.norm0(x))
        # up: resample then convolve; down: mean first, then convolve
        h = self.conv0(self.resample(h))
        h = F.silu(self.norm1(h + self.affine(emb)[:, :, None, None]))
        h = self.conv1(F.dropout(h, self.p, self.training))
        s = x if self.skip is None else self.skip(self.resample(x))
        h = (h + s) * math.sqrt(0.5)
        if self.attn:
            n, c, hh, ww = h.shape
            q, k, v = self.qkv(self.norm2(h)).reshape(n, c, 3, hh * ww).unbind(2)
            a = F.scaled_dot_product_attention(*(t.transpose(1, 2)[:, None] for t in (q, k, v)))
            a = a[:, 0].transpose(1, 2).reshape(n, c, hh, ww)
            h = (h + self.proj(a)) * math.sqrt(0.5)
        return h


class DDPMpp(nn.Module):
    def __init__(self, res=32, ch=128, mult=(2, 2, 2), blocks=4, attn=(16,), p=0.0, colors=3):
        super().__init__()
        emb = 4 * ch
        self.ch = ch
        self.map_layer0 = nn.Linear(ch, emb)
        self.map_layer1 = nn.Linear(emb, emb)
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        skips, cout = [], ch
        for l, m in enumerate(mult):
            r = res >> l
            if l == 0:
                self.enc[f"{r}x{r}_conv"] = nn.Conv2d(colors, ch, 3, padding=1)
            else:
                self.enc[f"{r}x{r}_down"] = Block(cout, cout, emb, "down", p=p)
            skips.append(cout)
            for i in range(blocks):
                self.enc[f"{r}x{r}_block{i}"] = Block(cout, ch * m, emb, attn=r in attn, p=p)
                cout = ch * m
                skips.append(cout)
        for l in reversed(range(len(mult))):
            r, m = res >> l, mult[l]
            if l == len(mult) - 1:
                self.dec[f"{r}x{r}_in0"] = Block(cout, cout, emb, attn=True, p=p)
                self.dec[f"{r}x{r}_in1"] = Block(cout, cout, emb, p=p)
            else:
                self.dec[f"{r}x{r}_up"] = Block(cout, cout, emb, "up", p=p)
            for i in range(blocks + 1):
                self.dec[f"{r}x{r}_block{i}"] = Block(cout + skips.pop(), ch * m, emb, attn=i == blocks and r in attn, p=p)
                cout = ch * m
        self.dec[f"{res}x{res}_aux_norm"] = nn.GroupNorm(groups(cout), cout, eps=1e-6)
        self.dec[f"{res}x{res}_aux_conv"] = nn.Conv2d(cout, colors, 3, padding=1)

    def forward(self, x, c_noise):
        half = self.ch // 2
        f = 10000.0 ** -(torch.arange(half, device=x.device, dtype=torch.float32) / (half - 1))
        a = c_noise.float()[:, None] * f
        e = torch.cat([a.sin(), a.cos()], 1)
        e = F.silu(self.map_layer1(F.silu(self.map_layer0(e))))
        skips = []
        for name, b in self.enc.items():
            x = b(x) if name.endswith("_conv") else b(x, e)
            skips.append(x)
        for name, b in self.dec.items():
            if name.endswith("_aux_norm"):
                x = F.silu(b(x))
            elif name.endswith("_aux_conv"):
                x = b(x)
            else:
                if "_block" in name:
                    x = torch.cat([x, skips.pop()], 1)
                x = b(x, e)
        return x


class Denoiser(nn.Module):
    """EDM preconditioning around the network. x [n,c,h,w], sigma [n]; train and eval forms of ECT."""

    def __init__(self, **kw):
        super().__init__()
        self.model = DDPMpp(**kw)
        self.dtype = torch.float32

    def forward(self, x, sigma):
        s = sigma.float().reshape(-1, 1, 1, 1)
        sd, lo = 0.5, 0.0 if self.training else 0.003
        skip = sd**2 / ((s - lo) ** 2 + sd**2)
        out = (s - lo) * sd / (s**2 + sd**2).sqrt()
        inp = x / (s**2 + sd**2).sqrt()
        if self.dtype == torch.float32:
            f = self.model(inp, s.flatten().log() / 4)
        else:
            with torch.autocast(x.device.type, self.dtype):
                f = self.model(inp, s.flatten().log() / 4)
        return skip * x + out * f.float()


def ect_loss(net, y, stage, q=256.0, k=8.0, b=1.0, c=0.0, mean=-1.1, std=2.0):
    """Per-image ECT loss [n]; dropout masks shared by the two passes through the generator state."""
    t = (torch.randn(y.shape[0], 1, 1, 1, device=y.device) * std + mean).exp()
    r = (t * (1 - q ** -(stage + 1) * (1 + k * torch.sigmoid(-b * t)))).clamp(min=0)
    eps = torch.randn_like(y)
    rng = torch.cuda if y.is_cuda else torch
    state = rng.get_rng_state()
    dt = net(y + eps * t, t)
    rng.set_rng_state(state)
    with torch.no_grad():
        dr = torch.nan_to_num(net(y + eps * r, r))
        dr = torch.where(r > 0, dr, y)
    s = ((dt - dr) ** 2).sum((1, 2, 3))
    return ((s + c * c).sqrt() - c) / (t - r).flatten()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["train", "sample"])
    ap.add_argument("--batch", type=int, default=4)
    ap.add_argument("--iters", type=int, default=4)
    ap.add_argument("--steps", type=int, default=1)
    ap.add_argument("--mode", choices=["eager", "compile", "max-autotune"], default="eager")
    ap.add_argument("--device", default="cpu")
    ap.add_argument("--dtype", choices=["fp32", "tf32", "bf16"], default="fp32")
    ap.add_argument("--channels-last", action="store_true")
    ap.add_argument("--channels", type=int, default=128)
    ap.add_argument("--mult", default="2,2,2")
    ap.add_argument("--blocks", type=int, default=4)
    ap.add_argument("--res", type=int, default=32)
    ap.add_argument("--dropout", type=float, default=0.2)
    ap.add_argument("--q", type=float, default=256)
    ap.add_argument("--stage", type=int, default=0)
    ap.add_argument("--optim", default="RAdam")
    a = ap.parse_args()
    dev = torch.device(a.device)
    if a.dtype == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    kw = dict(res=a.res, ch=a.channels, mult=[int(m) for m in a.mult.split(",")], blocks=a.blocks, p=a.dropout)
    net = Denoiser(**kw).to(dev)
    if a.dtype == "bf16":
        net.dtype = torch.bfloat16
    if a.channels_last:
        net = net.to(memory_format=torch.channels_last)
    fwd = net
    if a.mode != "eager":
        fwd = torch.compile(net, mode=None if a.mode == "compile" else "max-autotune")
    y = torch.randn(a.batch, 3, a.res, a.res, device=dev).clamp(-1, 1)
    if a.channels_last:
        y = y.to(memory_format=torch.channels_last)
    sync = torch.cuda.synchronize if dev.type == "cuda" else lambda: None
    times = []
    if a.what == "train":
        net.train()
        import copy
        ema = copy.deepcopy(net).requires_grad_(False)
        opt = getattr(torch.optim, a.optim)(net.parameters(), lr=1e-4)
        for i in range(a.iters):
            sync(); t0 = time.perf_counter()
            opt.zero_grad(set_to_none=True)
            loss = ect_loss(fwd, y, a.stage, q=a.q).mean()
            loss.backward()
            gs = [p.grad for p in net.parameters()]
            torch._foreach_copy_(gs, [torch.nan_to_num(g, nan=0, posinf=1e5, neginf=-1e5) for g in gs])
            opt.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - 0.9993)
            sync(); times.append(time.perf_counter() - t0)
            if i == 0:
                cold = time.perf_counter() - T0
    else:
        net.eval()
        ts = [80.0, 0.821][: a.steps]
        with torch.no_grad():
            for i in range(a.iters):
                sync(); t0 = time.perf_counter()
                x = torch.randn_like(y) * ts[0]
                for j, t in enumerate(ts):
                    x = fwd(x, torch.full((a.batch,), t, device=dev))
                    if j + 1 < len(ts):
                        x = x + ts[j + 1] * torch.randn_like(x)
                sync(); times.append(time.perf_counter() - t0)
                if i == 0:
                    cold = time.perf_counter() - T0
    best = min(times[1:] or times)
    peak = torch.cuda.max_memory_allocated() if dev.type == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(dict(peer="pytorch " + torch.__version__, **vars(a),
                          times_s=[round(t, 4) for t in times], best_s=round(best, 4),
                          images_per_s=round(a.batch / best, 3), peak_bytes=peak, cold_start_s=round(cold, 2),
                          params=sum(p.numel() for p in net.parameters()), threads=torch.get_num_threads())))


if __name__ == "__main__":
    main()
