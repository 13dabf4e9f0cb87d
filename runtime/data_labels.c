/* Labels of image files: dataset.json's list, or the sorted names of the top-level folders.
   Assumes the files are sorted by name; fills the label fields of a data set and nothing else. */
#include "runtime/data_internal.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>

enum { MAX_VECTOR = 65536 };

typedef struct {
    DataErr *e;
    const DataFiles *fs;
    Dataset *ds;
    uint8_t *seen;
    int64_t labelled, unknown;
    char *first_unknown;
} Labels;

static bool bad_label(Labels *l, const char *name, const char *what)
{
    return data_user(l->e, "%s: dataset.json: the label of %s %s: labels are class numbers 0 to %d, or equally long lists of "
        "numbers",
                     l->fs->path, name, what, DATA_MAX_CLASSES - 1);
}

static int64_t find_file(const DataFiles *fs, const char *name)
{
    int64_t lo = 0, hi = fs->count;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        int order = strcmp(fs->file[mid].name, name);
        if (order == 0)
            return mid;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

static bool set_class(Labels *l, const char *name, int64_t index, json_int_t value)
{
    Dataset *ds = l->ds;
    char what[80];
    if (ds->label_vectors)
        return bad_label(l, name, "is a number where others are lists");
    if (value < 0 || value >= DATA_MAX_CLASSES) {
        snprintf(what, sizeof what, "is %lld, out of range", (long long)value);
        return bad_label(l, name, what);
    }
    if (!ds->labels)
        ds->labels = xcalloc((size_t)l->fs->count, sizeof *ds->labels);
    ds->labels[index] = (int32_t)value;
    ds->label_dim = MAX(ds->label_dim, (int)value + 1);
    return true;
}

static bool set_vector(Labels *l, const char *name, int64_t index, json_t *list)
{
    Dataset *ds = l->ds;
    size_t n = json_array_size(list);
    if (ds->labels)
        return bad_label(l, name, "is a list where others are numbers");
    if (n < 1 || n > MAX_VECTOR || (ds->label_vectors && (int)n != ds->label_dim))
        return bad_label(l, name, "has another length than the first");
    if (!ds->label_vectors) {
        if ((double)n * (double)l->fs->count > 1e10)
            return data_user(l->e, "%s: dataset.json: %zu numbers to a label are too many", l->fs->path, n);
        ds->label_dim = (int)n;
        ds->label_vectors = xcalloc((size_t)l->fs->count * n, sizeof(float));
    }
    for (size_t k = 0; k < n; k++) {
        json_t *v = json_array_get(list, k);
        float x = (float)json_number_value(v);
        if (!json_is_number(v) || !isfinite(x))
            return bad_label(l, name, "holds something that is no finite number");
        ds->label_vectors[(size_t)index * n + k] = x;
    }
    return true;
}

static bool set_label(Labels *l, const char *given, json_t *value)
{
    char *name = xstrdup(given);
    for (char *p = name; *p; p++)
        if (*p == '\\')
            *p = '/';
    int64_t index = find_file(l->fs, name);
    bool ok = true;
    if (index < 0) {
        if (!l->unknown++)
            l->first_unknown = xstrdup(given);
    } else if (l->seen[index]) {
        ok = data_user(l->e, "%s: dataset.json: %s is listed twice: keep one entry", l->fs->path, given);
    } else if (json_is_integer(value)) {
        ok = set_class(l, given, index, json_integer_value(value));
    } else if (json_is_array(value)) {
        ok = set_vector(l, given, index, value);
    } else {
        ok = bad_label(l, given, json_is_null(value) ? "is null" : "is neither a whole number nor a list");
    }
    if (index >= 0) {
        l->seen[index] = 1;
        l->labelled++;
    }
    free(name);
    return ok;
}

static bool walk_labels(Labels *l, json_t *labels)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(labels)) {
        json_object_foreach(labels, key, value)
            if (!set_label(l, key, value))
                return false;
        return true;
    }
    json_array_foreach(labels, i, value) {
        json_t *name = json_array_get(value, 0);
        if (!json_is_array(value) || json_array_size(value) != 2 || !json_is_string(name))
            return data_user(l->e, "%s: dataset.json: entry %zu of \"labels\" is not [\"file name\", label]", l->fs->path, i);
        if (!set_label(l, json_string_value(name), json_array_get(value, 1)))
            return false;
    }
    return true;
}

