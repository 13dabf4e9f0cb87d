#!/bin/sh
# The tables of docs/language.md name every function, reserved word and program there is.
# Assumes SRC from the runner.
set -eu
doc=$SRC/docs/language.md bad=0
for name in $(sed -n 's/^BUILTIN(\([a-z0-9_]*\),.*/\1/p' "$SRC/compiler/builtins.def"); do
    grep -q "^| \`$name[\`([]" "$doc" || { echo "docs/language.md: no row for the function $name"; bad=1; }
done
# Reserved words come before IMPORT in the lexer's table.
reserved=$(awk '/\{"if", TOK_IF\}/ { on = 1 } /TOK_IMPORT/ { on = 0 } on' "$SRC/dsl/lexer.l" | grep -o '"[a-z]*"' | tr -d '"' | sort | tr '\n' ' ')
said=$(grep '^Reserved: ' "$doc" | grep -o '`[a-z]*`' | tr -d '`' | sort | tr '\n' ' ')
[ "$reserved" = "$said" ] || { echo "docs/language.md: reserved words are $reserved, not $said"; bad=1; }
for std in "$SRC"/dsl/std/*.dsl; do
    for name in $(sed -n 's/^\(block\|fn\|optimizer\|ema\|loss\) \([A-Za-z0-9_]*\).*/\2/p; s/^stream //p' "$std" | tr -d ','); do
        grep -q "\`$name\`" "$doc" || { echo "docs/language.md: std.$(basename "$std" .dsl) has $name, the page does not say so"; bad=1; }
    done
done
exit $bad
