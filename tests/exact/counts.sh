#!/bin/sh
# The bytes each launch loads and stores, counted address by address, against the plan's figure for it.
. "$SRC/tests/exact/lib"
plan counts "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' -D labels=10
# The plan's figure is each buffer of a launch once and whole: no launch may load more, or store more, and most touch just that.
# Where only a part of a buffer is read, or a buffer is read and written, the figures differ; those kernels are listed.
exact counts --count >"$work/out" || true
cat "$work/out"
awk '$1 == "differs" { if (!($7 + 0 <= $4 + 0 && $9 + 0 <= $4 + 0)) { print "more than the plan says: " $2; bad = 1 } }
    /launches touch/ { all += $3; other += $(NF - 2) }
    END { if (bad || !all || !(other * 5 < all)) { print all + 0, "launches,", other + 0, "differ"; exit 1 } }' "$work/out"
