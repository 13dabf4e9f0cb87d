fn silu(x) = x
