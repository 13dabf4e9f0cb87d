#!/bin/sh
# A folder of links to the static libraries that make DIST=1 links in: a linker that looks there first finds no shared ones.
# Assumes Debian's packages; says which are missing. usage: tools/static_libs.sh FOLDER
set -eu
folder=$1
mkdir -p "$folder"
missing=
link() { # link LIBRARY PACKAGE PLACE...
    name=$1 package=$2
    shift 2
    [ ! -e "$folder/lib$name.a" ] || return 0
    for place; do
        [ -f "$place/lib$name.a" ] || continue
        ln -sf "$place/lib$name.a" "$folder/lib$name.a"
        return 0
    done
    missing="$missing $package"
}
libs=$(dirname "$(${CC:-cc} -print-file-name=libc.a)")
link gomp gcc "$(dirname "$(${CC:-cc} -print-file-name=libgomp.a)")"
for pair in jansson:libjansson-dev png16:libpng-dev jpeg:libjpeg-dev xxhash:libxxhash-dev z:zlib1g-dev; do
    link "${pair%:*}" "${pair#*:}" "$libs"
done
link openblas libopenblas-dev "$libs/openblas-pthread" "$libs/openblas-openmp" "$libs/openblas-serial"
[ -z "$missing" ] || { echo "static_libs: no static libraries of:$missing; apt-get install them" >&2; exit 2; }
