/* Key texts made of named fields, each with its length before it: no two lists of fields give one text, and differences can be named.
   Assumes field names without blanks. */
#ifndef ECT_KEY_H
#define ECT_KEY_H
#include "runtime/base.h"

typedef struct { const char *name; int name_len; const char *text; size_t len; } KeyField;

void key_add(StrBuf *key, const char *name, const char *text, size_t len);
/* The field at *at (0 at first), which moves on; false at the end, or where no field begins. */
bool key_next(const char *key, size_t key_len, size_t *at, KeyField *f);
bool key_field(const char *key, size_t key_len, const char *name, KeyField *f);
/* Equal when the named field is left out of both. */
bool key_equal_but(const char *a, size_t an, const char *b, size_t bn, const char *name);
/* 0 when equal; the larger, the less they have in common. */
long key_distance(const char *a, size_t an, const char *b, size_t bn);
/* A line for each difference: a field's value, or the first line that differs where it has several lines. Nothing when they are equal. */
void key_explain(const char *want, size_t want_len, const char *have, size_t have_len, StrBuf *out);

/* Source without comments and runs of blanks: equal kernels of different layers differ in their comments only. */
void key_canonical(StrBuf *b, const char *source);
/* Whether a kernel's text mentions draws. Those that do not are the same in both variants, and share one object. */
bool key_draws(const char *source);
#endif
