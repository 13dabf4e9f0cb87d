/* Command-line options from a table: parsing, messages, --help.
   Assumes long options only, each written `--name value` or `--name=value`. */
#ifndef ECT_OPTIONS_H
#define ECT_OPTIONS_H
#include "runtime/base.h"

typedef struct { const char **v; int n, cap; } TextList;
typedef struct { double *v; int n, cap; } RealList;
/* Targets: bool, const char *, TextList, int64_t, RealList, const char *. OPT_JSON is a file name that may be left out, "" then;
   without `=` the next word is the value if it ends in `.json`. */
typedef enum { OPT_FLAG, OPT_TEXT, OPT_TEXTS, OPT_INT, OPT_REALS, OPT_JSON } OptionKind;
typedef struct {
    const char *name;                                /* without dashes; a single letter is written with one dash */
    OptionKind kind;
    void *target;
    const char *arg, *help;                          /* placeholder in --help; one line */
    int64_t min, max;                                /* OPT_INT */
    bool given;                                      /* out */
} Option;

/* Parses argv[1..]; texts are not copied; of an option given twice the last counts, lists collect. Returns the positional
   arguments' count, in pos[0..max_pos). With --help prints usage and the table
   and exits 0; anything wrong is a user_error naming the option and, for unknown ones, the nearest. */
int options_parse(const char *usage, const char *about, Option *o, int n, int argc, char **argv, const char **pos, int max_pos);
const Option *option_find(const Option *o, int n, const char *name);
#endif
