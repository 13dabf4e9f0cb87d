/* A restricted pickle reader, enough for CIFAR-10's python batches. Globals and calls are recorded as data; nothing is run.
   Assumes hostile input: every length is checked, the number of values is bounded, nothing recurses. */
#include "runtime/data_internal.h"

enum { MAX_VALUES = 4 << 20, CIFAR_PIXELS = 3072 };

typedef enum { V_NONE, V_MARK, V_INT, V_BYTES, V_TEXT, V_LIST, V_DICT, V_GLOBAL, V_CALL, V_OTHER } Kind;

/* Values live in one table and refer to each other by index. Lists, tuples, dicts (key, value, key, ...) and calls (callee,
   arguments, state) hold the indices of their members. */
typedef struct {
    Kind kind;
    int64_t number;
    const uint8_t *bytes;           /* V_BYTES, V_TEXT, V_GLOBAL: into the pickle, or into a block of `blocks` */
    size_t len;
    int32_t *item;
    int n, cap;
} Value;

typedef struct {
    DataErr *e;
    const char *where;
    const uint8_t *start, *at, *end;
    Value *value;
    int count, cap;
    int32_t *stack;
    int depth, stack_cap;
    int32_t *memo;
    int memo_n, memo_cap;
    uint8_t **blocks;
    int block_n, block_cap;
} Pickle;

static bool bad(Pickle *p, const char *what)
{
    return data_user(p->e, "%s: not a CIFAR-10 batch: %s at byte %zu: download it again", p->where, what,
        (size_t)(p->at - p->start));
}

static bool push(Pickle *p, int32_t v)
{
    vec_push(p->stack, p->depth, p->stack_cap, v);
    return p->depth < MAX_VALUES || bad(p, "too many values");
}

static bool push_new(Pickle *p, Value v)
{
    if (p->count >= MAX_VALUES)
        return bad(p, "too many values");
    vec_push(p->value, p->count, p->cap, v);
    return push(p, p->count - 1);
}

static bool push_bytes(Pickle *p, Kind kind, const uint8_t *bytes, size_t n)
{
    return push_new(p, (Value){.kind = kind, .bytes = bytes, .len = n});
}

static uint64_t little_endian(const uint8_t *b, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | b[i];
    return v;
}

/* An unsigned little-endian number of n bytes. */
static bool take_number(Pickle *p, size_t n, uint64_t *v)
{
    if ((size_t)(p->end - p->at) < n)
        return bad(p, "it ends too early");
    *v = little_endian(p->at, n);
    p->at += n;
    return true;
}

static bool take_bytes(Pickle *p, uint64_t n, const uint8_t **bytes)
{
    if (n > (size_t)(p->end - p->at))
        return bad(p, "it ends too early");
    *bytes = p->at;
    p->at += n;
    return true;
}

/* The text up to the end of the line, which is consumed. */
static bool take_line(Pickle *p, const uint8_t **line, size_t *n)
{
    const uint8_t *nl = memchr(p->at, '\n', (size_t)(p->end - p->at));
    if (!nl)
        return bad(p, "it ends too early");
    *line = p->at;
    *n = (size_t)(nl - p->at);
    p->at = nl + 1;
    return true;
}

static bool counted(Pickle *p, Kind kind, size_t width)
{
    uint64_t n;
    const uint8_t *b;
    return take_number(p, width, &n) && take_bytes(p, n, &b) && push_bytes(p, kind, b, (size_t)n);
}

static Value *top(Pickle *p, int below)
{
    return p->depth > below ? &p->value[p->stack[p->depth - 1 - below]] : NULL;
}

static bool pop(Pickle *p, int32_t *v)
{
    if (!p->depth)
        return bad(p, "the stack is empty");
    *v = p->stack[--p->depth];
    return true;
}

/* Stack position of the topmost mark, or -1. */
static int find_mark(Pickle *p)
{
    for (int i = p->depth - 1; i >= 0; i--)
        if (p->value[p->stack[i]].kind == V_MARK)
            return i;
    bad(p, "no mark");
    return -1;
}

/* Moves the stack from place `from` on into container v, then cuts it at `cut`. */
static void fill(Pickle *p, int32_t v, int from, int cut)
{
    Value *to = &p->value[v];
    for (int i = from; i < p->depth; i++)
        vec_push(to->item, to->n, to->cap, p->stack[i]);
    p->depth = cut;
}

/* A new container of what lies above the topmost mark, which goes. */
static bool gather(Pickle *p, Kind kind)
{
    int mark = find_mark(p);
    if (mark < 0 || !push_new(p, (Value){.kind = kind}))
        return false;
    int32_t made = p->stack[--p->depth];
    fill(p, made, mark + 1, mark);
    return push(p, made);
}

