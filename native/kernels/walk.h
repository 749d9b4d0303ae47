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
      for (int k = 0; k < operands; ++k) offset[k] += at[axis] * places.stride[axis][k];
    }
  }

  void next() {
    const int last = places.rank - 1;
    if (last < 0) return;
    for (int k = 0; k < operands; ++k) offset[k] += places.stride[last][k];
    if (++at[last] == places.size[last]) carry(last);
  }

 private:
  // An axis is through: back to its beginning, and a step along the one before.
  [[gnu::noinline]] void carry(int axis) {
    for (; at[axis] == places.size[axis]; --axis) {
      at[axis] = 0;
      for (int k = 0; k < operands; ++k) offset[k] -= places.size[axis] * places.stride[axis][k];
      if (axis == 0) return;
      ++at[axis - 1];
      for (int k = 0; k < operands; ++k) offset[k] += places.stride[axis - 1][k];
    }
  }
};

}  // namespace
}  // namespace glassgrad::GG_ISA
