/* signals.h.
   Assumes handlers may run in any thread: only async-signal-safe calls in them. */
#include "runtime/signals.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static char notice[256];
static size_t notice_len;

static void handler(int sig)
{
    if (asked) _exit(128 + sig);
    asked = 1;
    if (write(2, notice, notice_len) < 0) return;
}

void signals_as_errors(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void signals_catch(const char *what_happens)
{
    notice_len = strlen(what_happens);
    if (notice_len > sizeof notice) notice_len = sizeof notice;
    memcpy(notice, what_happens, notice_len);
    struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
}

bool signals_stop(void)
{
    return asked;
}
