/* number.h: the table. Assumes nothing. */
#include "runtime/number.h"
#include <string.h>

const NumberInfo number_info[N_NUMBERS] = {
    [NUM_F32] = {"f32", 4, 24, 0}, [NUM_TF32] = {"tf32", 4, 11, 1}, [NUM_BF16] = {"bf16", 2, 8, 2}, [NUM_F16] = {"f16", 2, 11, 2},
};

Number number_named(const char *name)
{
    int i = 0;
    while (i < N_NUMBERS && strcmp(number_info[i].name, name)) i++;
    return (Number)i;
}
