program f(x: [a:1, b:1, c:1, d:1, e:1, f:1, g:1, h:1]) -> y = x * x[a as i, b as j, c as k, d as l, e as m, f as n, g as o, h as p] * x[a as q, b as r]
#| E0505_rank_limit.dsl:1:133: error E0505: `*` makes a tensor of more than 16 axes
#|     1 | program f(x: [a:1, b:1, c:1, d:1, e:1, f:1, g:1, h:1]) -> y = x * x[a as i, b as j, c as k, d as l, e as m, f as n, g as o, h as p] * x[a as q, b as r]
#|       |                                                                                                                                     ^
#|    note: in program f
#|    help: merge axes with rearrange      (ectc explain E0505)
