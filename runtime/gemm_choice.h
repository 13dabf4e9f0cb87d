/* Who computes a plain matrix product, the plan's kernel or an algorithm of cuBLASLt: what was chosen, kept in the object cache and with the run.
   Assumes a choice holds for one library version and one kind of device; keys say the rest. */
#ifndef ECT_GEMM_CHOICE_H
#define ECT_GEMM_CHOICE_H
#include "runtime/cublaslt.h"

typedef enum { GEMM_AUTO, GEMM_OWN, GEMM_LT } GemmMode;              /* what was faster; the plan's kernels; the library wherever it can */
bool gemm_mode_named(const char *name, GemmMode *mode);

typedef struct {
    bool lt;                                         /* the library was faster */
    bool there;                                      /* the library has an algorithm: `algo` */
    LtAlgo algo;
    size_t workspace;                                /* bytes it needs */
    double own_us, lt_us;                            /* as timed */
} GemmChoice;

/* The choices of a run. path NULL: they are kept in the cache only. */
typedef struct GemmBook GemmBook;
/* Reads the file if it is there. One of another library or device is not followed: a warning says so, and that the bits will not be the same. */
GemmBook *gemm_book_open(const char *path, const char *library, const char *device);
/* Looks into the run's file, then into the cache. */
bool gemm_book_find(GemmBook *b, const char *product, GemmChoice *c);
/* A choice made now: into the cache and, at the next gemm_book_write, the run's file. */
void gemm_book_put(GemmBook *b, const char *product, const GemmChoice *c);
void gemm_book_write(GemmBook *b);                   /* machine_error when the file cannot be written */
void gemm_book_free(GemmBook *b);
/* Does the file hold products that the library computes? Then a run without it does not have the same bits. */
bool gemm_file_has_lt(const char *path);
#endif
