/* Micro-batches for training: images from a data set, or any tensors from a safetensors file.
   Assumes the leading axis of every input is the batch. */
#include "runtime/train.h"
#include "runtime/memory.h"

enum { GENERIC_STREAM = 0x64617461 };

static const PlanShape *shape_of(const Feed *f, int input)
{
    return &f->program->input[input].shape;
}

static void open_images(Feed *f, const char *data, int64_t holdout, uint64_t seed)
{
    static const char *const ROLES[] = {"n", "c", "h", "w"};
    const PlanShape *im = shape_of(f, f->images);
    for (int i = 0; i < 4; i++)
        if (im->n != 4 || strcmp(im->role[i], ROLES[i]))
            user_error("the model's training input `images` must be [n, c, h, w] in that order");
    f->c = (int)im->size[1], f->h = (int)im->size[2], f->w = (int)im->size[3];
    if (f->h != f->w) user_error("the model trains on %dx%d images; data sets are square", f->w, f->h);
    if (f->c != 1 && f->c != 3) user_error("the model trains on images of %d channels; data sets have 1 or 3", f->c);
    char *built_in = data ? NULL : xasprintf("shapes:%d", f->h), *err = NULL;
    DataOptions opt = {.resolution = f->h, .channels = f->c, .grey = f->c == 1};
    int status = EXIT_USER;
    f->ds = dataset_open(data ? data : built_in, &opt, &err, &status);
    if (!f->ds) {
        if (status == EXIT_MACHINE) machine_error("%s", err);
        user_error("%s", err);
    }
    if (f->ds->note) warn("%s", f->ds->note);
    if (f->classes && f->ds->label_dim != f->classes) {
        if (!f->ds->label_dim) user_error("the model has %d classes, the data has no labels: %s\n  compile with -D labels=0",
                f->classes, f->ds->source);
        user_error("the model has %d classes, the data %d: %s\n  compile with -D labels=%d", f->classes, f->ds->label_dim,
            f->ds->source, f->ds->label_dim);
    }
    if (holdout > 0) {
        if (holdout >= f->ds->count)
            user_error("--validate-images %lld: the data has only %lld images", (long long)holdout, (long long)f->ds->count);
        f->held = dataset_split(f->ds, holdout, seed);
    }
    f->count = f->ds->count;
    f->bytes = (uint64_t)f->ds->count * (uint64_t)(f->c * f->h * f->w);
    f->what = xasprintf("%s: %lld images %dx%d%s%s", f->ds->source, (long long)f->ds->count, f->w, f->h, f->held
        ? ", others held out" : "",
                        data ? "" : " (built in, since no --data is given)");
    free(built_in);
}

static void open_tensors(Feed *f, const char *data)
{
    StrBuf names = {0};
    for (int i = 0; i < f->program->n_inputs; i++) {
        if (!shape_elements(shape_of(f, i))) continue;
        sb_printf(&names, "%s`%s` [samples", names.len ? ", " : "", f->program->input[i].name);
        for (int k = 1; k < shape_of(f, i)->n; k++) sb_printf(&names, ", %lld", (long long)shape_of(f, i)->size[k]);
        sb_putc(&names, ']');
    }
    if (!data) user_error("this model does not train on images: give --data FILE.safetensors with tensors %s", names.s);
    char *err = NULL;
    f->file = tensor_file_open(data, &err);
    if (!f->file) user_error("%s\n  this model trains on a safetensors file with tensors %s", err, names.s);
    f->entry = xcalloc((size_t)f->program->n_inputs, sizeof *f->entry);
    f->count = -1;
    for (int i = 0; i < f->program->n_inputs; i++) {
        const PlanShape *s = shape_of(f, i);
        if (!shape_elements(s)) continue;
        const TensorEntry *t = f->entry[i] = tensor_find(f->file, f->program->input[i].name);
        bool fits = t && t->n_dims == s->n;
        for (int k = 1; fits && k < s->n; k++) fits = t->shape[k] == s->size[k];
        if (!fits) {
            StrBuf got = {0};
            if (t) tensor_shape_text(&got, t->n_dims, t->shape);
            user_error("%s: tensor `%s` %s%s; this model trains on %s", data, f->program->input[i].name, t ? "has shape "
                : "is missing", t ? got.s : "", names.s);
        }
        if (f->count < 0) f->count = t->shape[0];
        if (t->shape[0] != f->count) user_error("%s: tensors have different numbers of samples: %lld and %lld", data,
                (long long)f->count, (long long)t->shape[0]);
    }
    if (f->count < 1) user_error("%s holds no samples", data);
    f->what = xasprintf("%s: %lld samples", data, (long long)f->count);
    sb_free(&names);
}

