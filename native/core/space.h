// A space of places, and where in each operand a place lies.
#pragma once

#include "types.h"

namespace glassgrad {

// Axes are merged and those of one place left out; `count` is 0 where there is no place at all.
template <int operands>
struct Space {
  int rank;
  int64_t count;
  int64_t size[max_rank];
  int64_t stride[operands][max_rank];  // in elements
};

}  // namespace glassgrad
