/* Lists of choices: random ones from a seed, played again, copied.
   Assumes SplitMix64 is random enough; a list's numbers are recorded as they are drawn. */
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
        for (int i = 0; i < p->body[b].n; i++) vec_push(k->body[b].stmt, k->body[b].n, k->body[b].cap, list_copy(&p->body[b].stmt[i]));
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
