import circle_a
fn fb(x) = fa(x)
