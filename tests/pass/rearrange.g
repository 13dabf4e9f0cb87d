# pass: simplify
# Rearrangements compose; one and its inverse vanish; factors that stay together are one.
%1 = input "x" [n:2,c:12,h:4,w:4]
%2 = rearrange (2)(2 6)(2 2)(4) -> (0)(1)(2)(3 4 5) %1 [n:2,head:2,d:6,px:16]
%3 = exp %2 [n:2,head:2,d:6,px:16]
%4 = rearrange (2)(2)(6)(4 4) -> (0)(1 2)(3)(4) %3 [n:2,c:12,h:4,w:4]
%5 = rearrange (2)(2 6)(4)(4) -> (0)(1)(2)(3 4) %4 [n:2,head:2,d:6,px:16]
%6 = log %5 [n:2,head:2,d:6,px:16]
out "y" %6
# >>>
%1 = input "x" [n:2,c:12,h:4,w:4]
%2 = rearrange (2)(2 6)(4)(4) -> (0)(1)(2)(3 4) %1 [n:2,head:2,d:6,px:16]
%3 = exp %2 [n:2,head:2,d:6,px:16]
%4 = log %3 [n:2,head:2,d:6,px:16]
out "y" %4
