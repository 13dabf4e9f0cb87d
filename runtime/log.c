/* log.h.
   Assumes one live line at a time, written by one thread. */
#include "runtime/log.h"
#include <errno.h>
#include <math.h>
#include <sys/ioctl.h>
#include <unistd.h>

void log_row(const char *name, const char *fmt, ...)
{
    va_list ap;
    printf("  %-14s ", name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static bool live;
static double last = -1e300;

void log_live(const char *text, double every, bool now)
{
    double t = now_seconds();
    if (isatty(1)) {
        if (!now && t - last < 0.1) return;
        struct winsize w;
        int width = ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col > 10 ? w.ws_col - 1 : 120;
        printf("\r%.*s\033[K", width, text);
        live = true;
    } else {
        if (!now && t - last < every) return;
        puts(text);
    }
    last = t;
    fflush(stdout);
}

void log_live_end(void)
{
    if (live) putchar('\n');
    live = false;
    fflush(stdout);
}

void log_duration(StrBuf *b, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        sb_puts(b, "?");
        return;
    }
    long s = (long)(seconds + 0.5);
    if (s >= 86400) sb_printf(b, "%ldd %02ldh", s / 86400, s / 3600 % 24);
    else if (s >= 3600) sb_printf(b, "%ldh %02ldm", s / 3600, s / 60 % 60);
    else if (s >= 60) sb_printf(b, "%ldm %02lds", s / 60, s % 60);
    else sb_printf(b, "%lds", s);
}

void jput_begin(StrBuf *b) { sb_putc(b, '{'); }
void jput_end(StrBuf *b) { sb_putc(b, '}'); }

void jput_key(StrBuf *b, const char *key)
{
    if (b->len && b->s[b->len - 1] != '{') sb_puts(b, ", ");
    sb_json_string(b, key);
    sb_puts(b, ": ");
}

void jput_text(StrBuf *b, const char *key, const char *value)
{
    jput_key(b, key);
    if (value) sb_json_string(b, value);
    else sb_puts(b, "null");
}

void jput_int(StrBuf *b, const char *key, int64_t v)
{
    jput_key(b, key);
    sb_printf(b, "%lld", (long long)v);
}

void jput_real(StrBuf *b, const char *key, double v)
{
    jput_key(b, key);
    if (isfinite(v)) sb_printf(b, "%.9g", v);
    else sb_puts(b, "null");
}

void jput_bool(StrBuf *b, const char *key, bool v)
{
    jput_key(b, key);
    sb_puts(b, v ? "true" : "false");
}

void log_line(FILE *f, const char *path, const char *line)
{
    if (fputs(line, f) < 0 || fputc('\n', f) < 0 || fflush(f))
        machine_error("cannot write %s: %s; free some space and go on with --resume", path, strerror(errno));
}
