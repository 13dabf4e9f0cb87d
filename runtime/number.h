/* The types of elements and the precisions of contractions, by the names that plans and options give them. Shared by ectc and ect-rt.
   Assumes nothing. In memory is f32, bf16 or f16; a precision is also tf32: held in f32, operands rounded to its 11 significant bits. */
#ifndef ECT_NUMBER_H
#define ECT_NUMBER_H

typedef enum { NUM_F32, NUM_TF32, NUM_BF16, NUM_F16, N_NUMBERS } Number;
typedef struct {
    const char *name;
    int bytes;                                       /* of an element in memory */
    int bits;                                        /* significant ones: rounding is off by 2^-bits of a value at most */
    int speed;                                       /* of tensor cores with such operands: 2 bytes are 2, tf32 is 1, f32 has none: 0 */
} NumberInfo;
extern const NumberInfo number_info[N_NUMBERS];

Number number_named(const char *name);               /* N_NUMBERS when there is none of that name */
#endif