/* A new container of the top n values. */
static bool gather_n(Pickle *p, Kind kind, int n)
{
    if (p->depth < n)
        return bad(p, "the stack is empty");
    if (!push_new(p, (Value){.kind = kind}))
        return false;
    int32_t made = p->stack[--p->depth];
    fill(p, made, p->depth - n, p->depth - n);
    return push(p, made);
}

/* Adds the top n values (n < 0: all above the mark, which goes) to the container below them. */
static bool extend(Pickle *p, Kind kind, int n)
{
    int from = n < 0 ? find_mark(p) : p->depth - n;
    if (n < 0 && from < 0)
        return false;
    if (from < 1 || p->value[p->stack[from - 1]].kind != kind)
        return bad(p, "no list or dict to add to");
    fill(p, p->stack[from - 1], from + (n < 0), from);
    return true;
}

static bool memo_put(Pickle *p, uint64_t at)
{
    if (!p->depth || at > MAX_VALUES)
        return bad(p, "a bad memo");
    while ((uint64_t)p->memo_n <= at)
        vec_push(p->memo, p->memo_n, p->memo_cap, -1);
    p->memo[at] = p->stack[p->depth - 1];
    return true;
}

static bool memo_get(Pickle *p, uint64_t at)
{
    if (at >= (uint64_t)p->memo_n || p->memo[at] < 0)
        return bad(p, "a bad memo");
    return push(p, p->memo[at]);
}

/* Decimal text of opcodes I, L, g and p. */
static bool line_number(Pickle *p, int64_t *v)
{
    const uint8_t *line;
    size_t n;
    char text[32] = "";
    if (!take_line(p, &line, &n))
        return false;
    if (n >= sizeof text)
        return bad(p, "a bad number");
    memcpy(text, line, n);
    *v = strtoll(text, NULL, 10);
    return true;
}

static uint8_t *new_block(Pickle *p, size_t n)
{
    uint8_t *b = xmalloc(n + 1);
    vec_push(p->blocks, p->block_n, p->block_cap, b);
    return b;
}

static int hex_digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Opcode S: a quoted literal of Python. */
static bool quoted(Pickle *p)
{
    const uint8_t *line;
    size_t n, len = 0;
    if (!take_line(p, &line, &n))
        return false;
    if (n < 2 || (line[0] != '\'' && line[0] != '"') || line[n - 1] != line[0])
        return bad(p, "a bad string");
    uint8_t *to = new_block(p, n);
    for (size_t i = 1; i + 1 < n; i++) {
        if (line[i] != '\\' || i + 2 >= n) {
            to[len++] = line[i];
            continue;
        }
        int c = line[++i];
        if (c == 'x' && i + 3 < n && hex_digit(line[i + 1]) >= 0 && hex_digit(line[i + 2]) >= 0) {
            to[len++] = (uint8_t)(hex_digit(line[i + 1]) * 16 + hex_digit(line[i + 2]));
            i += 2;
        } else {
            to[len++] = (uint8_t)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
        }
    }
    return push_bytes(p, V_BYTES, to, len);
}

