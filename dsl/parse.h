/* Text to tree: reads files, checks their bytes, runs the parser, follows imports; also the embedded library.
   Assumes the diagnostics engine of loc.h: functions here report there and return what could be made. */
#ifndef ECT_PARSE_H
#define ECT_PARSE_H
#include "dsl/ast.h"
#include "dsl/embedded.h"

enum { MAX_FILE_BYTES = 64 << 20, MAX_LINE_BYTES = 1 << 20, MAX_NESTING = 200 };

/* Parses a text under a displayed name. Never NULL: after errors (diag_count() rose) the tree holds the declarations
   that could be read. Everything is allocated in `a`, except sources and symbols, which are global. */
File *parse_text(Arena *a, const char *name, const char *text, size_t len);
/* Reads and parses a file; NULL, with an error reported, when it cannot be read. */
File *parse_file(Arena *a, const char *path);

/* Parses the main file and everything it imports. `v` lists each file once, a file after all those it imports, the main
   file last. Missing, circular and repeated imports are reported at the import. Import `std.nn` is the embedded
   std/nn.dsl; `a.b` is a/b.dsl beside the importing file. */
typedef struct {
    File **v;
    int n, cap;
} FileList;
FileList parse_program(Arena *a, const char *path);
FileList parse_program_text(Arena *a, const char *name, const char *text, size_t len);   /* imports beside `name` */

#endif
