/* table.h.
   Assumes text of one byte a column, which names in a model are. */
#include "runtime/table.h"

void table_cell(Table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0) s = xstrdup("");
    va_end(ap);
    vec_push(t->cell, t->n, t->cap, s);
}

void table_head(Table *t, const char *const *name)
{
    for (int i = 0; i < t->columns; i++) table_cell(t, "%s", name[i]);
}

void table_print(Table *t, int width)
{
    int w[TABLE_MAX_COLUMNS] = {0}, before = 0;
    CHECK_BUG(t->columns > 0 && t->columns <= TABLE_MAX_COLUMNS && t->n % t->columns == 0);
    for (int i = 0; i < t->n; i++) w[i % t->columns] = MAX(w[i % t->columns], (int)strlen(t->cell[i]));
    for (int c = 0; c + 1 < t->columns; c++) before += w[c] + 2;
    int room = width ? MAX(width - before, 12) : INT32_MAX;
    for (int i = 0; i < t->n; i++) {
        int c = i % t->columns;
        bool last = c == t->columns - 1;
        const char *gap = c ? "  " : "";
        if (t->align[c] == 'r') printf("%s%*s", gap, w[c], t->cell[i]);
        else if (!last) printf("%s%-*s", gap, w[c], t->cell[i]);
        else if ((int)strlen(t->cell[i]) > room) printf("%s...%s", gap, t->cell[i] + strlen(t->cell[i]) - (size_t)(room - 3));
        else printf("%s%s", gap, t->cell[i]);
        if (last) putchar('\n');
        free(t->cell[i]);
    }
    free(t->cell);
    t->cell = NULL;
    t->n = t->cap = 0;
}
