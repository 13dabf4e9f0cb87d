# min[..] is -max(-x), and over one element only the two signs are left: they were printed as C's decrement.
program f(x: [n:2, c:16, h:1]) -> y = min[h](x) * 2
