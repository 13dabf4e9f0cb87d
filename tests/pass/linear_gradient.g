# pass: autodiff
%1 = input "x" [n:4,c:3]
%2 = param "weight" set "" [o:2,i:3]
%3 = param "bias" set "" [c:2]
%4 = rename c i %1 [n:4,i:3]
%5 = contract (i) %4 %2 [n:4,o:2] @m.dsl:3:5
%6 = rename o c %5 [n:4,c:2]
%7 = add %6 %3 [n:4,c:2]
%8 = mul %7 %7 [n:4,c:2]
%9 = sum (n,c) %8 []
out "loss" %9
# >>>
%1 = input "x" [n:4,c:3]
%2 = param "weight" set "" [o:2,i:3]
%3 = param "bias" set "" [c:2]
%4 = rename c i %1 [n:4,i:3]
%5 = contract (i) %4 %2 [n:4,o:2] @m.dsl:3:5
%6 = rename o c %5 [n:4,c:2]
%7 = add %6 %3 [n:4,c:2]
%8 = mul %7 %7 [n:4,c:2]
%9 = sum (n,c) %8 []
%10 = const 0x1p+1 []
%11 = mul %10 %7 [n:4,c:2]
%12 = sum (n) %7 [c:2]
%13 = mul %10 %12 [c:2]
%14 = rename c o %11 [n:4,o:2]
%15 = contract (n) %14 %4 [o:2,i:3] @m.dsl:3:5
out "loss" %9
out "grad.weight" %15
out "grad.bias" %13
