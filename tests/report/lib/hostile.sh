# make_hostile DIR: a folder with model.dsl, a small U-Net whose text tries to leave the page's data; and its plan.
# Assumes ECTC and SRC from the runner; sourced.
make_hostile() {
    cp "$SRC"/models/unet_ect.dsl "$1"
    {
        echo '# </script><img src=x onerror="document.title=1"> & <!-- <script> ]]> &lt; ü ∂ "\u003c" @@data@@ @@script@@'
        cat "$SRC"/models/shapes.dsl
    } >"$1/model.dsl"
    "$ECTC" "$1/model.dsl" -o "$1/plan" -D channels=16 -D 'mult=[1,2]' -D batch=4 -D dropout=0.1 >"$1/log"
}
