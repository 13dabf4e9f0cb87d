/* Arithmetic on decoded images: channels, cropping, resizing, byte and float conversion, grids.
   Assumes sizes within the limits of image.h and buffers that do not overlap. */
#include "runtime/image.h"

#include <math.h>

void image_set_channels(const uint8_t *from, int from_c, uint8_t *to, int to_c, int64_t pixels)
{
    if (from_c == to_c) {
        memcpy(to, from, (size_t)pixels * (size_t)to_c);
        return;
    }
    for (int64_t i = 0; i < pixels; i++)
        if (from_c == 1)
            to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
        else
            to[i] = (uint8_t)((from[3 * i] * 19595u + from[3 * i + 1] * 38470u + from[3 * i + 2] * 7471u + 0x8000u) >> 16);
}

/* ---- resizing ---- */

static double lanczos(double x)
{
    const double pi = 3.14159265358979323846;
    if (x == 0)
        return 1;
    if (!(fabs(x) < 3))
        return 0;
    double a = pi * x;
    return 3 * sin(a) * sin(a / 3) / (a * a);
}

typedef struct {
    int first, count;
    float *w;                       /* [count], sums to 1 */
} Taps;

/* For each output position, the inputs it reads and their weights; reducing widens the filter so that nothing aliases. */
static Taps *make_taps(int in, int out, float **store)
{
    double scale = (double)in / out, wide = scale > 1 ? scale : 1;
    int most = (int)ceil(6 * wide) + 2;
    Taps *taps = xmalloc((size_t)out * sizeof *taps);
    float *w = *store = xmalloc((size_t)out * (size_t)most * sizeof *w);
    for (int o = 0; o < out; o++, w += most) {
        double centre = (o + 0.5) * scale, total = 0;
        int lo = MAX(0, (int)floor(centre - 3 * wide)), hi = MIN(in, (int)ceil(centre + 3 * wide));
        CHECK_BUG(hi - lo <= most);
        for (int i = lo; i < hi; i++)
            total += lanczos((i + 0.5 - centre) / wide);
        for (int i = lo; i < hi; i++)
            w[i - lo] = (float)(lanczos((i + 0.5 - centre) / wide) / total);
        taps[o] = (Taps){lo, hi - lo, w};
    }
    return taps;
}

static uint8_t to_byte(float v)
{
    return (uint8_t)fminf(fmaxf(floorf(v + 0.5f), 0), 255);
}

void image_crop_resize(const uint8_t *pixels, int h, int w, int c, int side, uint8_t *out)
{
    int n = MIN(h, w), top = (h - n) / 2, left = (w - n) / 2;
    size_t stride = (size_t)w * (size_t)c;
    const uint8_t *square = pixels + (size_t)top * stride + (size_t)(left * c);
    if (n == side) {
        for (int y = 0; y < side; y++)
            memcpy(out + (size_t)(y * side * c), square + (size_t)y * stride, (size_t)(side * c));
        return;
    }
    float *store;
    uint8_t *rows = xmalloc((size_t)n * (size_t)(side * c));      /* rounded between the passes, as image libraries do */
    Taps *taps = make_taps(n, side, &store);
    for (int y = 0; y < n; y++)
        for (int x = 0; x < side; x++)
            for (int k = 0; k < c; k++) {
                const uint8_t *from = square + (size_t)y * stride + (size_t)(taps[x].first * c + k);
                float sum = 0;
                for (int i = 0; i < taps[x].count; i++)
                    sum += taps[x].w[i] * from[i * c];
                rows[((size_t)y * (size_t)side + (size_t)x) * (size_t)c + (size_t)k] = to_byte(sum);
            }
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side * c; x++) {
            float sum = 0;
            for (int i = 0; i < taps[y].count; i++)
                sum += taps[y].w[i] * rows[(size_t)(taps[y].first + i) * (size_t)(side * c) + (size_t)x];
            out[(size_t)(y * side * c) + (size_t)x] = to_byte(sum);
        }
    free(taps);
    free(store);
    free(rows);
}

/* ---- bytes and floats ---- */

uint8_t image_byte(float x, ByteRule rule)
{
    float v = rule == BYTES_METRIC ? 127.5f * x + 128.0f : rintf((x + 1.0f) * 127.5f);
    if (!(v > 0))
        return 0;
    return v < 255 ? (uint8_t)v : 255;
}

void image_floats_to_bytes(const float *nchw, int64_t n, int h, int w, int c, ByteRule rule, uint8_t *nhwc)
{
    int64_t plane = (int64_t)h * w;
    for (int64_t i = 0; i < n; i++, nchw += plane * c, nhwc += plane * c)
        for (int k = 0; k < c; k++)
            for (int64_t p = 0; p < plane; p++)
                nhwc[p * c + k] = image_byte(nchw[k * plane + p], rule);
}

void image_bytes_to_floats(const uint8_t *hwc, int h, int w, int c, bool mirror, float *chw)
{
    for (int k = 0; k < c; k++)
        for (int y = 0; y < h; y++) {
            const uint8_t *from = hwc + (size_t)y * (size_t)(w * c) + (size_t)k;
            for (int x = 0; x < w; x++)
                *chw++ = (float)from[(mirror ? w - 1 - x : x) * c] / 127.5f - 1.0f;
        }
}

/* ---- grids ---- */

bool image_write_grid(const char *path, const uint8_t *images, int64_t count, int h, int w, int c, int columns,
    char err[IMAGE_ERR])
{
    int64_t cols = columns > 0 ? columns : (int64_t)ceil(sqrt((double)count));
    cols = MAX(1, MIN(cols, count));
    int64_t rows = (count + cols - 1) / cols;
    if (count <= 0 || rows * h > 1000000 || cols * w > 1000000 || rows * h * cols * w > (1 << 30)) {
        snprintf(err, IMAGE_ERR, "cannot make %s: a grid of %lld images of %dx%d is %s", path, (long long)count, w, h,
                 count <= 0 ? "empty" : "too large");
        return false;
    }
    size_t line = (size_t)(w * c), stride = (size_t)cols * line;
    uint8_t *grid = xcalloc((size_t)(rows * h), stride);
    for (int64_t i = 0; i < count; i++)
        for (int y = 0; y < h; y++)
            memcpy(grid + (size_t)(i / cols * h + y) * stride + (size_t)(i % cols) * line,
                   images + ((size_t)i * (size_t)h + (size_t)y) * line, line);
    bool ok = image_write_png(path, grid, (int)(rows * h), (int)(cols * w), c, 6, err);
    free(grid);
    return ok;
}
