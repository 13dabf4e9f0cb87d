/* Source registry, source positions and the diagnostics engine: located errors with carets, trails and hints.
   Assumes one compilation per process at a time; state is global and diag_reset()/source_reset() clear it. */
#ifndef ECT_LOC_H
#define ECT_LOC_H
#include "runtime/base.h"

/* A span of source text. Lines and columns start at 1, columns count bytes; the end is exclusive (end_col is the
   column after the last byte). file 0 means "nowhere". */
typedef struct {
    int file, line, col, end_line, end_col;
} Loc;
#define LOC_NONE ((Loc){0, 0, 0, 0, 0})

Loc loc_join(Loc a, Loc b);                    /* from the start of a to the end of b; the other when one is LOC_NONE */
bool loc_equal(Loc a, Loc b);
int loc_compare(Loc a, Loc b);                 /* by file, then start, then end: for sorting */

/* ---- sources ----
   source_add copies name and text, returns the file id (1, 2, ...). Names are what messages show. */
int source_add(const char *name, const char *text, size_t len);
const char *source_name(int file);             /* "?" for an unknown id */
const char *source_text(int file, size_t *len);
const char *source_line(int file, int line, size_t *len);   /* without its line end; "" beyond the end; not NUL-terminated */
void source_reset(void);

/* ---- error codes: dsl/errors.def is the table; ERR_two_sizes is 203, printed as E0203 ---- */
typedef enum {
#define ERR(number, name, title) ERR_##name = number,
#include "dsl/errors.def"
#undef ERR
} ErrCode;

typedef struct {
    int number;
    const char *name, *title;
} ErrInfo;
extern const ErrInfo err_table[];              /* in ascending order of number */
extern const int err_table_n;
const ErrInfo *err_find(int number);           /* NULL when there is no such code */

/* ---- diagnostics ----
       Diag *d = diag_error(loc, ERR_two_sizes, "axis `%s` has two sizes in `+`", name);
       diag_label(d, "[n, c:256, h, w]");                    words at the first span
       diag_span(d, other, "[n, c:128, h, w]");              another marked place, same or other line or file
       diag_note(d, "in %s, from %s line %d", ...);          instantiation trail, innermost first
       diag_help(d, "`use skip = ...` changes c");
   Errors are kept in order of first emission. A second error with the same code, place and message (another
   instance of one block) is dropped: diag_error then returns a Diag that accepts everything and is never printed.
   At most DIAG_MAX are kept; later ones are only counted. diag_error never returns NULL. */
enum { DIAG_MAX = 20 };
typedef struct Diag Diag;
Diag *diag_error(Loc at, ErrCode code, const char *fmt, ...) PRINTF(3, 4);
void diag_label(Diag *d, const char *fmt, ...) PRINTF(2, 3);
void diag_span(Diag *d, Loc at, const char *fmt, ...) PRINTF(3, 4);
void diag_note(Diag *d, const char *fmt, ...) PRINTF(2, 3);
void diag_help(Diag *d, const char *fmt, ...) PRINTF(2, 3);
int diag_count(void);                          /* errors so far, dropped repetitions not counted, those over the cap counted */
bool diag_full(void);                          /* the cap is reached: a phase may as well stop */
void diag_print(FILE *out);                    /* prints all in the form of docs/language.md; keeps them */
char *diag_text(void);                         /* the same as one heap string */
void diag_reset(void);

/* ---- explain ----
   Prints the page of a code ("E0203", "e0203" or "203"), or with code NULL a list of all codes and titles.
   Returns EXIT_OK, or EXIT_USER with a message on stderr when there is no such code. */
int explain_code(const char *code, FILE *out);
#endif
