/* Layout documents: text with places where a line may break, laid out within a width (after Wadler and Oppen).
   Assumes a document is used once and lives in an arena. */
#ifndef ECT_DOC_H
#define ECT_DOC_H
#include "runtime/base.h"

typedef struct Doc Doc;
Doc *doc_text(Arena *a, const char *s);         /* s must outlive the document */
Doc *doc_line(Arena *a);                        /* a blank, or a new line when its group is broken */
Doc *doc_soft(Arena *a);                        /* nothing, or a new line when its group is broken */
Doc *doc_cat(Arena *a, Doc *x, Doc *y);         /* either may be NULL */
Doc *doc_nest(Arena *a, int by, Doc *x);        /* new lines inside x are indented further */
Doc *doc_group(Arena *a, Doc *x);               /* all on one line when it fits, else every direct break is taken */
/* Appends the layout; the first line starts at column `indent` (already written). Width in characters. */
void doc_layout(StrBuf *out, const Doc *x, int indent, int width);
int text_columns(const char *s);                /* characters of a UTF-8 text */
#endif
