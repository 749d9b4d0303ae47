// Going through the places in order, with the offset of each operand at hand.
#pragma once

#include "core/places.h"

namespace glassgrad::GG_ISA {
namespace {

template <int operands>
struct Walk {
  const Places<operands>& places;
  int64_t at[max_rank];
  int64_t offset[operands];  // in elements

  Walk(const Places<operands>& all, int64_t first) : places(all) {
    for (int k = 0; k < operands; ++k) offset[k] = 0;
    if (places.count == 0) return;
    for (int axis = places.rank - 1; axis >= 0; --axis) {
      at[axis] = first % places.size[axis];
      first /= places.size[axis];
      for (int k = 0; k < operands; ++k) offset[k] += at[axis] * places.stride[k][axis];
    }
  }

  void next() {
    for (int axis = places.rank - 1; axis >= 0; --axis) {
      for (int k = 0; k < operands; ++k) offset[k] += places.stride[k][axis];
      if (++at[axis] < places.size[axis]) return;
      for (int k = 0; k < operands; ++k) offset[k] -= places.size[axis] * places.stride[k][axis];
      at[axis] = 0;
    }
  }
};

}  // namespace
}  // namespace glassgrad::GG_ISA
