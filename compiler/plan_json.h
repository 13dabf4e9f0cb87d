/* Reads a plan's folder for commands of ectc that compare plans: its kernels, the steps that run them, the buffers they use.
   Tolerant: unknown fields are ignored, some may be missing, older versions are read. What runs plans reads them by plan.h. */
#ifndef ECT_PLAN_JSON_H
#define ECT_PLAN_JSON_H
#include <jansson.h>
#include "runtime/base.h"
#include "runtime/number.h"

enum { PLAN_JSON_MAX_VERSION = 2 };                  /* versions of plan.json up to this one are read */

typedef struct { int n; const char **v; } PlanNames; /* a list of strings; n 0 when the field is missing */
typedef struct { int n, *v; } PlanIndices;

typedef struct {
    const char *name, *file, *cls;                   /* name: equal names are equal texts; cls: "map", "reduce", "contract" */
    const char *precision;                           /* of its products' operands: the plan's unless it says otherwise */
    const char *shape;                               /* "[n:32 c:8] sum [k:4]"; "" when the plan does not say */
    int64_t flops, bytes, issued_bytes;              /* a launch; issued_bytes: with re-reads, -1 when not said */
    int64_t scratch, shared;                         /* bytes a thread; bytes a launch */
    PlanNames instance, source;                      /* instance paths; "file:line" */
} KernelJson;
typedef struct {
    const char *name, *kind, *set;                   /* kind: as in docs/plan.md; set: "" if none */
    int64_t elements, offset;                        /* offset: arena, param, grad, in elements; else 0 */
    int64_t bytes;                                   /* 4 an element, 2 where the plan says bf16 or f16 */
    int first, last;                                 /* steps of its life, those that use it; -1 when none does */
} BufferJson;
typedef struct {
    int kernel, instances;                           /* index into the plan's kernels; how many of it are one launch */
    int64_t bytes;                                   /* of all instances; what several of them read counts once */
    PlanIndices buffer, node;                        /* indices into the segment's buffers; nodes of the graph text */
    const char *at, *path;                           /* "file:line"; instance path; "" if none */
    PlanNames source;                                /* lines of all it computes; when the plan does not say: `at` alone */
} StepJson;
typedef struct {
    const char *name, *graph, *phase, *each;         /* graph: file in the folder; phase, each: "" if none */
    int n_buffers; BufferJson *buffer;
    int n_steps; StepJson *step;
    int64_t peak_bytes, flops, bytes;
} SegmentJson;
typedef struct {
    const char *name;
    bool training;
    int n_segments; SegmentJson *segment;
} ProgramJson;
typedef struct {
    Arena *arena;
    json_t *root;                                    /* plan.json itself, for what the structs leave out */
    const char *dir, *model, *compiler, *precision;  /* precision: "f32" when the plan does not say */
    int64_t batch;
    int n_kernels; KernelJson *kernel;
    int n_programs; ProgramJson *program;
} PlanJson;

/* DIR/plan.json as structs, indices checked. NULL and *err (heap, one line: what, where, how to mend) when the folder holds no
   plan, its JSON is damaged, it is of a newer version, or a field is missing that nothing can be said without. Kernel and graph
   files are not looked at. */
PlanJson *plan_json_load(const char *dir, char **err);
void plan_json_free(PlanJson *p);
const ProgramJson *plan_json_program(const PlanJson *p, const char *name);     /* NULL when absent */
/* A file of the plan (kernels/NAME.c, graph/NAME.txt): heap, *len may be NULL; NULL with errno set when it cannot be read. */
char *plan_json_file(const PlanJson *p, const char *file, size_t *len);
#endif
