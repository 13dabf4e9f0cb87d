/* Tables on stdout: cells are added row by row and printed with aligned columns.
   Assumes cells of one line each. */
#ifndef ECT_TABLE_H
#define ECT_TABLE_H
#include "runtime/base.h"

enum { TABLE_MAX_COLUMNS = 16, TABLE_WIDTH = 160 };
typedef struct { int columns, n, cap; char **cell; const char *align; } Table;        /* align: one of l r a column */

void table_head(Table *t, const char *const *name);      /* `columns` names as the first row */
void table_cell(Table *t, const char *fmt, ...) PRINTF(2, 3);
/* Prints, and empties the table. A last column that is left-aligned loses its beginning, for `...`, where a line would pass
   `width` columns; 0: never. */
void table_print(Table *t, int width);
#endif
