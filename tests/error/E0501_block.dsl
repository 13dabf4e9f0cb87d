block B(k: int)(x: [n, c]) -> [n, c] {
  use inner = B(k + 1)
  return inner(x)
}
use b = B(0)
program f(x: [n:4, c:8]) -> y = b(x)
#| E0501_block.dsl:2:15: error E0501: recursion without end: calls are nested more than 250 deep
#|     2 |   use inner = B(k + 1)
#|       |               ^^^^^^^^
#|    note: in b.inner.inner.inner.inner.inne...nner.inner.inner.inner.inner.inner.inner (B), from E0501_block.dsl:3
#|    note: in b.inner.inner.inner.inner.inne...nner.inner.inner.inner.inner.inner.inner (B), from E0501_block.dsl:3
#|    note: in b.inner.inner.inner.inner.inne...nner.inner.inner.inner.inner.inner.inner (B), from E0501_block.dsl:3
#|    note: in b.inner.inner.inner.inner.inne...nner.inner.inner.inner.inner.inner.inner (B), from E0501_block.dsl:3
#|    note: in b.inner.inner.inner.inner.inne...nner.inner.inner.inner.inner.inner.inner (B), from E0501_block.dsl:3
#|    note: in b.inner.inner.inner.inner.inne...nner.inner.inner.inner.inner.inner.inner (B), from E0501_block.dsl:3
#|    note: and 244 more
#|    help: what calls itself must end: `if k > 0 { ... }` with a compile-time k      (ectc explain E0501)
