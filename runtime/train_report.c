/* Loss, its split by noise level, where rounding makes it, the model's reports, and counts of non-finite values between two lines of metrics.jsonl.
   Assumes `loss`, `report.sigma` and `report.resolution` have one value a sample where the split is wanted. */
#include "runtime/train.h"
#include "runtime/log.h"
#include <math.h>

/* Upper edges of report.sigma's buckets; labels as metrics.jsonl has them. */
static const struct { double below; const char *label; } BUCKET[SIGMA_BUCKETS] = {
    {0.1, "<0.1"}, {0.3, "0.1-0.3"}, {1, "0.3-1"}, {3, "1-3"}, {10, "3-10"}, {HUGE_VAL, ">=10"},
};

/* What is equal to the last bit has no logarithm: a smaller ratio counts as this. */
static const double SMALLEST_RATIO = 1e-3;

static int output_named(const PlanProgram *p, const char *name)
{
    for (int i = 0; i < p->n_outputs; i++)
        if (!strcmp(p->output[i].name, name)) return i;
    return -1;
}

static bool is_report(const PlanProgram *p, int i)
{
    return !strncmp(p->output[i].name, "report.", 7);
}

void report_open(Report *r, const PlanProgram *p)
{
    memset(r, 0, sizeof *r);
    r->program = p;
    r->loss = output_named(p, "loss");
    r->sigma = output_named(p, "report.sigma");
    r->resolution = r->sigma >= 0 ? output_named(p, "report.resolution") : -1;
    if (r->loss < 0) user_error("program %s of this model has no output `loss`; compile the plan again", p->name);
    r->report_sum = xcalloc((size_t)p->n_outputs, sizeof *r->report_sum);
    r->report_n = xcalloc((size_t)p->n_outputs, sizeof *r->report_n);
}

static void add_resolution(Report *r, int k, double ratio)
{
    if (!(ratio >= 0) || !isfinite(ratio)) return;
    double v = log10(fmax(ratio, SMALLEST_RATIO));
    r->log_sum[k] += v;
    r->log_n[k]++;
    r->smooth_log[k] = 0.99 * r->smooth_log[k] + 0.01 * v;
    r->smooth_log_weight[k] = 0.99 * r->smooth_log_weight[k] + 0.01;
}

int64_t report_micro(Report *r, Session *s, const PlanProgram *p, int64_t rows)
{
    const float *loss = session_output(s, p, "loss"), *sigma = r->sigma >= 0 ? session_output(s, p, "report.sigma") : NULL;
    const float *ratio = r->resolution >= 0 ? session_output(s, p, "report.resolution") : NULL;
    int64_t n = shape_elements(&p->output[r->loss].shape), bad = 0;
    bool split = sigma && shape_elements(&p->output[r->sigma].shape) == n;
    if (!split || (ratio && shape_elements(&p->output[r->resolution].shape) != n)) ratio = NULL;
    if (rows && rows < n && p->output[r->loss].shape.n) n = rows * (n / p->output[r->loss].shape.size[0]);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(loss[i])) {
            bad++;
            continue;
        }
        r->sum += loss[i];
        r->n++;
        r->smooth = 0.99 * r->smooth + 0.01 * loss[i];
        r->smooth_weight = 0.99 * r->smooth_weight + 0.01;
        if (!split) continue;
        int k = 0;
        while (k < SIGMA_BUCKETS - 1 && !(sigma[i] < BUCKET[k].below)) k++;
        r->bucket_sum[k] += loss[i];
        r->bucket_n[k]++;
        if (ratio) add_resolution(r, k, ratio[i]);
    }
    for (int i = 0; i < p->n_outputs; i++) {
        if (!is_report(p, i)) continue;
        const float *v = session_output(s, p, p->output[i].name);
        int64_t m = shape_elements(&p->output[i].shape);
        for (int64_t k = 0; v && k < m; k++) {
            if (!isfinite(v[k])) continue;
            r->report_sum[i] += v[k];
            r->report_n[i]++;
        }
    }
    r->bad_loss += bad;
    r->all_bad_loss += bad;
    return bad;
}

int64_t report_gradient(Report *r, const Session *s)
{
    return report_bad_gradient(r, session_bad_gradient(s));
}

int64_t report_bad_gradient(Report *r, int64_t bad)
{
    r->bad_grad += bad;
    r->all_bad_grad += bad;
    return bad;
}

double report_mean(const Report *r)
{
    return r->n ? r->sum / (double)r->n : NAN;
}

void report_json(Report *r, StrBuf *b)
{
    const PlanProgram *p = r->program;
    jput_real(b, "loss", report_mean(r));
    if (r->sigma >= 0) {
        jput_key(b, "loss_by_sigma");
        jput_begin(b);
        for (int k = 0; k < SIGMA_BUCKETS; k++)
            if (r->bucket_n[k]) jput_real(b, BUCKET[k].label, r->bucket_sum[k] / (double)r->bucket_n[k]);
        jput_end(b);
    }
    if (r->resolution >= 0) {
        jput_key(b, "log10_resolution_by_sigma");
        jput_begin(b);
        for (int k = 0; k < SIGMA_BUCKETS; k++)
            if (r->log_n[k]) jput_real(b, BUCKET[k].label, r->log_sum[k] / (double)r->log_n[k]);
        jput_end(b);
    }
    for (int i = 0; i < p->n_outputs; i++)
        if (is_report(p, i) && i != r->sigma && i != r->resolution) jput_real(b, p->output[i].name, r->report_n[i]
                ? r->report_sum[i] / (double)r->report_n[i] : NAN);
    jput_int(b, "nonfinite_loss", r->bad_loss);
    jput_int(b, "nonfinite_gradient", r->bad_grad);
    r->sum = 0, r->n = 0, r->bad_loss = 0, r->bad_grad = 0;
    memset(r->bucket_sum, 0, sizeof r->bucket_sum);
    memset(r->bucket_n, 0, sizeof r->bucket_n);
    memset(r->log_sum, 0, sizeof r->log_sum);
    memset(r->log_n, 0, sizeof r->log_n);
    memset(r->report_sum, 0, (size_t)p->n_outputs * sizeof *r->report_sum);
    memset(r->report_n, 0, (size_t)p->n_outputs * sizeof *r->report_n);
}

bool report_rounding(const Report *r, StrBuf *b, bool all)
{
    bool any = false;
    for (int k = 0; k < SIGMA_BUCKETS; k++) {
        if (!(r->smooth_log_weight[k] > 0)) continue;
        double v = r->smooth_log[k] / r->smooth_log_weight[k];
        if (!all && v >= 0) continue;
        sb_printf(b, "%s%s", any ? ", " : "", BUCKET[k].label);
        if (all) sb_printf(b, " %.2f%s", v, v < 0 ? " (rounding)" : "");
        any = true;
    }
    return any;
}

void report_close(Report *r)
{
    free(r->report_sum);
    free(r->report_n);
}
