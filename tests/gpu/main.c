/* gpu COMMAND ...: see gpu.h. Exit status: 0 fine, 1 something is wrong or was asked wrongly, 2 no GPU here. */
#include "gpu.h"

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(int, char **); const char *does; } command[] = {
        {"device", cmd_device, "what GPU there is"},
        {"ceilings", cmd_ceilings, "what it reaches in copies and matrix products"},
        {"kernels", cmd_kernels, "PLAN: every kernel against a reference"},
        {"wgmma", cmd_wgmma, "sm_90: matrix products from shared memory at addresses shifted by 16 bytes"},
    };
    prog_name = "gpu";
    for (size_t i = 0; argc > 1 && i < COUNT(command); i++)
        if (!strcmp(argv[1], command[i].name)) return command[i].run(argc - 1, argv + 1);
    printf("usage: gpu COMMAND ... [--table FILE] [--json FILE]\n\n");
    for (size_t i = 0; i < COUNT(command); i++) printf("  %-10s %s\n", command[i].name, command[i].does);
    return EXIT_USER;
}
