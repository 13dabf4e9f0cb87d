/* Makes a failing program small: statements are dropped in chunks, then choices are made simpler, as long as it fails.
   Assumes the check is repeatable; texts already tried are not tried again one after the other. */
#include "tests/fuzz/fuzz.h"

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
