# Optimisers, moving averages of the weights, learning-rate schedules. Each is element-wise over all parameters at once.

# Rectified Adam: plain momentum until the second moment can be trusted (rho > 5).
optimizer Radam(lr, beta1, beta2, eps: real = 1e-8) for p, g {
  state m = 0, v = 0
  runtime rho_inf = 2 / (1 - beta2) - 1, rho = rho_inf - 2 * step * beta2^step / (1 - beta2^step)
  runtime rect = if rho > 5 { sqrt((rho-4)*(rho-2)*rho_inf / ((rho_inf-4)*(rho_inf-2)*rho)) * sqrt(1 - beta2^step) } else { 0 }
  m := m + (1 - beta1) * (g - m)
  v := beta2 * v + (1 - beta2) * g^2
  let mhat = m / (1 - beta1^step)
  p := p - lr * where(rect > 0, mhat * rect / (sqrt(v) + eps), mhat)
}

optimizer Adam(lr, beta1, beta2, eps: real = 1e-8) for p, g {
  state m = 0, v = 0
  m := m + (1 - beta1) * (g - m)
  v := beta2 * v + (1 - beta2) * g^2
  p := p - lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)
}

optimizer Sgd(lr) for p, g {
  p := p - lr * g
}

# Starts at the loaded weights.
ema Ema(beta) for p { state e = p;  e := p + beta * (e - p) }

# Power-function average: its profile keeps the relative width `std` (below 0.289) as training goes on.
fn power_gamma(std: real, g: real, n: int) = if n == 0 { g } else {
  power_gamma(std, g - (g^3 + 7*g^2 + (16 - std^-2)*g + (12 - std^-2)) / (3*g^2 + 14*g + (16 - std^-2)), n - 1)
}
ema PowerEma(std: real) for p {
  state e = p
  const gamma = power_gamma(std, 1/std, 60)
  e := p + (1 - 1/step)^(gamma + 1) * (e - p)
}

# Factors for a learning rate, in images seen:  runtime lr: real = 1e-3 * warm_up(1e6) * inverse_sqrt(2e6)
fn warm_up(images: real) = min(seen / images, 1)
fn inverse_sqrt(images: real) = 1 / sqrt(max(seen / images, 1))
