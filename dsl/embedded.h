/* Files that ectc carries: the standard library, the explain pages, the prelude of generated kernels, the report's page.
   Assumes nothing of the tree or the graph, so that either side may include it. */
#ifndef ECT_EMBEDDED_H
#define ECT_EMBEDDED_H
#include <stddef.h>

/* ---- files embedded at build by tools/embed.sh: "std.nn" (displayed "std/nn.dsl"), pages "E0203", "kernel_prelude.h", and "report/page.html" ---- */
struct Embedded {
    const char *name, *text;
    size_t len;
};
extern const struct Embedded embedded_files[];
extern const int n_embedded_files;
const struct Embedded *embedded_find(const char *name);         /* NULL when there is none */
#endif
