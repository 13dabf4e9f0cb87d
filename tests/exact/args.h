/* EctArgs of runtime/kernel_prelude.h for numbers of another type: shared by the tool (C) and the kernels' prelude (C++).
   Assumes EXACT_NUMBER and EXACT_POINTER: a number in memory, and a pointer to numbers. */
typedef struct {
    EXACT_POINTER const *buf;
    const EXACT_NUMBER *scalar;
    const unsigned long long *key;
    EXACT_POINTER const *draw;
    unsigned long long step, sample0;
    char *scratch; unsigned long long scratch_stride;
    char *shared;
    int threads, instances;
    void (*sgemm)(int, int, int, int, int, int, EXACT_NUMBER, const EXACT_NUMBER *, int, const EXACT_NUMBER *, int, EXACT_NUMBER,
                  EXACT_NUMBER *, int);
} EctArgs;

/* Where loads and stores go down when kernels are compiled with ECT_COUNT: a mark for each two bytes of the plan. */
typedef struct {
    char *base; unsigned long long units;            /* the memory of all planned buffers; 8 bytes a unit, two of the plan's */
    unsigned char *marks[2];                         /* read, written: [units] */
} ExactRecord;
enum { EXACT_UNIT = 8 };
