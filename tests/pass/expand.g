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
%6 = sqdev (c) %1 [n:2] @model.dsl:4:9 "norm"
%7 = div %6 %2 [n:2] @model.dsl:4:9 "norm"
%8 = const 0x1p-20 [] @model.dsl:4:9 "norm"
%9 = add %7 %8 [n:2] @model.dsl:4:9 "norm"
%10 = rsqrt %9 [n:2] @model.dsl:4:9 "norm"
%11 = mul %5 %10 [n:2,c:8] @model.dsl:4:9 "norm"
%12 = rmax (c) %11 [n:2]
%13 = sub %11 %12 [n:2,c:8]
%14 = exp %13 [n:2,c:8]
%15 = sum (c) %14 [n:2]
%16 = div %14 %15 [n:2,c:8]
out "y" %16
