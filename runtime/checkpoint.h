/* Checkpoints: one safetensors file for each, holding everything a run needs to go on with equal bits.
   Assumes a run folder that one process writes; contents are a pure function of the training state (no dates, no times). */
#ifndef ECT_CHECKPOINT_H
#define ECT_CHECKPOINT_H
#include "runtime/run.h"

/* What a checkpoint says beside the tensors. Parameters are stored by name in file layout, an EMA's as "ema.<name>", optimizer
   states as "state.m.<name>"; the rest is __metadata__ text. */
typedef struct {
    uint64_t step, seen, seed;                       /* updates made; images they saw; seed of all random streams */
    int64_t position;                                /* images taken from the data stream */
    const char *run;                                 /* JSON: options that decide the course of the run */
    const char *config;                              /* JSON: compile-time configuration */
    const char *plan;                                /* hash of the plan */
    const char *version;
    const LossScale *scale;                          /* saving: NULL or off: none is said */
    bool has_scale; LossScale saved_scale;           /* opened */
} Checkpoint;

extern const char *const checkpoint_ignore[];        /* prefixes that are no weights: for session_load */

/* 128-bit hash of DIR/plan.json in hex, heap. */
char *plan_hash(const Plan *p);
/* Writes DIR/ckpt-<step>.safetensors from the session and c, atomically, then removes all but the `keep` newest (0: keeps all).
   Returns the path (heap). machine_error when it cannot be written: earlier checkpoints stay; the message says how to go on. */
char *checkpoint_save(Session *s, const char *dir, const Checkpoint *c, int keep);
/* Path (heap) of the newest checkpoint in DIR that is whole; damaged ones are passed over with a warning. NULL when there is
   none. */
char *checkpoint_find(const char *dir);
/* PATH itself if it is a file, the newest good checkpoint if it is a folder; user_error otherwise. Heap. */
char *checkpoint_resolve(const char *path);
/* Reads the metadata into c (texts live as long as the returned file). user_error when the file is no checkpoint. */
TensorFile *checkpoint_open(const char *path, Checkpoint *c);
/* Weights, EMAs, states, step, seen and seed from a checkpoint; calls session_training. s->step becomes c.step + 1. */
void checkpoint_restore(Session *s, const char *path);
#endif
