// NEON, which every 64-bit ARM has.
#define GG_ISA neon
#include "fill_table.h"

namespace glassgrad {

const Table& neon_table() { return neon::table; }

}  // namespace glassgrad
