/* Measured times of kernels against their predictions: what --profile of train and run collects and says.
   One thread runs the steps; times are wall-clock, first runs and their page faults included. */
#ifndef ECT_PROFILE_H
#define ECT_PROFILE_H
#include "runtime/device.h"

typedef struct Profile Profile;

/* Before any work: user_error when `device` runs no kernels, or `file` ("": none is wanted) lies in a folder that cannot be
   written. */
void profile_check(const DeviceClass *device, const char *file);
/* device: sets what is predicted: the processors' or a GPU's times. */
Profile *profile_new(const Plan *plan, const DeviceClass *device, int threads);
/* Where a segment's steps add their times; *whole: where its seconds as a whole are added. Both are the profile's. */
StepTime *profile_segment(Profile *p, const PlanSegment *s, double **whole);
/* Prints tables to stdout (segments, classes, kernels and source lines by time), writes the same and every step as JSON to
   `file` unless that is "", and frees p. machine_error when the file cannot be written; NULL is nothing to say. */
void profile_end(Profile *p, const char *file);
#endif
