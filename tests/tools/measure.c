/* Runs a command and writes its wall time, CPU time, peak memory and exit status as one line of JSON to a file; passes the exit status on.
   Assumes nothing of the command; its output is left alone. usage: measure FILE COMMAND... */
#include <sys/resource.h>
#include "tests/tools/tool.h"

int main(int argc, char **argv)
{
    prog_name = "measure";
    if (argc < 3) user_error("usage: measure FILE COMMAND...");
    double start = now_seconds();
    pid_t pid;
    int error = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ), status = 0;
    if (error) machine_error("cannot start %s: %s", argv[2], strerror(error));
    struct rusage use;
    while (wait4(pid, &status, 0, &use) < 0 && errno == EINTR) { }
    double wall = now_seconds() - start;
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + 1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    char *line = xasprintf("{\"wall_s\": %.4f, \"cpu_s\": %.4f, \"peak_bytes\": %lld, \"status\": %d}\n", wall, cpu, (long long)use.ru_maxrss * 1024, code);
    if (!write_file_atomic(argv[1], line, strlen(line))) machine_error("cannot write %s: %s", argv[1], strerror(errno));
    free(line);
    return code;
}
