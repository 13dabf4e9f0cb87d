/* The interpreter in f64; random draws are the f32 values, widened.
   See ref_body.h. */
#define REAL double
#define F(name) name##_f64
#define M(name) name
#include "runtime/ref_body.h"
