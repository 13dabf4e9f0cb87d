#!/bin/sh
# Every generated kernel of a small DDPM++ at batch 2 with dropout, labels, augment vector and Adam: cpu against the interpreters.
. "$SRC/tests/kernels/lib"
in_one_go
agree labels "$SRC/models/unet_ect.dsl" -D res=16 -D channels=16 -D 'mult=[1,2]' -D blocks=1 -D labels=10 -D augment=9 -D optimizer=adam
