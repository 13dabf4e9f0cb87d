# pass: simplify
# The data gradient of a 3x3 convolution becomes one contraction over (o, kh, kw): no tensor 9 times too large.
%1 = input "dy" [o:4,n:2,h:8,w:8]
%2 = param "conv.weight" set "" [o:4,i:3,kh:3,kw:3]
%3 = contract (o) %1 %2 [n:2,h:8,w:8,i:3,kh:3,kw:3]
%4 = unwindow w kw stride 1 dil 1 pad 1 out 8 %3 [n:2,h:8,w:8,i:3,kh:3,kw:3]
%5 = sum (kw) %4 [n:2,h:8,w:8,i:3,kh:3]
%6 = unwindow h kh stride 1 dil 1 pad 1 out 8 %5 [n:2,h:8,w:8,i:3,kh:3]
%7 = sum (kh) %6 [n:2,h:8,w:8,i:3]
%8 = rename i c %7 [n:2,h:8,w:8,c:3]
out "dx" %8
# >>>
%1 = input "dy" [o:4,n:2,h:8,w:8]
%2 = param "conv.weight" set "" [o:4,i:3,kh:3,kw:3]
%3 = window w kw k 3 stride 1 dil -1 pad -1 out 8 %1 [o:4,n:2,h:8,w:8,kw:3]
%4 = window h kh k 3 stride 1 dil -1 pad -1 out 8 %3 [o:4,n:2,h:8,w:8,kw:3,kh:3]
%5 = contract (o,kw,kh) %4 %2 [n:2,h:8,w:8,i:3]
%6 = rename i c %5 [n:2,h:8,w:8,c:3]
out "dx" %6
