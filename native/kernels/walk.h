// Going through the places of a space in order, with the offset of each operand at hand.
#pragma once

#include "../core/space.h"

namespace glassgrad::GG_ISA {
namespace {

template <int operands>
struct Walk {
  const Space<operands>& space;
  int64_t at[max_rank];
  int64_t offset[operands];  // in elements

  Walk(const Space<operands>& whole, int64_t first) : space(whole) {
    for (int k = 0; k < operands; ++k) offset[k] = 0;
    if (space.count == 0) return;
    for (int axis = space.rank - 1; axis >= 0; --axis) {
      at[axis] = first % space.size[axis];
      first /= space.size[axis];
      for (int k = 0; k < operands; ++k) offset[k] += at[axis] * space.stride[k][axis];
    }
  }

  void next() {
    for (int axis = space.rank - 1; axis >= 0; --axis) {
      for (int k = 0; k < operands; ++k) offset[k] += space.stride[k][axis];
      if (++at[axis] < space.size[axis]) return;
      for (int k = 0; k < operands; ++k) offset[k] -= space.size[axis] * space.stride[k][axis];
      at[axis] = 0;
    }
  }
};

}  // namespace
}  // namespace glassgrad::GG_ISA
