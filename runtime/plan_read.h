/* What plan_read.c (tables) and plan_programs.c (programs, segments, buffers) share: typed access to the JSON of a plan.
   Private to the two. */
#ifndef ECT_PLAN_READ_H
#define ECT_PLAN_READ_H
#include <jansson.h>
#include "runtime/plan.h"

typedef struct { const char *name; int index; } PlanName;
/* err: the first thing wrong; after it every accessor still returns something harmless. */
typedef struct { Plan *p; char *err, where[300]; PlanName *params; } PlanReader;

void plan_bad(PlanReader *r, const char *fmt, ...) PRINTF(2, 3);
void plan_at(PlanReader *r, const char *fmt, ...) PRINTF(2, 3);          /* the place that errors name */
int64_t plan_int(PlanReader *r, const json_t *o, const char *key, int64_t lo, int64_t hi);
double plan_real(PlanReader *r, const json_t *o, const char *key);
bool plan_bool(PlanReader *r, const json_t *o, const char *key);
const char *plan_str(PlanReader *r, const json_t *o, const char *key);
const char *plan_str_or_null(PlanReader *r, const json_t *o, const char *key);
const json_t *plan_array(PlanReader *r, const json_t *o, const char *key, int *n);
const char **plan_strings(PlanReader *r, const json_t *o, const char *key, int *n);
const char *plan_file(PlanReader *r, const json_t *o, const char *key, const char *folder);
void plan_shape(PlanReader *r, const json_t *o, bool zero, PlanShape *s);
/* Names sorted for look-up; a name twice is an error. */
PlanName *plan_names(PlanReader *r, const char *what, int n, const char *(*name)(const void *user, int i), const void *user);
int plan_name_index(const PlanName *v, int n, const char *name);

void plan_read_program(PlanReader *r, const json_t *o, PlanProgram *g);
#endif
