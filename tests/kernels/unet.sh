#!/bin/sh
# Every generated kernel of DDPM++ in small sizes at batch 2, with dropout, labels and augment vector, and with the other choices of the model text.
. "$SRC/tests/kernels/lib"
agree labels "$SRC/models/unet_ect.dsl" -D res=16 -D channels=16 -D 'mult=[1,2]' -D blocks=1 -D labels=10 -D augment=9 -D optimizer=adam
agree deep "$SRC/models/unet_ect.dsl" -D res=32 -D channels=8 -D 'mult=[1,2,2]' -D blocks=2 -D 'attn=[8]' -D colors=1 -D mapping=const