/* Opcode V: text to the end of the line in Latin-1 with \\uXXXX escapes, made UTF-8. */
static bool raw_text(Pickle *p)
{
    const uint8_t *line;
    size_t n, len = 0;
    if (!take_line(p, &line, &n))
        return false;
    uint8_t *to = new_block(p, 2 * n);
    for (size_t i = 0; i < n; i++) {
        int c = line[i], hex = 0;
        if (c == '\\' && i + 5 < n && line[i + 1] == 'u') {
            for (size_t k = 2; k < 6 && hex >= 0; k++)
                hex = hex_digit(line[i + k]) < 0 ? -1 : hex * 16 + hex_digit(line[i + k]);
            if (hex < 0 || hex > 0x7ff)
                return bad(p, "a bad string");
            c = hex;
            i += 5;
        }
        if (c >= 0x80)
            to[len++] = (uint8_t)(0xc0 | c >> 6);
        to[len++] = (uint8_t)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    return push_bytes(p, V_TEXT, to, len);
}

static bool global(Pickle *p)
{
    const uint8_t *module, *name;
    size_t n, m;
    return take_line(p, &module, &n) && take_line(p, &name, &m) && push_bytes(p, V_GLOBAL, name, m);
}

static bool stack_global(Pickle *p)
{
    Value *name = top(p, 0);
    int32_t drop;
    if (!name || !top(p, 1) || name->kind != V_TEXT)
        return bad(p, "a bad global");
    Value v = {.kind = V_GLOBAL, .bytes = name->bytes, .len = name->len};
    return pop(p, &drop) && pop(p, &drop) && push_new(p, v);
}

/* One opcode; *done at the final '.'. */
static bool step(Pickle *p, bool *done)
{
    uint64_t u;
    int64_t i;
    int32_t v;
    const uint8_t *b;
    int op = *p->at++;
    switch (op) {
    case '.': *done = true; return true;
    case 0x80: return take_number(p, 1, &u);
    case 0x95: return take_number(p, 8, &u);
    case '(': return push_new(p, (Value){.kind = V_MARK});
    case '0': return pop(p, &v);
    case '1': return (v = find_mark(p)) >= 0 && (p->depth = v, true);
    case '2': return p->depth ? push(p, p->stack[p->depth - 1]) : bad(p, "the stack is empty");
    case 'N': return push_new(p, (Value){.kind = V_NONE});
    case 0x88: case 0x89: return push_new(p, (Value){.kind = V_INT, .number = op == 0x88});
    case 'I': case 'L': return line_number(p, &i) && push_new(p, (Value){.kind = V_INT, .number = i});
    case 'J': return take_number(p, 4, &u) && push_new(p, (Value){.kind = V_INT, .number = (int32_t)u});
    case 'K': return take_number(p, 1, &u) && push_new(p, (Value){.kind = V_INT, .number = (int64_t)u});
    case 'M': return take_number(p, 2, &u) && push_new(p, (Value){.kind = V_INT, .number = (int64_t)u});
    case 0x8a: /* LONG1; longer than 8 bytes is nothing a label or a size can be */
        if (!take_number(p, 1, &u) || !take_bytes(p, u, &b))
            return false;
        i = u > 8 ? INT64_MAX : (int64_t)little_endian(b, (size_t)u);
        if (u > 0 && u < 8 && b[u - 1] & 0x80)
            i -= (int64_t)1 << (8 * u);
        return push_new(p, (Value){.kind = V_INT, .number = i});
    case 'F': return take_line(p, &b, &(size_t){0}) && push_new(p, (Value){.kind = V_OTHER});
    case 'G': return take_bytes(p, 8, &b) && push_new(p, (Value){.kind = V_OTHER});
    case 'S': return quoted(p);
    case 'T': return counted(p, V_BYTES, 4);
    case 'U': return counted(p, V_BYTES, 1);
    case 'B': return counted(p, V_BYTES, 4);
    case 'C': return counted(p, V_BYTES, 1);
    case 0x8e: case 0x96: return counted(p, V_BYTES, 8);
    case 'X': return counted(p, V_TEXT, 4);
    case 0x8c: return counted(p, V_TEXT, 1);
    case 0x8d: return counted(p, V_TEXT, 8);
    case 'V': return raw_text(p);
    case ']': case ')': return push_new(p, (Value){.kind = V_LIST});
    case '}': return push_new(p, (Value){.kind = V_DICT});
    case 'l': case 't': return gather(p, V_LIST);
    case 'd': return gather(p, V_DICT);
    case 0x85: case 0x86: case 0x87: return gather_n(p, V_LIST, op - 0x84);
    case 'a': return extend(p, V_LIST, 1);
    case 'e': return extend(p, V_LIST, -1);
    case 's': return extend(p, V_DICT, 2);
    case 'u': return extend(p, V_DICT, -1);
    case 'c': return global(p);
    case 0x93: return stack_global(p);
    case 'R': return gather_n(p, V_CALL, 2);
    case 'b': return extend(p, V_CALL, 1);
    case 'q': return take_number(p, 1, &u) && memo_put(p, u);
    case 'r': return take_number(p, 4, &u) && memo_put(p, u);
    case 'p': return line_number(p, &i) && memo_put(p, (uint64_t)i);
    case 0x94: return memo_put(p, (uint64_t)p->memo_n);
    case 'h': return take_number(p, 1, &u) && memo_get(p, u);
    case 'j': return take_number(p, 4, &u) && memo_get(p, u);
    case 'g': return line_number(p, &i) && memo_get(p, (uint64_t)i);
    default: p->at--; return bad(p, "an operation such files do not use");
    }
}

/* ---- what is looked for ---- */

static const Value *item(const Pickle *p, const Value *v, int i)
{
    return v && i < v->n ? &p->value[v->item[i]] : NULL;
}

static bool is_named(const Value *v, const char *name)
{
    return v && (v->kind == V_BYTES || v->kind == V_TEXT || v->kind == V_GLOBAL) && v->len == strlen(name) &&
           !memcmp(v->bytes, name, v->len);
}

static const Value *look_up(const Pickle *p, const Value *dict, const char *key)
{
    for (int i = 0; i + 1 < dict->n; i += 2) {
        const Value *k = item(p, dict, i);
        if (k->kind == V_CALL)      /* a bytes key as Python 3 writes it: _codecs.encode("data", "latin1") */
            k = item(p, item(p, k, 1), 0);
        if (is_named(k, key))
            return item(p, dict, i + 1);
    }
    return NULL;
}

/* Bytes as they are, or Python 3's protocol-2 form of them: _codecs.encode(text, "latin1"). */
static const Value *as_bytes(Pickle *p, const Value *v)
{
    static Value none;
    if (!v || v->kind == V_BYTES)
        return v;
    const Value *args = item(p, v, 1), *text = item(p, args, 0);
    if (v->kind == V_CALL && is_named(item(p, v, 0), "bytearray") && text && text->kind == V_BYTES)
        return text;
    if (v->kind != V_CALL || !is_named(item(p, v, 0), "encode") || !text || text->kind != V_TEXT)
        return &none;
    uint8_t *to = new_block(p, text->len);
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        int c = text->bytes[i];
        if (c >= 0xc2 && c <= 0xc3 && i + 1 < text->len)
            c = (c & 3) << 6 | (text->bytes[++i] & 0x3f);
        to[n++] = (uint8_t)c;
    }
    vec_push(p->value, p->count, p->cap, ((Value){.kind = V_BYTES, .bytes = to, .len = n}));
    return &p->value[p->count - 1];
}

