/* What a run says: the aligned configuration table, one live line, and lines of JSON.
   Assumes stdout for people; JSON files are flushed line by line. */
#ifndef ECT_LOG_H
#define ECT_LOG_H
#include "runtime/base.h"

/* "  name          value" on stdout. */
void log_row(const char *name, const char *fmt, ...) PRINTF(2, 3);
/* One line of progress. On a terminal it replaces the last one; else it is printed when `every` seconds have passed since the
   last, or `now`. */
void log_live(const char *text, double every, bool now);
/* Ends the live line, so that what follows starts on its own line. */
void log_live_end(void);
/* "2h 05m", "3m 20s", "12s". */
void log_duration(StrBuf *b, double seconds);

/* ---- JSON objects built key by key; NaN and infinities become null ---- */
void jput_begin(StrBuf *b);
void jput_end(StrBuf *b);
void jput_key(StrBuf *b, const char *key);
void jput_text(StrBuf *b, const char *key, const char *value);      /* NULL becomes null */
void jput_int(StrBuf *b, const char *key, int64_t v);
void jput_real(StrBuf *b, const char *key, double v);
void jput_bool(StrBuf *b, const char *key, bool v);

/* Appends one line to an open file and flushes; machine_error naming `path` when that fails. */
void log_line(FILE *f, const char *path, const char *line);
#endif
