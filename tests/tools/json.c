/* Prints values of a JSON file: usage: json FILE PATH... ; a path is keys and list indices joined by `/`, `*` for all of them.
   Numbers in full, texts as they are, objects and lists as their number of entries; one value a line. Status 1 where the file is
   no JSON or a path leads nowhere. */
#include <jansson.h>
#include "runtime/base.h"

static int print(const json_t *j, const char *path)
{
    if (!*path) {
        if (json_is_string(j)) puts(json_string_value(j));
        else if (json_is_integer(j)) printf("%lld\n", (long long)json_integer_value(j));
        else if (json_is_real(j)) printf("%.17g\n", json_real_value(j));
        else if (json_is_boolean(j)) puts(json_is_true(j) ? "true" : "false");
        else if (json_is_null(j)) puts("null");
        else printf("%zu\n", json_is_array(j) ? json_array_size(j) : json_object_size(j));
        return 1;
    }
    size_t n = strcspn(path, "/");
    const char *rest = path + n + (path[n] == '/');
    char *key = xasprintf("%.*s", (int)n, path), *end;
    unsigned long index = strtoul(key, &end, 10);
    int found = 0;
    const char *name;
    json_t *v;
    size_t i;
    if (!strcmp(key, "*")) {
        json_object_foreach((json_t *)j, name, v) found += print(v, rest);
        json_array_foreach((json_t *)j, i, v) found += print(v, rest);
    } else if ((v = json_is_array(j) && !*end ? json_array_get(j, index) : json_object_get(j, key))) found = print(v, rest);
    free(key);
    return found;
}

int main(int argc, char **argv)
{
    prog_name = "json";
    if (argc < 3) user_error("usage: json FILE PATH...");
    json_error_t e;
    json_t *root = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &e);
    if (!root) user_error("%s line %d: %s", argv[1], e.line, e.text);
    for (int i = 2; i < argc; i++)
        if (!print(root, argv[i])) user_error("%s has no %s", argv[1], argv[i]);
    json_decref(root);
    return EXIT_OK;
}
