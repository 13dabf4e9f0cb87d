import circle_b
fn fa(x) = fb(x)
