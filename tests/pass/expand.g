# pass: expand
%1 = input "x" [n:2,c:8]
%2 = standardize (c) eps 0x1p-20 %1 [n:2,c:8] @model.dsl:4:9 "norm"
%3 = softmax (c) %2 [n:2,c:8]
out "y" %3
# >>>
%1 = input "x" [n:2,c:8]
%2 = const 0x1p+3 [] @model.dsl:4:9 "norm"
%3 = sum (c) %1 [n:2] @model.dsl:4:9 "norm"
%4 = div %3 %2 [n:2] @model.dsl:4:9 "norm"
%5 = sub %1 %4 [n:2,c:8] @model.dsl:4:9 "norm"
%6 = mul %5 %5 [n:2,c:8] @model.dsl:4:9 "norm"
%7 = sum (c) %6 [n:2] @model.dsl:4:9 "norm"
%8 = div %7 %2 [n:2] @model.dsl:4:9 "norm"
%9 = const 0x1p-20 [] @model.dsl:4:9 "norm"
%10 = add %8 %9 [n:2] @model.dsl:4:9 "norm"
%11 = rsqrt %10 [n:2] @model.dsl:4:9 "norm"
%12 = mul %5 %11 [n:2,c:8] @model.dsl:4:9 "norm"
%13 = rmax (c) %12 [n:2]
%14 = sub %12 %13 [n:2,c:8]
%15 = exp %14 [n:2,c:8]
%16 = sum (c) %15 [n:2]
%17 = div %15 %16 [n:2,c:8]
out "y" %17
