/* Lists of choices, drawn from a seed or played again; and the reducer: statements dropped in chunks, choices made simpler.
   Assumes SplitMix64 is random enough, a list's numbers are recorded as they are drawn, and what fails does so every time. */
#include "tests/fuzz/fuzz.h"

static uint64_t next_random(uint64_t *s)
{
    uint64_t z = *s += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int choose(Choices *c, int n)
{
    CHECK_BUG(n > 0);
    if (c->at == c->n) {
        int v = c->rng ? (int)(next_random(&c->rng) >> 33) % n : 0;
        vec_push(c->v, c->n, c->cap, v);
    }
    return c->v[c->at++] % n;
}

int choose_size(Choices *c, const int *list)
{
    int n = 0;
    while (list[n]) n++;
    return list[choose(c, n)];
}

static Choices list_of(uint64_t *seed)
{
    return (Choices){.rng = next_random(seed) | 1};
}

ProgramPlan *plan_of_seed(uint64_t seed)
{
    ProgramPlan *p = xcalloc(1, sizeof *p);
    uint64_t s = seed * 2 + 1;
    next_random(&s);
    for (int b = 0; b < BLOCKS; b++) {
        BodyPlan *body = &p->body[b];
        body->head = list_of(&s);
        int n = b ? 1 + (int)(next_random(&s) % 4) : 3 + (int)(next_random(&s) % 12);
        for (int i = 0; i < n; i++) vec_push(body->stmt, body->n, body->cap, list_of(&s));
    }
    p->tail = list_of(&s);
    return p;
}

static Choices list_copy(const Choices *c)
{
    Choices k = {.n = c->n, .cap = c->n, .v = xmalloc((size_t)(c->n + 1) * sizeof(int)), .rng = c->rng};
    if (c->n) memcpy(k.v, c->v, (size_t)c->n * sizeof(int));
    return k;
}

ProgramPlan *plan_copy(const ProgramPlan *p)
{
    ProgramPlan *k = xcalloc(1, sizeof *k);
    for (int b = 0; b < BLOCKS; b++) {
        k->body[b] = (BodyPlan){.head = list_copy(&p->body[b].head)};
        for (int i = 0; i < p->body[b].n; i++)
            vec_push(k->body[b].stmt, k->body[b].n, k->body[b].cap, list_copy(&p->body[b].stmt[i]));
    }
    k->tail = list_copy(&p->tail);
    return k;
}

void plan_drop(ProgramPlan *p)
{
    for (int b = 0; b < BLOCKS; b++) {
        for (int i = 0; i < p->body[b].n; i++) free(p->body[b].stmt[i].v);
        free(p->body[b].stmt);
        free(p->body[b].head.v);
    }
    free(p->tail.v);
    free(p);
}

static void list_replay(Choices *c)
{
    c->at = 0;
    c->rng = 0;
}

void plan_replay(ProgramPlan *p)
{
    for (int b = 0; b < BLOCKS; b++) {
        list_replay(&p->body[b].head);
        for (int i = 0; i < p->body[b].n; i++) list_replay(&p->body[b].stmt[i]);
    }
    list_replay(&p->tail);
}

int plan_statements(const ProgramPlan *p)
{
    int n = 0;
    for (int b = 0; b < BLOCKS; b++) n += p->body[b].n;
    return n;
}

/* ---- the reducer ---- */
typedef struct {
    ProgramPlan *best;
    char *text;                                      /* of best */
    bool (*fails)(const char *text, void *ctx);
    void *ctx;
    double until;
    int tries;
} Reduction;

/* Takes the candidate when its text is another one and fails too; drops it when not. */
static bool better(Reduction *r, ProgramPlan *p)
{
    plan_replay(p);
    char *text = generate(p);
    bool same = !strcmp(text, r->text);
    if (!same && now_seconds() < r->until) r->tries++;
    if (!same && (now_seconds() >= r->until || !r->fails(text, r->ctx))) {
        plan_drop(p);
        free(text);
        return false;
    }
    plan_drop(r->best);                              /* the same text from simpler choices is progress too */
    free(r->text);
    r->best = p;
    r->text = text;
    return !same;
}

static void drop_statements(ProgramPlan *p, int first, int n)
{
    for (int b = 0; b < BLOCKS; b++) {
        BodyPlan *body = &p->body[b];
        int kept = 0, total = body->n;
        for (int i = 0; i < total; i++, first--) {
            bool gone = first <= 0 && first > -n;
            if (gone) free(body->stmt[i].v);
            else body->stmt[kept++] = body->stmt[i];
        }
        body->n = kept;
    }
}

static bool fewer_statements(Reduction *r)
{
    bool any = false;
    for (int chunk = MAX(plan_statements(r->best) / 2, 1); chunk; chunk /= 2)
        for (int at = plan_statements(r->best) - chunk; at >= 0; at -= chunk) {
            ProgramPlan *p = plan_copy(r->best);
            drop_statements(p, at, chunk);
            any |= better(r, p);
        }
    return any;
}

/* The k-th list of a plan: heads, statements, tail; NULL behind the last. */
static Choices *list_at(ProgramPlan *p, int k)
{
    for (int b = 0; b < BLOCKS; b++) {
        if (k-- == 0) return &p->body[b].head;
        if (k < p->body[b].n) return &p->body[b].stmt[k];
        k -= p->body[b].n;
    }
    return k ? NULL : &p->tail;
}

static bool simpler_choices(Reduction *r)
{
    bool any = false;
    for (int k = 0; list_at(r->best, k); k++) {
        for (int keep = 0; keep < 3; keep++) {       /* everything behind the first few to 0 */
            if (list_at(r->best, k)->n <= keep) break;
            ProgramPlan *p = plan_copy(r->best);
            list_at(p, k)->n = keep;
            if (better(r, p)) { any = true; break; }
        }
        for (int i = 0; i < list_at(r->best, k)->n; i++)
            for (int cut = 0; cut < 3; cut++) {      /* 0, half, one less */
                int v = list_at(r->best, k)->v[i], to = cut == 0 ? 0 : cut == 1 ? v / 2 : v - 1;
                if (to < 0 || v <= to || (cut && !to)) continue;
                ProgramPlan *p = plan_copy(r->best);
                list_at(p, k)->v[i] = to;
                any |= better(r, p);
                if (i >= list_at(r->best, k)->n) break;
            }
    }
    return any;
}

ProgramPlan *reduce(ProgramPlan *p, bool fails(const char *text, void *ctx), void *ctx, double seconds)
{
    plan_replay(p);
    Reduction r = {.best = p, .text = generate(p), .fails = fails, .ctx = ctx, .until = now_seconds() + seconds};
    bool going = true;
    while (going && now_seconds() < r.until) {
        going = fewer_statements(&r);
        going |= simpler_choices(&r);
    }
    printf("reduced in %d tries%s\n", r.tries, going ? ", stopped by the clock" : "");
    free(r.text);
    return r.best;
}
