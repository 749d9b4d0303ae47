// Places out of operands: axes that lie one after the other in every operand become one.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/instruction.h"
#include "core/places.h"

namespace glassgrad {

// Raise PlanError unless something holds.
inline void require(bool holds, const char* what) {
  if (!holds) throw PlanError(what);
}

// The product of sizes, which must be such.
inline int64_t count_of(const int64_t* size, int rank) {
  int64_t count = 1;
  for (int axis = 0; axis < rank; ++axis) {
    require(size[axis] >= 0, "a size is below 0");
    require(!__builtin_mul_overflow(count, size[axis], &count), "sizes are too large");
  }
  return count;
}

// The places of some axes. Each operand says its strides by axis, nullptr where it has none.
template <int operands>
Places<operands> places_of(const std::vector<int>& axes, const int64_t* size,
                         const std::array<const int64_t*, operands>& stride) {
  Places<operands> places{};
  places.count = 1;
  for (const int axis : axes) {
    require(!__builtin_mul_overflow(places.count, size[axis], &places.count), "sizes are too large");
    if (size[axis] == 1) continue;
    bool merges = places.rank > 0;
    for (size_t k = 0; k < operands; ++k) {
      const int64_t step = stride[k] == nullptr ? 0 : stride[k][axis];
      merges = merges && places.stride[places.rank - 1][k] == step * size[axis];
    }
    const int place = merges ? places.rank - 1 : places.rank++;
    places.size[place] = (merges ? places.size[place] : 1) * size[axis];
    for (size_t k = 0; k < operands; ++k) {
      places.stride[place][k] = stride[k] == nullptr ? 0 : stride[k][axis];
    }
  }
  return places;
}

// All axes of so many, or all but one.
inline std::vector<int> axes_of(int rank, int but = -1) {
  std::vector<int> axes;
  for (int axis = 0; axis < rank; ++axis) {
    if (axis != but) axes.push_back(axis);
  }
  return axes;
}

// The strides of an operand that lacks an axis, which then has stride 0.
inline std::array<int64_t, max_rank> without_axis(const Operand& operand, int axis) {
  std::array<int64_t, max_rank> found{};
  for (int i = 0, k = 0; i <= operand.rank && i < max_rank; ++i) {
    found[static_cast<size_t>(i)] = i == axis ? 0 : operand.stride[k++];
  }
  return found;
}

inline bool same_shape(const Operand& a, const Operand& b) {
  bool same = a.rank == b.rank;
  for (int axis = 0; same && axis < a.rank; ++axis) same = a.shape[axis] == b.shape[axis];
  return same;
}

// Whether an operand has the shape of another without one axis.
inline bool lacks_axis(const Operand& operand, const Operand& whole, int axis) {
  bool fits = operand.rank == whole.rank - 1;
  for (int i = 0, k = 0; fits && i < whole.rank; ++i) {
    if (i != axis) fits = operand.shape[k++] == whole.shape[i];
  }
  return fits;
}

// Whether two operands are the same numbers, so that one may be written where the other is read.
inline bool same_place(const Operand& a, const Operand& b) {
  bool same = a.slot == b.slot && a.dtype == b.dtype && same_shape(a, b);
  for (int axis = 0; same && axis < a.rank; ++axis) {
    same = a.stride[axis] == b.stride[axis] || a.shape[axis] == 1;
  }
  return same;
}

// Raise PlanError unless no two places of an operand are one number.
inline void require_writable(const Operand& operand) {
  for (int axis = 0; axis < operand.rank; ++axis) {
    require(operand.shape[axis] <= 1 || operand.stride[axis] != 0, "a result is stretched");
  }
}

// Whether the numbers of an operand lie one after the other.
inline bool contiguous(const Operand& operand) {
  int64_t step = 1;
  for (int axis = operand.rank - 1; axis >= 0; --axis) {
    if (operand.shape[axis] == 0) return true;
    if (operand.shape[axis] > 1 && operand.stride[axis] != step) return false;
    step *= operand.shape[axis];
  }
  return true;
}

}  // namespace glassgrad
