#!/bin/sh
# Every generated kernel of models/shapes.dsl at batch 2: cpu against the interpreters; threads, repeats and replaced draws to the byte.
. "$SRC/tests/kernels/lib"
agree shapes "$SRC/models/shapes.dsl"
