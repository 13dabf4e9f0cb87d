/* Data sets in memory, and the loader that turns them into shuffled, prefetched batches.
   Assumes all images of a set share one square size and that the set fits in memory as bytes. */
#ifndef ECT_DATA_H
#define ECT_DATA_H
#include "runtime/base.h"

typedef struct {
    int64_t count;
    int h, w, c;                    /* h == w; c is 1 or 3 */
    uint8_t *pixels;                /* [count][h][w][c] */
    int32_t *labels;                /* [count] class of each image, or NULL */
    float *label_vectors;           /* [count][label_dim] when labels are vectors, or NULL */
    int label_dim;                  /* number of classes, or length of the vectors; 0 without labels */
    char **class_names;             /* [label_dim] or NULL */
    char *source;                   /* what it was read from, for people: "EDM zip /x/cifar10.zip" */
    char *note;                     /* what the user should know about the reading, or NULL */
} Dataset;

typedef struct {
    int resolution;                 /* 0: as the files are; else the side every image must have */
    bool resize;                    /* crop and resize to `resolution` instead of refusing other sizes (for import) */
    int channels;                   /* 0: as the files are; 1 or 3: wanted. Grey becomes RGB; RGB becomes grey only with `grey` */
    bool grey;                      /* convert to one channel */
    int64_t max_images;             /* 0: all; else the first so many in name order */
    uint64_t seed;                  /* of the drawn set */
    int threads;                    /* for decoding; 0: as many as there are cores, at most 16 */
} DataOptions;

/* Opens any of: EDM zip; folder with dataset.json; folder of PNG/JPEG (sorted sub-folders are classes); CIFAR-10 as
   cifar-10-python.tar.gz, cifar-10-binary.tar.gz, a folder of their batches or one .bin; MNIST's *-images-idx3-ubyte[.gz] (labels
   from the sibling file, 28x28 padded to 32x32); "shapes[:RES[:COUNT]]". opt may be NULL.
   On failure NULL, *err a message (what, where, how to mend; the caller frees it) and *status EXIT_USER or EXIT_MACHINE. */
Dataset *dataset_open(const char *path, const DataOptions *opt, char **err, int *status);
void dataset_free(Dataset *ds);

/* The drawn set: circles, squares and triangles (classes 0, 1, 2) on gradients; image i is a pure function of (seed, i, side). */
Dataset *dataset_shapes(int side, int64_t count, uint64_t seed);

/* Takes `holdout` images (0 <= holdout < count), chosen by seed, out of ds into a new set of the same form; both keep name
   order. */
Dataset *dataset_split(Dataset *ds, int64_t holdout, uint64_t seed);

/* One image as floats [c][h][w] in [-1, 1], and its label vector [label_dim] (one-hot for classes); either may be NULL. */
void dataset_get(const Dataset *ds, int64_t index, bool mirror, float *image, float *label);
/* The class counts [label_dim]; labels must be classes. */
void dataset_class_counts(const Dataset *ds, int64_t *counts);

/* ---- loader ----
   The stream of images is a pure function of (data set, seed, flip): epoch e is a permutation drawn from (seed, e); the image at
   position p is mirrored or not by (seed, p). A loader started at position P continues exactly where another stopped. */
typedef struct Loader Loader;
typedef struct {
    uint64_t seed;
    int batch;
    bool flip;                      /* mirror each image with probability 1/2 */
    int64_t start;                  /* images seen before */
    bool numbers;                   /* which images, not the images: loader_next_numbers */
} LoaderOptions;

/* ds must outlive the loader and stay unchanged. A thread prepares the next batch. */
Loader *loader_new(const Dataset *ds, const LoaderOptions *opt);
/* Fills images [batch][c][h][w] and, when not NULL, labels [batch][label_dim]. */
void loader_next(Loader *l, float *images, float *labels);
/* The same batch as numbers [batch]: twice the image's number in the data set, and 1 more where it is mirrored. Of a loader made for it. */
void loader_next_numbers(Loader *l, uint32_t *numbers, float *labels);
/* Images handed out so far, counting `start`. */
int64_t loader_position(const Loader *l);
void loader_free(Loader *l);
/* The data set index at position p of the stream. */
int64_t loader_index(const Dataset *ds, uint64_t seed, int64_t position);

/* `ect-rt data ...`; argv[0] is "data". */
int cmd_data(int argc, char **argv);
#endif
