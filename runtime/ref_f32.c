/* The interpreter in f32: sums and contractions accumulate in f64 and round once.
   See ref_body.h. */
#define REAL float
#define F(name) name##_f32
#define M(name) name##f
#include "runtime/ref_body.h"
