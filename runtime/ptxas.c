/* ptxas's words after a compilation, and how many blocks fit on a multiprocessor.
   Assumes --ptxas-options=-v, English. */
#include "runtime/cubins.h"

/* ---- the report ---- */
/* The number before `word` in a line, 0 without it. */
static int number_before(const char *line, const char *end, const char *word)
{
    const char *at = memmem(line, (size_t)(end - line), word, strlen(word));
    if (!at) return 0;
    const char *p = at;
    while (p > line && p[-1] >= '0' && p[-1] <= '9') p--;
    return p < at ? atoi(p) : 0;
}

static const char *find_in(const char *line, const char *end, const char *word)
{
    const char *at = memmem(line, (size_t)(end - line), word, strlen(word));
    return at ? at + strlen(word) : NULL;
}

int ptxas_report(const char *log, PtxasEntry **entry)
{
    PtxasEntry *v = NULL;
    int n = 0, cap = 0;
    bool own = false;                                /* properties are of the entry, not of a function that it calls */
    for (const char *line = log; *line;) {
        const char *end = line + strcspn(line, "\n"), *p;
        if ((p = find_in(line, end, "Compiling entry function '"))) {
            PtxasEntry e = {.name = xasprintf("%.*s", (int)strcspn(p, "'\n"), p)};
            vec_push(v, n, cap, e);
            own = true;
        } else if (n && (p = find_in(line, end, "Function properties for "))) {
            own = (size_t)(end - p) == strlen(v[n - 1].name) && !memcmp(p, v[n - 1].name, (size_t)(end - p));
        } else if (n && own && find_in(line, end, " bytes stack frame")) {
            v[n - 1].stack = number_before(line, end, " bytes stack frame");
            v[n - 1].spill_stores = number_before(line, end, " bytes spill stores");
            v[n - 1].spill_loads = number_before(line, end, " bytes spill loads");
        } else if (n && (p = find_in(line, end, ": Used "))) {
            v[n - 1].registers = number_before(line, end, " registers");
            v[n - 1].shared = number_before(line, end, " bytes smem");
            p = find_in(line, end, "used ");         /* "used 1 barriers", or "used barriers 1" */
            v[n - 1].barriers = p && (size_t)(end - p) > 9 && !memcmp(p, "barriers ", 9) ? atoi(p + 9) : number_before(line, end, " barriers");
        }
        line = end + (*end == '\n');
    }
    *entry = v;
    return n;
}

void ptxas_free(PtxasEntry *entry, int n)
{
    for (int i = 0; i < n; i++) free(entry[i].name);
    free(entry);
}

char *ptxas_warnings(const char *log)
{
    StrBuf b = {0};
    for (const char *line = log; *line;) {
        size_t len = strcspn(line, "\n");
        const char *end = line + len;
        bool info = !strncmp(line, "ptxas info", 10) || !strncmp(line, "ptxas    ", 9) || find_in(line, end, " bytes stack frame");
        bool given_up = find_in(line, end, "Potential Performance Loss") || find_in(line, end, "warning");
        if (len && strspn(line, " \t") < len && (!info || given_up)) {
            sb_write(&b, line, len);
            sb_putc(&b, '\n');
        }
        line = end + (*end == '\n');
    }
    return b.s;
}

/* ---- occupancy ---- */
/* CUDA C++ programming guide, technical specifications by compute capability. */
static const ArchLimits LIMITS[] = {
    {"sm_80", 2048, 32, 65536, 164 << 10, 163 << 10}, {"sm_86", 1536, 16, 65536, 100 << 10, 99 << 10},
    {"sm_87", 1536, 16, 65536, 164 << 10, 163 << 10}, {"sm_89", 1536, 24, 65536, 100 << 10, 99 << 10},
    {"sm_90", 2048, 32, 65536, 228 << 10, 227 << 10}, {"sm_100", 2048, 32, 65536, 228 << 10, 227 << 10},
    {"sm_103", 2048, 32, 65536, 228 << 10, 227 << 10}, {"sm_120", 1536, 24, 65536, 100 << 10, 99 << 10},
    {"sm_121", 1536, 24, 65536, 100 << 10, 99 << 10},
};
enum { WARP = 32, PARTITIONS = 4, REGISTER_UNIT = 256, SHARED_UNIT = 128, SHARED_SYSTEM = 1024, MAX_REGISTERS = 255 };

const ArchLimits *arch_limits(const char *arch)
{
    size_t len = strlen(arch);
    if (len && (arch[len - 1] == 'a' || arch[len - 1] == 'f')) len--;
    for (size_t i = 0; i < COUNT(LIMITS); i++)
        if (strlen(LIMITS[i].arch) == len && !strncmp(LIMITS[i].arch, arch, len)) return &LIMITS[i];
    return NULL;
}

static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

int resident_blocks(const ArchLimits *a, const PtxasEntry *e, int threads, int64_t dynamic)
{
    const int64_t shared = e->shared + dynamic, warps = (threads + WARP - 1) / WARP;
    if (threads < 1 || threads > 1024 || shared > a->shared_block) return 0;
    int64_t n = MIN(a->blocks, a->threads / WARP / warps);
    if (e->registers) {                              /* warps live in one of four partitions, each with a quarter of the registers */
        int64_t each = round_up((int64_t)e->registers * WARP, REGISTER_UNIT), fit = a->registers / PARTITIONS / each * PARTITIONS;
        if (e->registers > MAX_REGISTERS || each * round_up(warps, PARTITIONS) > a->registers) return 0;
        n = MIN(n, fit / warps);
    }
    n = MIN(n, a->shared / round_up(shared + SHARED_SYSTEM, SHARED_UNIT));
    return (int)n;
}
