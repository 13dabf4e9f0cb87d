#!/bin/sh
# Every generated kernel of the whole DDPM++, 55.7 million parameters, at batch 1: cpu against ref.
. "$SRC/tests/kernels/lib"
AGREE=--quick
agree full "$SRC/models/unet_ect.dsl" -D batch=1
