# pass: simplify
# The same at stride 2: the operand is read through an unwindow of itself.
%1 = input "dy" [o:4,n:2,h:4,w:4]
%2 = param "conv.weight" set "" [o:4,i:3,kh:3,kw:3]
%3 = contract (o) %1 %2 [n:2,h:4,w:4,i:3,kh:3,kw:3]
%4 = unwindow w kw stride 2 dil 1 pad 1 out 8 %3 [n:2,h:4,w:8,i:3,kh:3,kw:3]
%5 = sum (kw) %4 [n:2,h:4,w:8,i:3,kh:3]
%6 = unwindow h kh stride 2 dil 1 pad 1 out 8 %5 [n:2,h:8,w:8,i:3,kh:3]
%7 = sum (kh) %6 [n:2,h:8,w:8,i:3]
out "dx" %7
# >>>
%1 = input "dy" [o:4,n:2,h:4,w:4]
%2 = param "conv.weight" set "" [o:4,i:3,kh:3,kw:3]
%3 = expand kw 3 %1 [o:4,n:2,h:4,w:4,kw:3]
%4 = unwindow w kw stride 2 dil 1 pad 1 out 8 %3 [o:4,n:2,h:4,w:8,kw:3]
%5 = expand kh 3 %4 [o:4,n:2,h:4,w:8,kw:3,kh:3]
%6 = unwindow h kh stride 2 dil 1 pad 1 out 8 %5 [o:4,n:2,h:8,w:8,kw:3,kh:3]
%7 = contract (o,kw,kh) %6 %2 [n:2,h:8,w:8,i:3]
out "dx" %7
