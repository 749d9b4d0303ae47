// AVX2 with FMA: compiled with -march=x86-64-v3.
#define GG_ISA avx2
#include "fill_table.h"

namespace glassgrad {

const Table& avx2_table() { return avx2::table; }

}  // namespace glassgrad
