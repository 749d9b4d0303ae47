// AVX-512 (F, BW, CD, DQ, VL): compiled with -march=x86-64-v4.
#define GG_ISA avx512
#include "fill_table.h"

namespace glassgrad {

const Table& avx512_table() { return avx512::table; }

}  // namespace glassgrad
