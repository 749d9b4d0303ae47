// The plain C++ that everything else must equal, bit for bit.
#define GG_ISA reference
#define GG_PLAIN
#include "fill_table.h"

namespace glassgrad {

const Table& reference_table() { return reference::table; }

}  // namespace glassgrad
