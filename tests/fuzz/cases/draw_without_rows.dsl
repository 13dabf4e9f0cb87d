# A draw without n is that of sample 0 wherever a batch begins; kernels took the batch's first sample. Seen in exact mode, whose batch begins at 40.
stream noise
program f(x: [n:2, a:4]) -> y = mean[n](x) * normal like mean[n](x) from noise
