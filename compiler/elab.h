/* Values, scopes and state of the elaborator; shared by elab_*.c only.
   Assumes that graph values belong to the graph of the segment being built (e->g). */
#ifndef ECT_ELAB_H
#define ECT_ELAB_H
#include "compiler/elaborate.h"

typedef struct Elab Elab;
typedef struct Env Env;
typedef struct Module_ FileScope;
typedef struct Value Value;

/* ---- values ---- */
typedef enum {
    V_POISON,                        /* an error was reported where it was made: never reported again */
    V_INT, V_REAL, V_BOOL, V_STRING, V_LIST,
    V_FN,                            /* fn(a) = e, with its environment */
    V_BUILTIN,                       /* builtins.def */
    V_DECL,                          /* block, loss, optimizer, ema, stream: a declaration by name */
    V_INSTANCE,                      /* a block with its compile-time arguments and its place among the parameters */
    V_APPLIED,                       /* optimizer or ema with its arguments */
    V_DIST,                          /* a distribution: draws and initialisers */
    V_RUNTIME,                       /* a host expression */
    V_TENSOR,
    V_ABSENT,                        /* a tensor with an axis of size 0: it has a type and no elements */
    V_TIMES,                         /* a run-time list of times, by name */
} ValueKind;

/* A host expression. prec as in AST_OPS; 9: an atom, 0: needs parentheses anywhere. */
typedef struct { const char *text; int prec; bool is_int, is_bool; } Host;
typedef struct { Ast *decl, *value; const NodeList *params; Env *env; Sym name; } Closure;
typedef struct { FileScope *file; Ast *ast; } Decl;
typedef struct { Decl decl; Env *env; Loc at; } Applied;
typedef struct Builtin Builtin;
typedef struct Instance Instance;
typedef struct Dist Dist;

struct Value {
    ValueKind kind;
    int n;                           /* V_LIST: length; V_TENSOR, V_ABSENT: number of axes */
    union {
        int64_t i;
        double r;
        bool b;
        Sym s;                       /* V_STRING, V_TIMES */
        Value *list;
        const Closure *fn;
        const Builtin *builtin;
        const Decl *decl;
        const Instance *inst;
        const Applied *applied;
        const Dist *dist;
        const Host *host;
        Ref t;
    };
    const Axis *ax;                  /* V_TENSOR, V_ABSENT: axes in the language's order (the node's own order may differ) */
};
struct Dist { DrawKind kind; Value a, b; };             /* uniform(a, b), normal(mean a, deviation b), bernoulli(a) */

struct Builtin {
    const char *name;
    int min, max;                    /* arguments of the first section */
    enum { B_CONST, B_ELEM1, B_MINMAX, B_REDUCE, B_IOTA, B_CONCAT, B_VIEW, B_DIST, B_SPECIAL } group;
    Op op;                           /* B_ELEM1, B_REDUCE */
    bool host;                       /* allowed in host expressions */
    const char *doc;
};
extern const Builtin builtins[];
extern const int n_builtins;

/* ---- scopes ---- */
typedef struct { Sym name; Value v; Loc at; bool var; } Binding;
struct Env {
    Env *up;
    FileScope *file;                 /* where lookup goes on at the end of the chain */
    Binding *v; int n, cap;
    int rows;                        /* nesting of `rows` when it was made */
};

typedef struct Top_ Top;
typedef enum { TOP_CONFIG, TOP_STREAM, TOP_DECL, TOP_FN, TOP_USE, TOP_RUNTIME } TopKind;
struct Top_ {
    TopKind kind;
    Sym name;
    Ast *ast;                        /* BIND, E_NAME, USE or the declaration */
    Loc at;
    FileScope *file;
    Value v;
    int state;                       /* 0 not evaluated, 1 being evaluated, 2 done */
    bool used;                       /* by the text of some file (elab_check.c) */
    struct Top_ *by;                 /* an importing file gives this config or run-time scalar another default */
};
struct Module_ {
    File *f;
    Sym shown;                       /* Origin.file */
    Top *top; int n, cap;
    FileScope **import; int n_import;
    uint64_t used_imports;           /* bit k: a name of import[k] is used (elab_check.c) */
    bool main, std;
    Env *env;                        /* the empty environment at file level */
};

