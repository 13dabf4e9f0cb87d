/* `ectc diff PLAN1 PLAN2`: what changed between two plans, by kernels, and what it costs.
   Reads both through plan_json.h; nothing is compiled or run. */
#ifndef ECT_DIFF_H
#define ECT_DIFF_H
/* argv: what follows `diff`. Prints to stdout; the exit status is EXIT_OK, or with --check EXIT_USER where the plans differ. */
int diff_plans(int argc, char **argv);
#endif
