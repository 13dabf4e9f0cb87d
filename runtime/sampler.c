/* sample.h: batches of z through program `sample`.
   Assumes declared order n, c, h, w of z and images; other inputs than z and labels are zeros. */
#include "runtime/sample.h"
#include "runtime/image.h"
#include "runtime/rng.h"

static int input_named(const PlanProgram *p, const char *name)
{
    for (int i = 0; i < p->n_inputs; i++)
        if (!strcmp(p->input[i].name, name)) return i;
    return -1;
}

static bool is_nchw(const PlanShape *s)
{
    static const char *const ROLES[] = {"n", "c", "h", "w"};
    for (int i = 0; i < 4; i++)
        if (s->n != 4 || strcmp(s->role[i], ROLES[i])) return false;
    return true;
}

bool sampler_init(Sampler *sm, const Plan *plan, char **err)
{
    memset(sm, 0, sizeof *sm);
    const PlanProgram *p = sm->program = plan_program(plan, "sample");
    if (!p) {
        *err = xasprintf("%s has no program `sample`: the model text declares none", plan->dir);
        return false;
    }
    sm->z = input_named(p, "z");
    sm->labels = input_named(p, "labels");
    sm->images = -1;
    for (int i = 0; i < p->n_outputs; i++)
        if (!strcmp(p->output[i].name, "images")) sm->images = i;
    if (sm->z < 0 || sm->images < 0 || !is_nchw(&p->input[sm->z].shape) || !is_nchw(&p->output[sm->images].shape)) {
        *err = xasprintf("program `sample` of %s must take z: [n, c, h, w] and return images: [n, c, h, w]", plan->dir);
        return false;
    }
    const PlanShape *z = &p->input[sm->z].shape, *im = &p->output[sm->images].shape;
    for (int i = 0; i < 4; i++)
        if (z->size[i] != im->size[i] || z->size[i] < 1) {
            *err = xasprintf("program `sample` of %s: z and images have different shapes", plan->dir);
            return false;
        }
    sm->batch = (int)z->size[0], sm->c = (int)z->size[1], sm->h = (int)z->size[2], sm->w = (int)z->size[3];
    if (sm->labels >= 0) {
        const PlanShape *l = &p->input[sm->labels].shape;
        if (!shape_elements(l)) sm->labels = -1;
        else if (l->n == 2 && l->size[0] == sm->batch) sm->classes = (int)l->size[1];
        else {
            *err = xasprintf("program `sample` of %s: labels must be [n, c]", plan->dir);
            return false;
        }
    }
    return true;
}

void sampler_z(const Sampler *sm, uint64_t seed, int64_t image, float *out)
{
    size_t area = (size_t)sm->h * (size_t)sm->w, c = (size_t)sm->c;
    float *hwc = xmalloc(area * c * sizeof *hwc);
    rng_normal(hwc, rng_key("draw.z", seed), 0, (uint64_t)image, 1, area * c);
    for (size_t k = 0; k < c; k++)
        for (size_t i = 0; i < area; i++) out[k * area + i] = hwc[i * c + k];
    free(hwc);
}

int64_t sampler_run(const Sampler *sm, Session *s, int64_t first, int64_t count, const double *mid, int n_mid,
    const int *class_of, float *out,
                    bool (*stop)(void))
{
    const PlanProgram *p = sm->program;
    size_t each = (size_t)sm->c * (size_t)sm->h * (size_t)sm->w;
    float **in = xcalloc((size_t)p->n_inputs + 1, sizeof *in);
    for (int i = 0; i < p->n_inputs; i++) {
        int64_t n = shape_elements(&p->input[i].shape);
        in[i] = n ? xcalloc((size_t)n, sizeof(float)) : NULL;
    }
    int64_t done = 0;
    for (; done < count && !(stop && stop()); done += sm->batch) {
        for (int row = 0; row < sm->batch; row++) {
            int64_t i = done + row;
            sampler_z(sm, s->seed, first + i, in[sm->z] + (size_t)row * each);
            if (!sm->classes) continue;
            float *label = in[sm->labels] + (size_t)row * (size_t)sm->classes;
            memset(label, 0, (size_t)sm->classes * sizeof *label);
            label[class_of ? class_of[MIN(i, count - 1)] : (first + i) % sm->classes] = 1;
        }
        RunArgs a = {.in = (const float *const *)in, .sample0 = (uint64_t)(first + done), .mid = mid, .n_mid = n_mid};
        session_run(s, p, &a);
        const float *images = session_output(s, p, "images");
        memcpy(out + (size_t)done * each, images, (size_t)MIN(sm->batch, count - done) * each * sizeof *out);
    }
    for (int i = 0; i < p->n_inputs; i++) free(in[i]);
    free(in);
    return MIN(done, count);
}

bool grid_write(const char *path, const uint8_t *images, int64_t count, int h, int w, int c, int columns, int zoom, char **err)
{
    size_t each = (size_t)h * (size_t)w * (size_t)c, z = (size_t)zoom, row = (size_t)w * z * (size_t)c;
    uint8_t *large = zoom > 1 ? xmalloc((size_t)count * each * z * z) : NULL;
    if (large)
        for (size_t y = 0; y < (size_t)count * (size_t)h; y++) {
            uint8_t *to = large + y * z * row;
            for (size_t x = 0; x < (size_t)w * z; x++)
                memcpy(to + x * (size_t)c, images + (y * (size_t)w + x / z) * (size_t)c, (size_t)c);
            for (size_t k = 1; k < z; k++) memcpy(to + k * row, to, row);
        }
    char text[IMAGE_ERR];
    bool ok = image_write_grid(path, large ? large : images, count, h * zoom, w * zoom, c, columns, text);
    free(large);
    if (!ok) *err = xstrdup(text);
    return ok;
}

void session_use_live(Session *s)
{
    session_fetch(s);
    for (int k = 1; k < s->plan->n_sets; k++)
        if (s->set[k] && s->set[k] != s->param) memcpy(s->set[k], s->param, (size_t)s->plan->param_elements * sizeof(float));
    session_changed(s);
}
