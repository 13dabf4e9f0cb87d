# pass: simplify
# Pads of disjoint ranges become one concatenation; slices of a concatenation are its pieces.
%1 = input "q" [c:2]
%2 = input "k" [c:3]
%3 = pad c 0 3 %1 [c:5]
%4 = pad c 2 0 %2 [c:5]
%5 = add %3 %4 [c:5]
%6 = slice c 1 3 %5 [c:3]
%7 = slice c 0 2 %5 [c:2]
%8 = slice c 2 3 %5 [c:3]
%9 = concat c %7 %8 [c:5]
out "sum" %5
out "middle" %6
out "again" %9
# >>>
%1 = input "q" [c:2]
%2 = input "k" [c:3]
%3 = concat c %1 %2 [c:5]
%4 = slice c 1 1 %1 [c:1]
%5 = slice c 0 2 %2 [c:2]
%6 = concat c %4 %5 [c:3]
out "sum" %3
out "middle" %6
out "again" %3
