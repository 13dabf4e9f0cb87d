/* `ect-rt train`: the loop. Setup, data, metrics and pictures are in train_*.c.
   Assumes a step is a pure function of weights, state, step, seen and the data position: that is what makes a resume exact. */
#include "runtime/train.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/signals.h"
#include <math.h>

enum { PERIOD_SECONDS = 900 };                       /* checkpoints and grids without an interval of their own */

typedef struct {
    Train *t;
    Report report, held;
    double step_seconds;                             /* smoothed */
    double line_seconds;                             /* in steps since the last line of metrics */
    uint64_t line_steps;
    double saved, sampled;                           /* when, by the clock */
    uint64_t saved_step;
    uint64_t told;                                   /* the last update whose results were taken in, written and shown */
    double began;                                    /* when the time of the next one to be told of begins */
} Loop;

/* Saves the state after `done` updates. */
static void save(Loop *l, uint64_t done)
{
    Train *t = l->t;
    if (l->saved_step == done) return;
    Checkpoint c = {.step = done, .seen = t->s->seen, .seed = t->s->seed, .position = (int64_t)t->s->seen, .run = t->run_json,
                    .config = t->config_json, .plan = t->hash, .version = ECT_VERSION, .scale = &t->s->scale};
    free(checkpoint_save(t->s, t->dir, &c, (int)t->o.keep));
    l->saved = now_seconds();
    l->saved_step = done;
}

/* Loss on the held-out images: draws of Philox step 0, which training never uses, so that every time is the same test. */
static double validate(Loop *l)
{
    Train *t = l->t;
    Session *s = t->s;
    const PlanProgram *p = plan_program(t->plan, "loss"), *train = t->feed.program;
    const float **in = xcalloc((size_t)p->n_inputs + 1, sizeof *in);
    for (int i = 0; i < p->n_inputs; i++)
        for (int k = 0; k < train->n_inputs; k++)
            if (!strcmp(p->input[i].name, train->input[k].name)) in[i] = t->feed.in[k];
    static const uint64_t draw_step = 0;
    double sum = 0;
    int64_t n = 0;
    for (int64_t first = 0; first < t->feed.held->count && !signals_stop(); first += t->feed.rows) {
        feed_held(&t->feed, first);
        RunArgs a = {.in = in, .sample0 = (uint64_t)first, .draw_step = &draw_step};
        session_run(s, p, &a);
        report_micro(&l->held, s, p, MIN(t->feed.held->count - first, t->feed.rows));
    }
    sum = l->held.sum, n = l->held.n;
    l->held.sum = 0, l->held.n = 0;
    free(in);
    return n ? sum / (double)n : NAN;
}

static void put_metrics(Loop *l, uint64_t step, double validation)
{
    Train *t = l->t;
    double v;
    StrBuf b = {0};
    jput_begin(&b);
    jput_int(&b, "step", (int64_t)step);
    jput_int(&b, "images", (int64_t)(t->s->seen + t->per_step));
    report_json(&l->report, &b);
    jput_real(&b, "images_per_s", (double)(l->line_steps * t->per_step) / l->line_seconds);
    static const char *const SCALARS[] = {"lr", "stage"};
    for (size_t i = 0; i < COUNT(SCALARS); i++)
        if (session_value(t->s, SCALARS[i], &v)) jput_real(&b, SCALARS[i], v);
    if (t->s->scale.on) {
        jput_real(&b, "loss_scale", t->s->scale.scale);
        jput_int(&b, "skipped_steps", (int64_t)t->s->scale.skipped + t->s->scale.overflow);
    }
    jput_real(&b, "memory_mb", (double)memory_peak() / 1048576);
    jput_int(&b, "memory_growth_bytes", (int64_t)(memory_peak() - MIN(memory_peak(), t->s->memory_before)));
    if (t->feed.held && isfinite(validation)) jput_real(&b, "validation_loss", validation);
    jput_end(&b);
    log_line(t->metrics, t->metrics_path, b.s);
    sb_free(&b);
    l->line_seconds = 0;
    l->line_steps = 0;
}

