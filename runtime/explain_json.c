/* `ect-rt explain --json`.
   Assumes plans validated by plan_load. */
#include <omp.h>
#include "runtime/explain.h"
#include "runtime/memory.h"

void explain_json_parameters(StrBuf *b, const Plan *p)
{
    sb_putc(b, '{');
    for (int i = 0; i < p->n_params; i++) {
        sb_puts(b, i ? ",\n " : "");
        sb_json_string(b, p->param[i].name);
        sb_puts(b, ": [");
        for (int k = 0; k < p->param[i].shape.n; k++) sb_printf(b, "%s%lld", k ? ", " : "", (long long)p->param[i].shape.size[k]);
        sb_putc(b, ']');
    }
    sb_puts(b, "}");
}
static void json_tensors(StrBuf *b, const char *key, const PlanTensor *v, int n)
{
    sb_printf(b, ",\n   \"%s\": {", key);
    for (int i = 0; i < n; i++) {
        sb_puts(b, i ? ", " : "");
        sb_json_string(b, v[i].name);
        sb_puts(b, ": [");
        for (int k = 0; k < v[i].shape.n; k++) sb_printf(b, "%s%lld", k ? ", " : "", (long long)v[i].shape.size[k]);
        sb_putc(b, ']');
    }
    sb_putc(b, '}');
}
static void json_segment(StrBuf *b, const Plan *p, const PlanSegment *s, bool memory)
{
    sb_puts(b, "{\"name\": ");
    sb_json_string(b, s->name);
    sb_printf(b, ", \"flops\": %lld, \"bytes\": %lld, \"peak_bytes\": %lld, ", (long long)s->flops, (long long)s->bytes,
              (long long)s->peak_bytes);
    sb_puts(b, memory ? "\"buffers\": [" : "\"steps\": [");
    bool comma = false;
    for (int i = 0; memory && i < s->n_buffers; i++) {
        if (s->buffer[i].kind != BUF_ARENA || s->buffer[i].within >= 0) continue;
        sb_puts(b, comma ? ",\n     {\"name\": " : "\n     {\"name\": ");
        sb_json_string(b, s->buffer[i].name);
        sb_printf(b, ", \"type\": \"%s\", \"offset\": %lld, \"bytes\": %lld}", number_info[s->buffer[i].type].name,
                  (long long)s->buffer[i].offset * 4, (long long)s->buffer[i].elements * number_info[s->buffer[i].type].bytes);
        comma = true;
    }
    for (int i = 0; !memory && i < s->n_steps; i++) {
        sb_puts(b, i ? ",\n     {\"kernel\": " : "\n     {\"kernel\": ");
        sb_json_string(b, p->kernel[s->step[i].kernel].name);
        sb_puts(b, ", \"at\": ");
        sb_json_string(b, s->step[i].at ? s->step[i].at : "");
        sb_puts(b, ", \"path\": ");
        sb_json_string(b, s->step[i].path ? s->step[i].path : "");
        if (s->step[i].instances > 1) sb_printf(b, ", \"instances\": %d, \"bytes\": %lld", s->step[i].instances, (long long)s->step[i].bytes);
        sb_putc(b, '}');
    }
    sb_puts(b, "]}");
}
static void json_strings(StrBuf *b, const char *key, const char *const *v, int n)
{
    sb_printf(b, ", \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        if (i) sb_puts(b, ", ");
        sb_json_string(b, v[i]);
    }
    sb_putc(b, ']');
}
/* "issued_bytes" where the plan says. */
static void json_issued(StrBuf *b, int64_t bytes) { if (bytes >= 0) sb_printf(b, ", \"issued_bytes\": %lld", (long long)bytes); }
static void json_kernels(StrBuf *b, const Plan *p, const ProgramCost *c)
{
    sb_puts(b, ",\n   \"by_kernel\": [");
    for (int i = 0; i < c->n; i++) {
        const KernelUse *u = &c->use[i];
        const PlanKernel *k = &p->kernel[u->kernel];
        sb_printf(b, "%s\n    {\"kernel\": \"%s\", \"class\": ", i ? "," : "", k->name);
        sb_json_string(b, k->cls);
        sb_puts(b, ", \"shape\": ");
        sb_json_string(b, k->shape);
        sb_printf(b, ", \"launches\": %d, \"runs\": %d, \"flops\": %lld, \"bytes\": %lld, \"moved_bytes\": %lld", u->launches,
                  u->runs, (long long)k->flops, (long long)k->bytes, (long long)u->bytes);
        json_issued(b, k->issued_bytes);
        sb_printf(b, ", \"predicted_s\": %.9g, \"bound\": \"%s\"", u->seconds, predict_bound_name[u->bound]);
        json_strings(b, "at", u->line, u->n_lines);
        json_strings(b, "source", k->source, k->n_source);
        json_strings(b, "instances", u->path, u->n_paths);
        sb_putc(b, '}');
    }
    sb_putc(b, ']');
}
void explain_json(StrBuf *b, const Plan *p, const PredictDevice *d, bool totals, bool memory)
{
    sb_puts(b, "{\"plan\": ");
    sb_json_string(b, p->dir);
    sb_puts(b, ", \"model\": ");
    sb_json_string(b, p->model);
    sb_puts(b, ", \"ectc\": ");
    sb_json_string(b, p->compiler);
    int64_t total = 0;
    for (int i = 0; i < p->n_params; i++) total += p->param[i].elements;
    sb_printf(b, ", \"batch\": %lld, \"parameters\": %lld, \"param_elements\": %lld, \"states\": %d,\n \"config\": {",
              (long long)p->batch,
              (long long)total, (long long)p->param_elements, p->n_states);
    for (int i = 0; i < p->n_config; i++) {
        sb_puts(b, i ? ", " : "");
        sb_json_string(b, p->config[i].name);
        sb_puts(b, ": ");
        sb_json_string(b, p->config[i].value);
    }
    sb_puts(b, "},\n \"runtime\": {");
    for (int i = 0; i < p->n_runtime; i++) {
        sb_puts(b, i ? ", " : "");
        sb_json_string(b, p->runtime[i].name);
        sb_puts(b, ": ");
        sb_json_string(b, p->runtime[i].expr);
    }
    sb_puts(b, "},\n \"precision\": ");
    sb_json_string(b, p->precision);
    sb_printf(b, ", \"device\": \"%s\", \"cores\": %d,\n ", d->name, d->cores);
    if (plan_program(p, "train_step"))
        sb_printf(b, "\"predicted_peak_bytes\": %lld, ", (long long)memory_training_peak(p, omp_get_max_threads()));
    sb_puts(b, "\"programs\": {");
    for (int i = 0; i < p->n_programs; i++) {
        const PlanProgram *g = &p->program[i];
        ProgramCost c;
        cost_of(&c, p, g, d);
        sb_puts(b, i ? ",\n  " : "\n  ");
        sb_json_string(b, g->name);
        sb_printf(b,
                  ": {\"kernels\": %d, \"distinct_kernels\": %d, \"flops\": %lld, \"bytes\": %lld, \"peak_bytes\": %lld, "
                  "\"training\": %s",
                  c.launches, c.n, (long long)c.flops, (long long)c.bytes, (long long)c.peak,
                  g->training ? "true" : "false");
        json_issued(b, c.issued_bytes);
        sb_printf(b, ", \"predicted_s\": %.9g", c.seconds);
        if (!totals) {
            json_tensors(b, "inputs", g->input, g->n_inputs);
            json_tensors(b, "outputs", g->output, g->n_outputs);
            if (!memory) json_kernels(b, p, &c);
            sb_puts(b, ",\n   \"segments\": [");
            for (int k = 0; k < g->n_segments; k++) {
                sb_puts(b, k ? ",\n    " : "\n    ");
                json_segment(b, p, &g->segment[k], memory);
            }
            sb_putc(b, ']');
        }
        sb_putc(b, '}');
        cost_free(&c);
    }
    sb_puts(b, "}}");
}