static bool labels_from_json(Labels *l)
{
    const DataFiles *fs = l->fs;
    json_error_t je;
    json_t *root = json_loadb(fs->json, fs->json_len, 0, &je);
    if (!root)
        return data_user(l->e, "%s: dataset.json: line %d, column %d: %s: mend the file, or remove it to do without labels",
                         fs->path, je.line, je.column, je.text);
    json_t *labels = json_is_object(root) ? json_object_get(root, "labels") : NULL;
    bool ok = true;
    if (!json_is_object(root) || (labels && !json_is_null(labels) && !json_is_array(labels) && !json_is_object(labels)))
        ok = data_user(l->e, "%s: dataset.json: expected {\"labels\": [[\"file name\", label], ...]} or {\"labels\": null}",
            fs->path);
    else if (labels && !json_is_null(labels)) {
        l->seen = xcalloc((size_t)fs->count, 1);
        ok = walk_labels(l, labels);
        if (ok && l->unknown)
            ok = data_user(l->e, "%s: dataset.json names %lld files that are not there, first %s: mend its names or add the "
                "files",
                           fs->path, (long long)l->unknown, l->first_unknown);
        for (int64_t i = 0; ok && l->labelled < fs->count && i < fs->count; i++)
            if (!l->seen[i])
                ok = data_user(l->e, "%s: dataset.json has no label for %lld of %lld images, first %s: add them, or write "
                    "{\"labels\": null}",
                               fs->path, (long long)(fs->count - l->labelled), (long long)fs->count, fs->file[i].name);
        free(l->seen);
        free(l->first_unknown);
    }
    json_decref(root);
    return ok;
}

/* 00000/img00000000.png: the layout numbers its folders, they are no classes. */
static bool is_numbered(const char *name)
{
    for (int i = 0; i < 5; i++)
        if (!isdigit((unsigned char)name[i]))
            return false;
    return !strncmp(name + 5, "/img", 4) && isdigit((unsigned char)name[9]);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void labels_from_folders(const DataFiles *fs, Dataset *ds)
{
    char **names = NULL;
    int64_t n = 0, cap = 0, top = 0, numbered = 0;
    int32_t *labels = xmalloc((size_t)fs->count * sizeof *labels);
    size_t last = 0;
    /* Sorting whole names by bytes keeps a folder's files together, but "a-b/" before "a/": collect, then rank the folder
       names. */
    for (int64_t i = 0; i < fs->count; i++) {
        const char *name = fs->file[i].name, *slash = strchr(name, '/');
        numbered += is_numbered(name);
        if (!slash) {
            top++;
            continue;
        }
        size_t len = (size_t)(slash - name);
        if (!n || last != len || strncmp(names[n - 1], name, len)) {
            vec_push(names, n, cap, strndup(name, len));
            last = len;
        }
        labels[i] = (int32_t)(n - 1);
    }
    bool use = n > 1 && !top && numbered < fs->count && n <= DATA_MAX_CLASSES;
    if (n > 1 && top && numbered < fs->count)
        ds->note = xasprintf("%s: images lie both in sub-folders and beside them (%lld), so the sub-folders are not taken as "
            "classes",
                             fs->path, (long long)top);
    if (use) {
        char **found = xmalloc((size_t)n * sizeof *found);
        int32_t *rank = xmalloc((size_t)n * sizeof *rank);
        memcpy(found, names, (size_t)n * sizeof *found);
        qsort(names, (size_t)n, sizeof *names, by_text);
        for (int64_t i = 0; i < n; i++)
            rank[i] = (int32_t)((char **)bsearch(&found[i], names, (size_t)n, sizeof *names, by_text) - names);
        for (int64_t i = 0; i < fs->count; i++)
            labels[i] = rank[labels[i]];
        ds->labels = labels;
        ds->label_dim = (int)n;
        ds->class_names = names;
        free(found);
        free(rank);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        free(names[i]);
    free(labels);
    free(names);
}

bool labels_read(DataErr *e, const DataFiles *fs, Dataset *ds)
{
    Labels l = {.e = e, .fs = fs, .ds = ds};
    if (fs->json)
        return labels_from_json(&l);
    labels_from_folders(fs, ds);
    return true;
}
