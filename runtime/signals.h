/* SIGINT, SIGTERM and SIGHUP as requests to stop; a second one stops at once.
   Assumes the main loop asks often. */
#ifndef ECT_SIGNALS_H
#define ECT_SIGNALS_H
#include <stdbool.h>

/* SIGPIPE and SIGXFSZ become errors of write, which are reported like others. */
void signals_as_errors(void);
/* From now on the first signal only sets the flag (and says on stderr what happens); a second ends the process with 128 + its
   number. */
void signals_catch(const char *what_happens);
bool signals_stop(void);
#endif