static void put_live(Loop *l, uint64_t step, double validation, bool now)
{
    Train *t = l->t;
    const Report *r = &l->report;
    double v, loss = r->smooth_weight > 0 ? r->smooth / r->smooth_weight : NAN;
    StrBuf b = {0};
    sb_printf(&b, "step %llu/%llu  loss %.5g  %.4g images/s", (unsigned long long)step, (unsigned long long)t->total_steps, loss,
              (double)t->per_step / l->step_seconds);
    if (session_value(t->s, "stage", &v)) sb_printf(&b, "  stage %g", v);
    if (isfinite(validation)) sb_printf(&b, "  validation %.5g", validation);
    if (t->s->scale.on) sb_printf(&b, "  scale %g", t->s->scale.scale);
    if (t->s->scale.skipped + t->s->scale.overflow) sb_printf(&b, "  skipped %llu", (unsigned long long)(t->s->scale.skipped + t->s->scale.overflow));
    if (r->all_bad_loss || r->all_bad_grad)
        sb_printf(&b, "  not finite: %lld losses, %lld gradients", (long long)r->all_bad_loss, (long long)r->all_bad_grad);
    StrBuf where = {0};
    if (report_rounding(r, &where, false)) sb_printf(&b, "  rounding at sigma %s", where.s);
    sb_free(&where);
    sb_puts(&b, "  ETA ");
    log_duration(&b, l->step_seconds * (double)(t->total_steps - step));
    log_live(b.s, 10, now);
    sb_free(&b);
}

/* One update is made, or begun where they run behind (session_depth); *bad: losses and gradients that are not finite, as far as they are known.
   false when a signal came between micro-batches: nothing was changed. */
static bool step_once(Loop *l, int64_t *bad)
{
    Train *t = l->t;
    Session *s = t->s;
    bool behind = session_depth(s) > 1;
    if (l->told == s->step - 1) l->began = now_seconds();
    *bad = 0;
    for (int64_t r = 0; r < t->o.accumulate; r++) {
        if (signals_stop()) return false;
        feed_next(&t->feed);
        RunArgs a = {.in = (const float *const *)t->feed.in, .numbers = t->feed.numbers, .sample0 = (uint64_t)(r * t->feed.rows)};
        session_micro(s, &a);
        if (!behind) *bad += report_micro(&l->report, s, t->feed.program, 0);
    }
    session_update(s);
    if (!behind && !s->scale.on) *bad += report_gradient(&l->report, s);
    return true;
}

/* The results of an update that runs behind: waits for it. */
static int64_t results(Loop *l, uint64_t step)
{
    Train *t = l->t;
    int64_t bad = 0, gradient = 0;
    for (int64_t r = 0; r < t->o.accumulate; r++) {
        gradient = session_results(t->s, step, (int)r);
        bad += report_micro(&l->report, t->s, t->feed.program, 0);
    }
    return t->s->scale.on ? bad : bad + report_bad_gradient(&l->report, gradient);       /* with a scale it is a step skipped */
}

/* Counts, writes and shows the update after the last that was told of. bad: as step_once found it. Returns what is not finite in it. */
static int64_t tell(Loop *l, int64_t bad, double validation)
{
    Train *t = l->t;
    Session *s = t->s;
    uint64_t step = ++l->told, newest = s->step, seen = s->seen;
    s->step = step;                                  /* the lines report the scalars this step was made with */
    s->seen -= (newest - step) * t->per_step;
    if (session_depth(s) > 1) bad = results(l, step);
    double now = now_seconds(), took = now - l->began;
    l->began = now;
    l->line_seconds += took;
    l->line_steps++;
    l->step_seconds = l->step_seconds > 0 ? 0.95 * l->step_seconds + 0.05 * took : took;
    bool last = step == t->total_steps;
    if (bad && bad == l->report.all_bad_loss + l->report.all_bad_grad) {
        log_live_end();
        warn("step %llu: %lld losses and %lld gradients are not finite; they are counted in metrics.jsonl "
            "(--halt-on-nonfinite stops instead)",
             (unsigned long long)step, (long long)l->report.all_bad_loss, (long long)l->report.all_bad_grad);
    }
    if (step % (uint64_t)t->o.log_every == 0 || last || (bad && t->o.halt) || isfinite(validation) || signals_stop())
        put_metrics(l, step, validation);
    put_live(l, step, validation, last);
    bool fell = s->scale.on && s->scale.overflow && s->scale.scale == 1;
    session_scale_next(s);
    if (fell) {
        log_live_end();
        warn("step %llu: gradients are not finite at a scale of 1: what overflows is more than the scale's doing", (unsigned long long)step);
    }
    s->step = newest;
    s->seen = seen;
    return bad;
}

