#!/bin/sh
# Steps of a plan: they compute every node of their graph but parameters, inputs and constants, and name those nodes' lines.
# Assumes ECTC and SRC from the runner, and the plan's JSON with a step a line.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$ECTC" "$SRC/models/shapes.dsl" -o "$tmp/plan" -D channels=16 -D batch=4 -D dropout=0.1 >"$tmp/log"
cd "$tmp/plan"
awk '
    /"fused": "graph\// { match($0, /graph\/[^"]*fused[^"]*/); graph = substr($0, RSTART, RLENGTH) }
    /^ *{"kernel": / {
        match($0, /"nodes": \[[^]]*/)
        print graph, "nodes", substr($0, RSTART + 10, RLENGTH - 10)
        match($0, /"source": \[[^]]*/)
        print graph, "lines", substr($0, RSTART + 11, RLENGTH - 11)
    }' plan.json | tr -d '",' >"$tmp/steps"
[ -s "$tmp/steps" ]
for g in graph/*.fused.txt; do
    [ "$g" != graph/init.txt ] || continue
    awk -v graph="$g" '
        NR == FNR && $1 != graph { next }
        NR == FNR && $2 == "nodes" {
            n = NF - 2
            for (i = 3; i <= NF; i++) { now[i - 2] = $i; seen[$i] = 1 }
            next
        }
        NR == FNR { at++; for (i = 1; i <= n; i++) nodes[at, i] = now[i]; count[at] = n; lines[at] = $0; next }
        /^%/ {
            id = substr($1, 2)
            if (match($0, /@[^ ]+/)) { where = substr($0, RSTART + 1, RLENGTH - 1); sub(/:[0-9]+$/, "", where); line[id] = where }
            if ($3 ~ /^(param|input|const)$/) { if (id in seen) { print graph ": " $0 " is in a step"; bad = 1 } }
            else if (!(id in seen)) { print graph ": no step computes " $0; bad = 1 }
        }
        END {
            for (s = 1; s <= at; s++) {
                split("", listed); split("", used); found = 0; k = split(lines[s], word, " ")
                for (i = 3; i <= k; i++) listed[word[i]] = 1
                for (i = 1; i <= count[s]; i++) if (line[nodes[s, i]] != "") used[line[nodes[s, i]]] = 1
                for (l in used) if (!(l in listed)) { print graph ", step " s ": " l " is not listed"; bad = 1 }
                for (l in listed) if (!(l in used)) { print graph ", step " s ": " l " is of no node"; bad = 1 }
                total += count[s]
            }
            if (!bad && graph !~ /sample.2/ && !total) { print graph ": no node in any step"; bad = 1 }
            exit bad
        }' "$tmp/steps" "$g"
done
