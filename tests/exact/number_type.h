/* The number type of exact mode as one text, for texts that the emulator compiles: all of it is in the key of what is compiled. */
#ifndef ECT_EXACT_NUMBER_TYPE_H
#define ECT_EXACT_NUMBER_TYPE_H
#include "runtime/base.h"

/* dir: the folder of prelude.h. Heap; NULL when a file is missing or does not include what it did. */
static inline char *number_type(const char *dir)
{
    static const char *const PARTS[] = {"field.h", "args.h"};
    char *path = xasprintf("%s/prelude.h", dir), *text = read_file(path, NULL);
    for (size_t i = 0; i < COUNT(PARTS) && text; i++) {
        char *include = xasprintf("#include \"%s\"\n", PARTS[i]), *at = strstr(text, include);
        free(path);
        path = xasprintf("%s/%s", dir, PARTS[i]);
        char *part = read_file(path, NULL), *whole = at && part ? xasprintf("%.*s%s%s", (int)(at - text), text, part, at + strlen(include)) : NULL;
        free(text);
        free(include);
        free(part);
        text = whole;
    }
    free(path);
    return text;
}
#endif
