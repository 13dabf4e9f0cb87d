/* Memory plan: places every arena buffer of a segment by its life. Larger buffers first, each at the lowest offset that is free for its whole life.
   Assumes lives (first, last) are filled in; a kernel's inputs and outputs never share memory. */
#include "compiler/kernel.h"

typedef struct { int64_t from, to; } Span;

static int by_from(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

void memplan_segment(Lowered *l)
{
    int *order = xmalloc(sizeof(int) * (size_t)(l->n_buf + 1)), n = 0;
    for (int i = 0; i < l->n_buf; i++)
        if (l->buf[i].kind == BUF_ARENA && l->buf[i].first >= 0 && !l->buf[i].whole) order[n++] = i;
    for (int i = 1; i < n; i++)                      /* stable: size, then creation order */
        for (int j = i; j > 0 && buffer_size(&l->buf[order[j]]) > buffer_size(&l->buf[order[j - 1]]); j--) {
            int x = order[j]; order[j] = order[j - 1]; order[j - 1] = x;
        }
    Span *busy = xmalloc(sizeof(Span) * (size_t)(n + 1));
    l->arena_elements = 0;
    for (int i = 0; i < n; i++) {
        Buffer *b = &l->buf[order[i]];
        int64_t size = (buffer_size(b) + 15) / 16 * 16, at = 0;
        int nb = 0;
        for (int j = 0; j < i; j++) {
            const Buffer *o = &l->buf[order[j]];
            if (o->last >= b->first && o->first <= b->last) busy[nb++] = (Span){o->offset, o->offset + (buffer_size(o) + 15) / 16 * 16};
        }
        qsort(busy, (size_t)nb, sizeof *busy, by_from);
        for (int j = 0; j < nb; j++) {
            if (at + size <= busy[j].from) break;
            at = MAX(at, busy[j].to);
        }
        b->offset = at;
        l->arena_elements = MAX(l->arena_elements, at + size);
    }
    for (int i = 0; i < l->n_buf; i++) {
        Buffer *b = &l->buf[i];
        if (b->whole) b->offset = l->buf[memory_of(l, i)].offset + b->from * number_info[b->type].bytes / 4;
    }
    free(order);
    free(busy);
}