/* ---- parameters and instances ---- */
typedef struct {
    Sym path, was;
    int n_axes; Axis *axes;
    Value init;
    Origin at;
    Loc loc;
} ParamInfo;

/* A place in storage order: an instance or a parameter. It lives through all programs. */
typedef struct Slot Slot;
struct Slot {
    const Ast *ast;                  /* the `use` or `param` that made it */
    Sym path, was, name;             /* name: its level in call paths */
    Slot **child; int n, cap;
    int stamp;                       /* serial of the application that declared it last */
    bool sealed;                     /* applied once: no further parameters may appear */
    ParamInfo *param;
    int index;                       /* of a parameter: place in storage order */
    Loc at;
};
struct Instance { Slot *slot; Decl block; Env *env; Sym set; Loc at; };

/* One application of an instance, or a program's root. */
typedef struct Frame Frame;
struct Frame {
    Frame *up;
    Slot *slot;
    Sym set;                         /* weights: "" live, or an EMA's name */
    int serial;
    Sym path;                        /* call path, for streams not in `over` */
    int n_over; struct { Sym stream, path; } over[8];
    int n_shared; Sym shared[8];     /* streams of the `share` statements around */
    struct { const void *what; int n; } *count; int n_count, cap_count;
};
typedef struct Trail { struct Trail *up; Sym what, path; Loc at; } Trail;      /* calls under way, innermost first */

typedef struct { Sym path; Ref ref; Loc at; const Graph *g; } DrawRecord;
typedef enum { P_INIT, P_PROGRAM, P_LOSS, P_UPDATE, P_SAMPLE } ProgramKind;
enum { MAX_CALLS = 250, MAX_DEPTH = 3000, MAX_STEPS = 50000000, MAX_NODES = 1000000, MAX_LOOP = 100000, MAX_HOST = 1 << 16 };

struct Elab {
    Arena *arena;
    Module *m;
    FileScope **file; int n_files;
    FileScope *main;
    int n_defines; const Define *defines;
    LossScale scale;
    /* of the segment and program being built */
    Graph *g;
    ProgramKind program;
    bool training;
    Frame *frame, base;              /* base: the program's own */
    Trail *trail;
    int rows; Ref gate[16];
    struct { Sym name; Value v; } *report; int n_report, cap_report;
    Value loss; bool has_loss;
    DrawRecord *draw; int n_draw, cap_draw;
    /* optimizer and ema bodies */
    struct Update *update;           /* elab_update.c */
    /* over all programs */
    Slot *root;
    int n_serial, n_emas; Sym ema[16];
    ParamInfo **param; int n_param, cap_param;          /* in order of creation */
    int scalars_cap, runtime_cap;
    int calls, depth;
    int64_t steps;
    bool stop;                       /* a limit was passed: everything evaluates to poison */
    Loc at;                          /* the expression being evaluated */
    Loc returned;                    /* the value of the last `return` */
};

