/* Training, in parts: options and run folder (train_setup.c), data (train_data.c), metrics (train_report.c), pictures
   (train_grid.c), loop (train.c). Assumes one process writes a run folder, which is locked. */
#ifndef ECT_TRAIN_H
#define ECT_TRAIN_H
#include "runtime/checkpoint.h"
#include "runtime/data.h"
#include "runtime/options.h"
#include "runtime/sample.h"

typedef struct {
    const char *plan_dir, *data, *out, *init, *device, *profile, *gemm, *data_on;     /* profile: NULL, or the file ("": none) */
    bool init_partial, flip, resume, halt, overwrite;
    bool flip_given, seed_given, accumulate_given, data_given, validate_given, gemm_given;
    TextList set;
    int64_t scale, scale_interval;                   /* of the loss: at the start, 0: none; updates until it grows */
    bool scale_given, interval_given;
    int64_t images, steps, seed, accumulate, threads, keep, grid, zoom, profile_every;
    int64_t checkpoint_every, sample_every, log_every, validate_every, validate_images;   /* in steps; checkpoint, sample 0: by
                                                                                             time; -1: never */
} TrainOptions;

/* ---- train_data.c: micro-batches for every input of train_step ---- */
typedef struct {
    const Plan *plan;
    const PlanProgram *program;                      /* train_step */
    int rows;                                        /* of one micro-batch */
    int images, labels;                              /* inputs, or -1 */
    int c, h, w, classes;
    Dataset *ds, *held;                              /* image mode; held: validation images or NULL */
    Loader *loader;
    TensorFile *file;                                /* else: tensors named like the inputs, leading axis = samples */
    const TensorEntry **entry;                       /* per input */
    int64_t count, position, epoch, *order;
    uint64_t seed;
    float **in;                                      /* per program input; NULL where it does not exist */
    uint32_t *numbers;                               /* NULL, or of images on the device, in place of in[images]: loader_next_numbers */
    char *what;                                      /* for people */
    uint64_t bytes;                                  /* held in memory */
} Feed;
/* data NULL: the built-in drawn set. holdout: images taken out for validation. */
void feed_open(Feed *f, const Plan *plan, const char *data, int64_t holdout, uint64_t seed);
/* on_device: the images are there, so micro-batches have their numbers. */
void feed_start(Feed *f, bool flip, int64_t position, bool on_device);
/* Fills f->in, or f->numbers, with the next micro-batch. */
void feed_next(Feed *f);
/* Fills f->in with held-out images first .. first+rows-1 (the last repeated). */
void feed_held(Feed *f, int64_t first);
void feed_close(Feed *f);

/* ---- train_report.c ---- */
enum { SIGMA_BUCKETS = 6 };
typedef struct {
    const PlanProgram *program;
    int loss, sigma, resolution;                     /* outputs, or -1 */
    double sum, bucket_sum[SIGMA_BUCKETS], *report_sum;
    int64_t n, bucket_n[SIGMA_BUCKETS], *report_n;
    int64_t bad_loss, bad_grad;                      /* since the last line */
    int64_t all_bad_loss, all_bad_grad;              /* in this process */
    double log_sum[SIGMA_BUCKETS];                   /* of log10 of the resolution */
    int64_t log_n[SIGMA_BUCKETS];
    double smooth, smooth_weight;                    /* of the live line */
    double smooth_log[SIGMA_BUCKETS], smooth_log_weight[SIGMA_BUCKETS];
} Report;
void report_open(Report *r, const PlanProgram *p);
/* Takes in the outputs of a micro-batch; rows: how many of its leading samples count (0: all). Returns its non-finite losses. */
int64_t report_micro(Report *r, Session *s, const PlanProgram *p, int64_t rows);
/* Non-finite elements of the averaged gradient. */
int64_t report_gradient(Report *r, const Session *s);
/* The same where the device has counted them. Returns `bad`. */
int64_t report_bad_gradient(Report *r, int64_t bad);
/* Puts loss, loss_by_sigma, log10_resolution_by_sigma, report.* and counts since the last call into an open JSON object and starts anew. */
void report_json(Report *r, StrBuf *b);
double report_mean(const Report *r);
/* Puts the noise levels where what the loss compares differs by less than its rounding noise, "<0.1, 0.1-0.3"; all: every one with its log10,
   smoothed, "<0.1 -0.31 (rounding), 0.1-0.3 0.52". false when there is none. */
bool report_rounding(const Report *r, StrBuf *b, bool all);
void report_close(Report *r);

/* ---- train_grid.c ---- */
/* PNGs of the run folder; all do nothing when the model is none of images. */
void grid_data(const char *dir, const Feed *f, int64_t count, int zoom);
void grid_samples(const char *dir, const Sampler *sm, Session *s, int64_t count, int zoom, uint64_t step);

/* ---- train_setup.c ---- */
typedef struct {
    TrainOptions o;
    Plan *plan;
    Session *s;
    Feed feed;
    Sampler sampler;
    bool can_sample;
    char *dir, *resume_from, *run_json, *config_json, *hash;
    uint64_t total_steps, per_step;                  /* per_step: images in one update */
    void *resumed;                                   /* json_t: the options of the run that is resumed; texts point into it */
    FILE *metrics;
    char *metrics_path;
} Train;
/* Everything up to the first step: options, plan, data, weights, run folder, configuration printed and written. */
void train_setup(Train *t, int argc, char **argv);
/* Once programs are prepared: puts the images on the device, if they are to be there, and starts reading. */
void train_start_data(Train *t);
/* Metrics lines after `step` belong to steps that are made again: they are dropped. */
void metrics_open(Train *t, uint64_t step);
void train_finish(Train *t);
#endif