/* Is something due after step `done`? every > 0: in steps; < 0: by the clock; 0: never. */
static bool due(int64_t every, uint64_t done, double last)
{
    return every > 0 ? done % (uint64_t)every == 0 : every < 0 && now_seconds() - last >= PERIOD_SECONDS;
}

static void sample_grid(Loop *l, uint64_t done)
{
    Train *t = l->t;
    if (!t->can_sample) return;
    grid_samples(t->dir, &t->sampler, t->s, t->o.grid, (int)t->o.zoom, done);
    l->sampled = now_seconds();
}

/* From the session's step to the last; returns the number of updates made in all. */
static uint64_t train_loop(Loop *l)
{
    Train *t = l->t;
    Session *s = t->s;
    const TrainOptions *o = &t->o;
    uint64_t done = s->step - 1, depth = (uint64_t)session_depth(s);
    l->told = done;
    while (done < t->total_steps) {
        int64_t bad;
        if (!step_once(l, &bad)) break;
        done = s->step;
        bool last = done == t->total_steps, checked = t->feed.held && (last || due(o->validate_every, done, 0));
        bool saves = last || due(o->checkpoint_every, done, l->saved), samples = last || due(o->sample_every, done, l->sampled);
        /* What looks at the state waits for it; else updates are told of when the next ones need the place of their results. */
        bool all = checked || saves || samples || o->halt || s->scale.on || signals_stop();      /* the next scale depends on this update */
        while (l->told < done - 1 && (all || done - l->told >= depth)) tell(l, bad, NAN);
        double validation = checked ? validate(l) : NAN;
        bool halt = (all || depth == 1) && tell(l, bad, validation) && o->halt;
        s->step = done + 1;
        s->seen += t->per_step;
        if (halt) {
            log_live_end();
            save(l, done);
            user_error("step %llu: losses or gradients are not finite, stopped; the state is saved in %s",
                (unsigned long long)done, t->dir);
        }
        if (saves) save(l, done);
        if (samples) sample_grid(l, done);
    }
    while (l->told < done) tell(l, 0, NAN);
    log_live_end();
    return done;
}

int cmd_train(int argc, char **argv)
{
    Train t;
    signals_as_errors();
    train_setup(&t, argc, argv);
    Session *s = t.s;
    uint64_t start = s->step - 1;
    if (start >= t.total_steps) {
        printf("the run is at step %llu of %llu already: nothing to do (--steps or --images make it longer)\n",
            (unsigned long long)start,
               (unsigned long long)t.total_steps);
        train_finish(&t);
        return EXIT_OK;
    }
    metrics_open(&t, start);
    Loop l = {.t = &t, .saved_step = t.resume_from ? start : UINT64_MAX};
    report_open(&l.report, t.feed.program);
    if (t.feed.held) report_open(&l.held, plan_program(t.plan, "loss"));
    session_prepare(s, t.feed.program, false);
    if (t.can_sample) session_prepare(s, t.sampler.program, false);
    if (t.feed.held) session_prepare(s, plan_program(t.plan, "loss"), false);
    train_start_data(&t);
    signals_catch("\nstopping: the state is saved first; once more stops at once\n");
    if (!t.resume_from) {
        grid_data(t.dir, &t.feed, t.o.grid, (int)t.o.zoom);
        sample_grid(&l, 0);
    }
    l.saved = l.sampled = now_seconds();
    uint64_t done = train_loop(&l);
    if (done < t.total_steps) {
        if (done > start) save(&l, done);
        printf("stopped after step %llu of %llu%s\n", (unsigned long long)done, (unsigned long long)t.total_steps,
               done > start || t.resume_from ? "" : "; nothing was trained yet, so nothing was saved");
        if (done || t.resume_from) printf("go on with: ect-rt train %s --out %s --resume\n", t.o.plan_dir, t.dir);
    } else {
        printf("trained %llu steps, %llu images: %s\n", (unsigned long long)done, (unsigned long long)s->seen, t.dir);
        StrBuf where = {0};
        if (report_rounding(&l.report, &where, true)) printf("resolution of the loss (log10) by sigma: %s\n", where.s);
        sb_free(&where);
        if (s->scale.on) printf("scale of the loss %g, %llu steps skipped\n", s->scale.scale, (unsigned long long)s->scale.skipped);
        if (t.can_sample) printf("sample with: ect-rt sample %s --weights %s -o samples.png\n", t.o.plan_dir, t.dir);
    }
    report_close(&l.report);
    if (t.feed.held) report_close(&l.held);
    train_finish(&t);
    return EXIT_OK;
}
