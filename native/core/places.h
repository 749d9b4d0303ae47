// Places that are gone through in order, and where in each operand they lie.
#pragma once

#include "types.h"

namespace glassgrad {

// Axes are merged and those of one place left out; `count` is 0 where there is no place at all.
template <int operands>
struct Places {
  int rank;
  int64_t count;
  int64_t size[max_rank];
  int64_t stride[max_rank][operands];  // in elements, of each operand along an axis
};

}  // namespace glassgrad