/* ---- elab_value.c: values, scopes, messages ---- */
extern const Value poison;
Value v_int(int64_t i);
Value v_real(double r);
Value v_bool(bool b);
Value v_string(Sym s);
Value v_list(Elab *e, int n, const Value *v);
Value v_host(Elab *e, const char *text, int prec, bool is_int, bool is_bool);
Value v_tensor(Elab *e, Ref r, int n, const Axis *ax);   /* n < 0: axes as the node has them */
bool is_number(Value v);                                 /* V_INT or V_REAL */
bool is_scalar(Value v);                                 /* a number or V_RUNTIME */
double number(Value v);
const Axis *value_axis(Value v, Sym role);
bool value_equal(Value a, Value b);
const char *value_text(Elab *e, Value v);                /* for interpolation and messages */
const char *type_text(Elab *e, Value v);                 /* "[n:8, c:3]", "the integer 3", ... */
const char *axes_text(Elab *e, int n, const Axis *ax);
const char *decl_word(const Ast *d);                      /* block, loss, optimizer, ema, stream */
const char *real_text(Elab *e, double v);                /* shortest decimal that reads back to v */
Env *env_new(Elab *e, Env *up, FileScope *file);
Binding *env_add(Elab *e, Env *env, Sym name, Value v, Loc at, bool var);
Binding *env_find(Env *env, Sym name, Env **where);
Value look_up(Elab *e, Env *env, Sym name, Loc at);      /* reports unknown names */
Top *top_find(FileScope *f, Sym name, bool imports);
/* diag_error with the instantiation trail. */
Diag *fail(Elab *e, Loc at, ErrCode code, const char *fmt, ...) PRINTF(4, 5);
void fail_suggest(Elab *e, Diag *d, Env *env, Sym name); /* "did you mean" among all names in sight */
void stop_with(Elab *e, Loc at, ErrCode code, const char *fmt, ...) PRINTF(4, 5);
void set_origin(Elab *e, Loc at);                        /* g->at for the nodes made next */
const char *from_text(Elab *e, Value v);                 /* "   from std/nn.dsl:19", or "" */

/* ---- elab_runtime.c: host expressions ---- */
Value host_binary(Elab *e, OpKind op, Value a, Value b, Loc at);
Value host_unary(Elab *e, OpKind op, Value a, Loc at);
Value host_call(Elab *e, const char *name, int n, const Value *a, Loc at);
Value host_if(Elab *e, Value c, Value a, Value b, Loc at);
const char *host_text(Elab *e, Value v, int prec);       /* v as text, in parentheses when it binds less than prec */
int scalar_slot(Elab *e, const char *text);
void add_runtime(Elab *e, Sym name, bool is_int, const char *expr, Loc at, FileScope *file);
RuntimeVar *find_runtime(Elab *e, Sym name);

/* ---- elab_eval.c: expressions ---- */
typedef struct { Sym name; Value v; const Ast *ast; bool taken; } Arg;
typedef struct { int n; Arg *v; } Args;
Value eval(Elab *e, Ast *x, Env *env);
Value eval_const(Elab *e, Ast *x, Env *env, const char *what);    /* a compile-time value */
bool eval_size(Elab *e, Ast *x, Env *env, int64_t *size);         /* an integer, 0 or more */
bool eval_condition(Elab *e, Ast *x, Env *env, bool *value);      /* compile-time true or false */
Value arithmetic(Elab *e, OpKind op, Value a, Value b, Ast *at);
Value bind_named(Elab *e, const Ast *par, Value v, bool compile_time, Loc at);     /* par: PARAM or BIND */
Value call_fn(Elab *e, const Closure *f, Args *a, Loc at);
bool eval_args(Elab *e, const Ast *call, Env *env, Args *out);
bool bind_params(Elab *e, const char *what, Sym name, const NodeList *params, Args *a, Env *env, Env *sizes, bool compile_time,
                 Loc at);
const char *interpolate(Elab *e, const Ast *string, Env *env);    /* NULL after an error */

/* ---- elab_builtin.c ---- */
const Builtin *builtin_find(Sym name);
Value call_builtin(Elab *e, const Builtin *b, Ast *call, Env *env);
Value call_reduce(Elab *e, const Builtin *b, Ast *index, Ast *call, Env *env);    /* sum[c](x), concat[c](a, b) */
Value index_builtin(Elab *e, const Builtin *b, Ast *index, Env *env);             /* iota[c: 4] */

