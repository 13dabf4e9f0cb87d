/* Prints the page of an error code, or the list of all codes.
   Assumes tools/embed.sh embedded dsl/errors/E*.md under the names E0101, E0102 ... */
#include "dsl/parse.h"
#include <ctype.h>

int explain_code(const char *code, FILE *out)
{
    if (!code) {
        for (int i = 0; i < err_table_n; i++) fprintf(out, "E%04d  %s\n", err_table[i].number, err_table[i].title);
        return EXIT_OK;
    }
    const char *digits = code + (toupper((unsigned char)code[0]) == 'E');
    char *end;
    long number = strtol(digits, &end, 10);
    const ErrInfo *info = isdigit((unsigned char)digits[0]) && !*end && number < 10000 ? err_find((int)number) : NULL;
    if (!info) {
        fprintf(stderr, "%s: error: there is no error code `%s`; `ectc explain` lists all\n", prog_name, code);
        return EXIT_USER;
    }
    char name[16];
    snprintf(name, sizeof name, "E%04d", info->number);
    const struct Embedded *page = embedded_find(name);
    if (page) fwrite(page->text, 1, page->len, out);
    else fprintf(out, "# %s: %s\n", name, info->title);
    return EXIT_OK;
}