void feed_open(Feed *f, const Plan *plan, const char *data, int64_t holdout, uint64_t seed)
{
    memset(f, 0, sizeof *f);
    f->plan = plan;
    f->program = plan_program(plan, "train_step");
    f->images = f->labels = -1;
    f->seed = seed;
    f->epoch = -1;
    const PlanProgram *p = f->program;
    f->in = xcalloc((size_t)p->n_inputs + 1, sizeof *f->in);
    for (int i = 0; i < p->n_inputs; i++) {
        const PlanShape *s = shape_of(f, i);
        int64_t n = shape_elements(s);
        if (!n) continue;
        if (!s->n || strcmp(s->role[0], "n")) user_error("training input `%s` must have n as its first axis", p->input[i].name);
        if (f->rows && s->size[0] != f->rows) user_error("training inputs have batches of %d and %lld", f->rows,
                (long long)s->size[0]);
        f->rows = (int)s->size[0];
        f->in[i] = xcalloc((size_t)n, sizeof(float));
        if (!strcmp(p->input[i].name, "images")) f->images = i;
        if (!strcmp(p->input[i].name, "labels")) f->labels = i, f->classes = (int)(n / f->rows);
    }
    if (!f->rows) user_error("program train_step of this model takes no inputs: there is nothing to train on");
    if (f->images >= 0) open_images(f, data, holdout, seed);
    else if (holdout > 0) user_error("--validate-every works with models of images only");
    else open_tensors(f, data);
}

void feed_start(Feed *f, bool flip, int64_t position, bool on_device)
{
    f->position = position;
    if (f->ds) f->loader = loader_new(f->ds, &(LoaderOptions){.seed = f->seed, .batch = f->rows, .flip = flip,
            .start = position, .numbers = on_device});
    else if (flip) user_error("--flip works with images only");
    if (on_device) f->numbers = xmalloc((size_t)f->rows * sizeof *f->numbers);
}

/* A new permutation for each pass over the data, a function of (seed, epoch). */
static int64_t sample_at(Feed *f, int64_t position)
{
    int64_t epoch = position / f->count;
    if (!f->order) f->order = xmalloc((size_t)f->count * sizeof *f->order);
    if (epoch != f->epoch) {
        for (int64_t i = 0; i < f->count; i++) f->order[i] = i;
        for (int64_t i = f->count - 1; i > 0; i--) {
            uint64_t word[3] = {GENERIC_STREAM, (uint64_t)epoch, (uint64_t)i};
            int64_t j = (int64_t)(hash64(word, sizeof word, f->seed) % (uint64_t)(i + 1)), t = f->order[i];
            f->order[i] = f->order[j];
            f->order[j] = t;
        }
        f->epoch = epoch;
    }
    return f->order[position % f->count];
}

void feed_next(Feed *f)
{
    if (f->loader) {
        float *labels = f->labels >= 0 ? f->in[f->labels] : NULL;
        if (f->numbers) loader_next_numbers(f->loader, f->numbers, labels);
        else loader_next(f->loader, f->in[f->images], labels);
        f->position = loader_position(f->loader);
        return;
    }
    for (int row = 0; row < f->rows; row++, f->position++) {
        int64_t k = sample_at(f, f->position);
        for (int i = 0; i < f->program->n_inputs; i++) {
            if (!f->entry[i]) continue;
            int64_t each = f->entry[i]->elements / f->count;
            tensor_read_f32(f->entry[i], k * each, each, f->in[i] + row * each);
        }
    }
}

void feed_held(Feed *f, int64_t first)
{
    int64_t each = (int64_t)f->c * f->h * f->w;
    for (int row = 0; row < f->rows; row++)
        dataset_get(f->held, MIN(first + row, f->held->count - 1), false, f->in[f->images] + row * each,
                    f->labels >= 0 ? f->in[f->labels] + (int64_t)row * f->classes : NULL);
}

void feed_close(Feed *f)
{
    if (f->loader) loader_free(f->loader);
    if (f->held) dataset_free(f->held);
    if (f->ds) dataset_free(f->ds);
    if (f->file) tensor_file_close(f->file);
    for (int i = 0; i < f->program->n_inputs; i++) free(f->in[i]);
    free(f->in);
    free(f->entry);
    free(f->numbers);
    free(f->order);
    free(f->what);
}