/* ---- elab_tensor.c ---- */
Ref as_ref(Elab *e, Value v, Loc at);                    /* numbers and host expressions become nodes; 0 after an error */
Ref as_bool(Elab *e, Value v, Loc at);
Value tensor_binary(Elab *e, OpKind op, Value a, Value b, Ast *at);
/* Any element-wise operation on tensors and scalars; `locs` the operands' places (NULL: at), `word` its name in messages. */
Value elementwise(Elab *e, Op op, int n, const Value *a, const Loc *locs, Loc at, const char *word);
bool join_axes(Elab *e, int n, const Value *a, const Loc *locs, Loc at, const char *word, int *n_out, Axis *out);
Value bind_type(Elab *e, const char *what, Sym name, const Ast *type, Value v, Env *sizes, const Args *others, Loc at);
Value index_value(Elab *e, Ast *x, Value v, Env *env);
Value rearrange(Elab *e, Ast *x, Env *env);
Value window(Elab *e, Ast *call, Env *env);
Value repeat(Elab *e, Ast *call, Env *env);
Value concat(Elab *e, Sym role, int n, const Value *a, const Loc *locs, Loc at);
bool has_role(Elab *e, Value v, Sym role, Loc at, Loc value_at, const char *word);    /* reports a missing axis */
Value gated(Elab *e, Value v, int from, Loc at);         /* what a value from outside is worth inside `rows` */
Ref ordered(Elab *e, Value v);                           /* the node with its axes in the value's order */
bool is_size_name(Elab *e, const Ast *x, Env *sizes);    /* a name nothing declares: a type binds it */
bool declared_axes(Elab *e, const Ast *type, Env *sizes, const Args *others, int *n, Axis *ax, Loc at);
bool row_wise(Elab *e, Sym role, Loc at, const char *word);       /* false, reported, when role is n inside `rows` */
bool size_ok(Elab *e, int n, const Axis *ax, Loc at);
Value absent_error(Elab *e, Value v, Loc at);

/* ---- elab_block.c: statements, instances, parameters, draws ---- */
bool exec_body(Elab *e, const Ast *body, Env *env, Value *ret);   /* true when it returned */
bool exec_stmt(Elab *e, const Ast *s, Env *env, Value *ret);
/* Nodes made until leave_precision have the precision that region x names; to be given to it: what held before. */
Precision enter_precision(Elab *e, const Ast *x);
void leave_precision(Elab *e, Precision outer);
void exec_use(Elab *e, const Ast *use, Env *env);
Value apply(Elab *e, const Instance *inst, Args *a, Loc at);
Value apply_loss(Elab *e, const Decl *d, Args *a, Loc at);
Value draw(Elab *e, Ast *x, Env *env);
void enter(Elab *e, Trail *t, Sym what, Sym path, Loc at);
void leave(Elab *e);

/* ---- elab_program.c: programs, loss and gradients, sampling ---- */
void make_programs(Elab *e);
Program *begin_program(Elab *e, const char *name, ProgramKind kind, bool training);
void begin_segment(Elab *e, Program *p, const char *name);
bool declare_inputs(Elab *e, Program *p, const NodeList *params, Env *sizes, Env *env);
void add_output(Elab *e, Program *p, Sym name, Value v);
bool uses_name(const Ast *x, Sym name);
void fill_params(Elab *e);                               /* Module.params in storage order */
const Ast *train_item(const Ast *train, NodeKind kind);

/* ---- elab_sample.c, elab_update.c ---- */
void make_sample(Elab *e, FileScope *f, const Ast *s);
void make_update(Elab *e, FileScope *f, const Ast *train, Program *p);
void name_emas(Elab *e, FileScope *f, const Ast *train);
void exec_update(Elab *e, const Ast *s, Env *env);       /* state, runtime, := in optimizer and ema bodies */

/* ---- elab_check.c: what can be judged on the text alone ---- */
void check_text(Elab *e);

/* ---- elab_config.c: file scopes, config, -D, file-level values ---- */
bool make_scopes(Elab *e, const FileList *files);
void eval_configs(Elab *e);
Value top_value(Elab *e, Top *t, Loc at);
void declare_runtimes(Elab *e);
void declare_uses(Elab *e);                              /* at the start of each program */
#endif
