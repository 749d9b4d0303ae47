#include "instruction.h"

namespace glassgrad {

void Operand::extent(int64_t* first, int64_t* last) const {
  int64_t low = 0, high = 0;
  for (int axis = 0; axis < rank; ++axis) {
    int64_t reach;
    if (shape[axis] == 0) {
      *first = *last = 0;
      return;
    }
    int64_t& side = stride[axis] < 0 ? low : high;
    if (__builtin_mul_overflow(shape[axis] - 1, stride[axis], &reach) ||
        __builtin_add_overflow(side, reach, &side)) {
      throw PlanError("an operand reaches beyond every memory");
    }
  }
  const int64_t size = size_of(dtype);
  if (__builtin_mul_overflow(low, size, first) || __builtin_add_overflow(high, 1, &high) ||
      __builtin_mul_overflow(high, size, last)) {
    throw PlanError("an operand reaches beyond every memory");
  }
}

}  // namespace glassgrad
