/* gpu COMMAND ...: see gpu.h. Exit status: 0 fine, 1 something is wrong or was asked wrongly, 2 no GPU here. */
#include "gpu.h"
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what run-gpu uses ---- */
static int cmd_row(int argc, char **argv)
{
    if (argc != 10) user_error("usage: gpu row SECTION NAME VERDICT TEXT JSON --table FILE --json FILE");
    rows_open(argv[7], argv[9]);
    row(argv[1], argv[2], argv[3], argv[5], "%s", argv[4]);
    return EXIT_OK;
}
static int cmd_now(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("%.0f\n", 1e3 * now_seconds());
    return EXIT_OK;
}
static pid_t limited;
static void end_limited(int sig)
{
    (void)sig;
    kill(-limited, SIGKILL);
    _exit(143);
}
/* Runs a command as a process group of its own; status 124 when it does not end in time, and nothing of it is left. */
static int cmd_limit(int argc, char **argv)
{
    if (argc < 3) user_error("usage: gpu limit SECONDS COMMAND ...");
    double end = now_seconds() + atof(argv[1]);
    sigset_t mask, old;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask, &old);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    limited = fork();
    if (limited < 0) machine_error("cannot start a process: %s", strerror(errno));
    if (!limited) {
        setpgid(0, 0);
        sigprocmask(SIG_SETMASK, &old, NULL);
        execvp(argv[2], argv + 2);
        fprintf(stderr, "gpu: cannot start %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    setpgid(limited, limited);
    signal(SIGTERM, end_limited);
    signal(SIGINT, end_limited);
    sigprocmask(SIG_SETMASK, &old, NULL);
    for (int status = 0;; usleep(5000)) {
        pid_t r = waitpid(limited, &status, WNOHANG);
        bool late = now_seconds() > end;
        if (r == limited || late) kill(-limited, SIGKILL);
        if (r == limited) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (late) return waitpid(limited, &status, 0), 124;
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(int, char **); const char *does; } command[] = {
        {"device", cmd_device, "what GPU there is"},
        {"ceilings", cmd_ceilings, "what it reaches in copies and matrix products"},
        {"kernels", cmd_kernels, "PLAN: every kernel against a reference"},
        {"row", cmd_row, "SECTION NAME VERDICT TEXT JSON: one row"},
        {"limit", cmd_limit, "SECONDS COMMAND ...: status 124 when it does not end in time"},
        {"now", cmd_now, "milliseconds of a clock"},
        {"wgmma", cmd_wgmma, "sm_90: matrix products from shared memory at addresses shifted by 16 bytes"},
    };
    prog_name = "gpu";
    for (size_t i = 0; argc > 1 && i < COUNT(command); i++)
        if (!strcmp(argv[1], command[i].name)) return command[i].run(argc - 1, argv + 1);
    printf("usage: gpu COMMAND ... [--table FILE] [--json FILE]\n\n");
    for (size_t i = 0; i < COUNT(command); i++) printf("  %-10s %s\n", command[i].name, command[i].does);
    return EXIT_USER;
}
