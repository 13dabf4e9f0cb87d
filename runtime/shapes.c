/* The built-in drawn data set: saturated circles, squares and triangles on dark two-colour gradients.
   Assumes nothing but integer hashing and IEEE doubles (no libm but sqrt), so a seed gives the same bytes everywhere. */
#include "runtime/data_internal.h"

#include <math.h>

enum { SHAPES_DEFAULT_SIDE = 32, SHAPES_DEFAULT_COUNT = 10000, SHAPES_MAX_SIDE = 1024, STREAM_SHAPES = 4 };

static const char *const shape_names[] = {"circle", "square", "triangle"};

/* The draws of one image, one after the other. */
typedef struct {
    uint64_t key, counter;
} Draws;

static double uniform(Draws *d, double lo, double hi)
{
    uint64_t bits = data_hash(d->key, STREAM_SHAPES, d->counter++) >> 11;
    return lo + (hi - lo) * ((double)bits * 0x1p-53);
}

static void hsv(double hue, double s, double v, double rgb[3])
{
    hue -= floor(hue);
    for (int k = 0; k < 3; k++) {
        double x = hue * 6 + (k == 0 ? 5 : k == 1 ? 3 : 1);
        x -= 6 * floor(x / 6);
        double ramp = fmax(0, fmin(1, fmin(x, 4 - x)));
        rgb[k] = v - v * s * ramp;
    }
}

/* Distance to the outline, negative inside; p relative to the centre and already turned. */
static double outline(int shape, double x, double y, double r)
{
    const double half_sqrt3 = 0.86602540378443865;
    if (shape == 0)
        return sqrt(x * x + y * y) - r;
    if (shape == 1)
        return fmax(fabs(x), fabs(y)) - r;
    return fmax(y, half_sqrt3 * fabs(x) - 0.5 * y) - r;      /* r: the inner radius, point upwards */
}

static void draw_shape(uint8_t *out, int side, int shape, uint64_t key)
{
    Draws d = {.key = key};
    double fore[3], back[2][3];
    double hue = uniform(&d, 0, 1);
    hsv(hue, uniform(&d, 0.8, 1), uniform(&d, 0.9, 1), fore);
    double other = hue + 0.5 + uniform(&d, -0.17, 0.17);
    hsv(other, uniform(&d, 0.3, 0.7), uniform(&d, 0.08, 0.25), back[0]);
    hsv(other + uniform(&d, -0.12, 0.12), uniform(&d, 0.3, 0.7), uniform(&d, 0.3, 0.5), back[1]);

    double size = uniform(&d, 0.30, 0.36);
    double r = size * (shape == 0 ? 1 : shape == 1 ? 0.886 : 0.70);
    double reach = shape == 0 ? r : shape == 1 ? 1.4143 * r : 2 * r;
    double slack = fmax(0, fmin(0.06, 0.5 - reach - 0.02));            /* near the middle: a small network learns outlines, not places */
    double cx = 0.5 + uniform(&d, -slack, slack), cy = 0.5 + uniform(&d, -slack, slack);
    /* A turn of up to 6 degrees, by the rational form of sine and cosine. */
    double t = uniform(&d, -0.05, 0.05), cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
    double gx = uniform(&d, -1, 1), gy = uniform(&d, -1, 1), gn = fabs(gx) + fabs(gy) + 1e-9;

    for (int py = 0; py < side; py++)
        for (int px = 0; px < side; px++) {
            double u = (px + 0.5) / side, v = (py + 0.5) / side;
            double mix = 0.5 + ((u - 0.5) * gx + (v - 0.5) * gy) / gn;
            double x = u - cx, y = v - cy;
            double dist = outline(shape, cosine * x + sine * y, cosine * y - sine * x, r);
            double cover = fmax(0, fmin(1, 0.5 - dist * side));
            for (int k = 0; k < 3; k++) {
                double ground = back[0][k] + (back[1][k] - back[0][k]) * mix;
                *out++ = (uint8_t)(255 * (ground + (fore[k] - ground) * cover) + 0.5);
            }
        }
}

static Dataset *shapes_into(Dataset *ds, uint64_t seed)
{
    size_t size = (size_t)ds->h * (size_t)ds->w * 3;
    ds->labels = xmalloc((size_t)ds->count * sizeof *ds->labels);
    ds->label_dim = COUNT(shape_names);
    ds->class_names = xcalloc(COUNT(shape_names), sizeof *ds->class_names);
    for (size_t i = 0; i < COUNT(shape_names); i++)
        ds->class_names[i] = xstrdup(shape_names[i]);
    for (int64_t i = 0; i < ds->count; i++) {
        ds->labels[i] = (int32_t)(i % 3);
        draw_shape(ds->pixels + (size_t)i * size, ds->h, ds->labels[i], data_hash(seed, STREAM_SHAPES, (uint64_t)i));
    }
    ds->source = xasprintf("built-in drawn set shapes:%d:%lld (seed %llu)", ds->h, (long long)ds->count,
        (unsigned long long)seed);
    return ds;
}

Dataset *dataset_shapes(int side, int64_t count, uint64_t seed)
{
    DataErr e = {0};
    CHECK_BUG(side > 0 && side <= SHAPES_MAX_SIDE && count > 0);
    Dataset *ds = data_new(&e, "shapes", count, side, side, 3);
    if (!ds)
        machine_error("%s", e.msg);
    return shapes_into(ds, seed);
}

Dataset *read_shapes(DataErr *e, const char *path, const DataOptions *opt)
{
    long long side = opt->resolution ? opt->resolution : SHAPES_DEFAULT_SIDE, count = SHAPES_DEFAULT_COUNT;
    const char *at = path + strlen("shapes");
    bool ok = true;
    if (*at == ':') {
        char *end;
        side = strtoll(at + 1, &end, 10);
        ok = end > at + 1;
        if (ok && *end == ':') {
            at = end;
            count = strtoll(at + 1, &end, 10);
            ok = end > at + 1;
        }
        ok = ok && *end == 0;
    }
    if (!ok || side < 4 || side > SHAPES_MAX_SIDE || count < 1 || count > 100000000) {
        data_user(e, "%s: not a drawn set: write shapes, shapes:RES or shapes:RES:COUNT with RES 4 to %d and COUNT 1 to "
            "100000000",
                  path, SHAPES_MAX_SIDE);
        return NULL;
    }
    if (opt->max_images > 0)
        count = MIN(count, opt->max_images);
    Dataset *ds = data_new(e, path, count, (int)side, (int)side, 3);
    return ds ? shapes_into(ds, opt->seed) : NULL;
}
