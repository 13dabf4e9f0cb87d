# pass: compact
# The first branch's contraction, with all that only it needs, reads rows through a table and is put back by rank; the gate falls away; what the
# second output reads as well stays where it is; a draw keeps its rows' own numbers. The second `rows` has no contraction and stays.
%1 = input "x" [n:4,c:3]
%2 = input "t" [n:4]
%3 = const 0x0p+0 []
%4 = lt %3 %2 [n:4] bool
%5 = const 0x1p+0 []
%6 = where %4 %1 %5 [n:4,c:3]
%7 = where %4 %2 %5 [n:4]
%8 = log %7 [n:4]
%9 = mul %6 %8 [n:4,c:3]
%10 = param "w" set "" [o:2,c:3]
%11 = contract (c) %10 %9 [o:2,n:4]
%12 = draw normal stream "s" path "draw.s" [n:4,c:2]
%13 = rename o c %11 [c:2,n:4]
%14 = exp %2 [n:4]
%15 = add %13 %14 [c:2,n:4]
%16 = mul %15 %12 [c:2,n:4]
%17 = stop %16 [c:2,n:4]
%18 = rearrange (2)(4) -> (1)(0) %17 [n:4,c:2]
%19 = rows %4 %18 %5 [n:4,c:2]
%20 = rows %4 %8 %2 [n:4]
out "y" %19
out "log" %20
out "exp" %14
# >>>
%1 = input "x" [n:4,c:3]
%2 = input "t" [n:4]
%3 = const 0x0p+0 []
%4 = lt %3 %2 [n:4] bool
%5 = const 0x1p+0 []
%6 = where %4 %2 %5 [n:4]
%7 = log %6 [n:4]
%8 = param "w" set "" [o:2,c:3]
%9 = draw normal stream "s" path "draw.s" [n:4,c:2]
%10 = exp %2 [n:4]
%11 = rows_order %4 [n:4]
%12 = rows_count %4 []
%13 = rows_rank %4 [n:4]
%14 = take %1 %11 %12 [n:4,c:3]
%15 = take %7 %11 %12 [n:4]
%16 = mul %14 %15 [n:4,c:3]
%17 = contract (c) %8 %16 [o:2,n:4]
%18 = rename o c %17 [c:2,n:4]
%19 = take %10 %11 %12 [n:4]
%20 = add %18 %19 [c:2,n:4]
%21 = take %9 %11 %12 [n:4,c:2]
%22 = mul %20 %21 [c:2,n:4]
%23 = stop %22 [c:2,n:4]
%24 = rearrange (2)(4) -> (1)(0) %23 [n:4,c:2]
%25 = take %24 %13 [n:4,c:2]
%26 = where %4 %25 %5 [n:4,c:2]
%27 = rows %4 %7 %2 [n:4]
out "y" %26
out "log" %27
out "exp" %10
