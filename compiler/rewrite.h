/* Rewriting by small rules, shared by simplify.c and regroup.c.
   Assumes rules keep a node's roles (their order is restored) and its value as field algebra has it. */
#ifndef ECT_REWRITE_H
#define ECT_REWRITE_H
#include "compiler/graph.h"

/* uses: of a node of the graph being built, how often the old graph uses it; a node made by a rule has none. */
typedef struct { Graph *g; int *old_uses, *uses; uint32_t cap; const struct RuleList *rules; } Simplify;
typedef Ref Rewrite(Simplify *s, Ref r);             /* an equal node, or 0 when the rule does not apply */
typedef struct RuleList { int n; Rewrite *const *rule; } RuleList;

/* Applies the rules to every node until none applies, in as many rounds as it takes (bounded). */
void rewrite(Graph *g, const RuleList *rules);

/* simplify.c: orders of axes and compositions of views, always an improvement. */
Rewrite drop_permuted_operand, permuted_rename, permuted_result, merge_rearranges, rename_rearranged;
bool is_permutation(const Graph *g, Ref r);          /* a rearrangement that only changes the order of axes */
#endif