static bool is_u8_type(const Pickle *p, const Value *v)
{
    const Value *name = item(p, item(p, v, 1), 0);
    return v && v->kind == V_CALL && (is_named(name, "u1") || is_named(name, "|u1") || is_named(name, "uint8"));
}

/* The rows of numpy's u8 [n][3072]: _reconstruct(...) with state (1, shape, dtype, fortran, bytes), or
   _frombuffer(bytes, dtype, shape, order). */
static const Value *array_rows(Pickle *p, const Value *v, int64_t *rows)
{
    if (!v || v->kind != V_CALL)
        return NULL;
    bool old = is_named(item(p, v, 0), "_reconstruct"), fresh = is_named(item(p, v, 0), "_frombuffer");
    const Value *part = old ? item(p, v, 2) : fresh ? item(p, v, 1) : NULL;
    const Value *shape = item(p, part, old ? 1 : 2), *type = item(p, part, old ? 2 : 1);
    const Value *n = item(p, shape, 0), *width = item(p, shape, 1), *order = item(p, part, 3);
    bool rowwise = order && (old ? order->kind == V_INT && order->number == 0 : is_named(order, "C"));
    if (!n || n->kind != V_INT || !width || width->kind != V_INT || width->number != CIFAR_PIXELS || shape->n != 2 || !rowwise ||
        !is_u8_type(p, type))
        return NULL;
    int64_t count = n->number;
    const Value *bytes = as_bytes(p, item(p, part, old ? 4 : 0));
    if (!bytes || bytes->kind != V_BYTES || count < 0 || count > INT32_MAX || bytes->len != (size_t)count * CIFAR_PIXELS)
        return NULL;
    *rows = count;
    return bytes;
}

static bool find_batch(Pickle *p, const uint8_t **pixels, int64_t *count, uint8_t **labels)
{
    const Value *root = top(p, 0);
    if (!root || root->kind != V_DICT)
        return bad(p, "the outermost value is no dict");
    const Value *label = look_up(p, root, "labels"), *data = look_up(p, root, "data");
    /* array_rows may move the table of values: look at the labels through their index. */
    int32_t label_at = label ? (int32_t)(label - p->value) : -1;
    const Value *bytes = array_rows(p, data, count);
    if (!bytes)
        return bad(p, "no `data` of unsigned bytes [n][3072]");
    *pixels = bytes->bytes;
    label = label_at >= 0 ? &p->value[label_at] : NULL;
    if (!label || label->kind != V_LIST || label->n != *count)
        return bad(p, "no `labels` as long as `data`");
    *labels = xmalloc((size_t)*count + 1);
    for (int i = 0; i < label->n; i++) {
        const Value *v = item(p, label, i);
        if (v->kind != V_INT || v->number < 0 || v->number > 255) {
            free(*labels);
            *labels = NULL;
            return bad(p, "a label that is no small number");
        }
        (*labels)[i] = (uint8_t)v->number;
    }
    return true;
}

bool pickle_cifar(DataErr *e, const char *where, const uint8_t *bytes, size_t n, const uint8_t **pixels, int64_t *count,
                  uint8_t **labels, void **owned)
{
    Pickle p = {.e = e, .where = where, .start = bytes, .at = bytes, .end = bytes + n};
    bool ok = true, done = false;
    *owned = NULL;
    while (ok && !done)
        ok = p.at < p.end ? step(&p, &done) : bad(&p, "it ends too early");
    ok = ok && find_batch(&p, pixels, count, labels);
    for (int i = 0; i < p.count; i++)
        free(p.value[i].item);
    for (int i = 0; i < p.block_n; i++)
        if (ok && *pixels == p.blocks[i])
            *owned = p.blocks[i];
        else
            free(p.blocks[i]);
    free(p.blocks);
    free(p.value);
    free(p.stack);
    free(p.memo);
    return ok;
}
