/* Drawing images with a plan's program `sample`: used by the command and by training's grids.
   Assumes input z [n,c,h,w] and output images of the same shape, labels one-hot. */
#ifndef ECT_SAMPLE_H
#define ECT_SAMPLE_H
#include "runtime/run.h"

typedef struct {
    const PlanProgram *program;
    int z, labels, images;                           /* indices of inputs z, labels (-1: none or absent) and of output images */
    int batch, c, h, w, classes;                     /* classes: 0 without labels */
} Sampler;

/* false and *err (heap) when the plan has no program `sample` of that form. */
bool sampler_init(Sampler *sm, const Plan *plan, char **err);
/* Images first .. first+count-1 as floats [count][c][h][w] in about [-1, 1]. Image i is a function of (seed, i, class, mid)
   alone: its z is the draw "draw.z" of sample number i, and its number is the sample number of all draws; the last batch is
   padded with the images that would follow. class_of: per image, or NULL (image i has class i mod classes). Stops early,
   returning the number done, when stop (may be NULL) says so. */
int64_t sampler_run(const Sampler *sm, Session *s, int64_t first, int64_t count, const double *mid, int n_mid,
    const int *class_of, float *out,
                    bool (*stop)(void));
/* z of one image, [c][h][w]. */
void sampler_z(const Sampler *sm, uint64_t seed, int64_t image, float *out);
/* A grid of images [count][h][w][c], `columns` to a row, each pixel drawn zoom x zoom. false with a message in err (heap). */
bool grid_write(const char *path, const uint8_t *images, int64_t count, int h, int w, int c, int columns, int zoom, char **err);
/* Makes every EMA's set equal to the live weights (--live). */
void session_use_live(Session *s);
#endif
