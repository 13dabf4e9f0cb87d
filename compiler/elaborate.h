/* From syntax trees to programs: evaluates everything known at compile time, checks types, builds the graphs of all programs.
   Assumes the trees of dsl/parse.h and reports through dsl/loc.h. */
#ifndef ECT_ELABORATE_H
#define ECT_ELABORATE_H
#include "compiler/both.h"

typedef struct { const char *name, *value; } Define;     /* -D name=value */

/* Checks and elaborates what parse_program returned (imports first, the main file last). NULL when errors were reported, by the
   parser or here (diag_count() > 0); they are not printed. The Module owns its arena and graphs; the trees may go.
   precision: of what no `precision` region of the text is around. scale: whether training has the run-time scalars loss.scale and loss.overflow. */
typedef enum { SCALE_F16, SCALE_YES, SCALE_NO } LossScale;           /* F16: where the plan or a part of the loss has that precision */
Module *elaborate(const FileList *files, int n_defines, const Define *defines, Number precision, LossScale scale);
/* Both steps at once, for a file or a text in memory (imports are looked for beside `name`). */
Module *elaborate_file(const char *path, int n_defines, const Define *defines);
Module *elaborate_text(const char *name, const char *text, size_t len, int n_defines, const Define *defines);
void module_drop(Module *m);

/* Length of the flat parameter array: each parameter's elements rounded up to a multiple of 16, in storage order. */
int64_t param_elements(const Module *m);
int64_t param_offset(const Module *m, int index);        /* where parameter `index` starts in it */
#endif
