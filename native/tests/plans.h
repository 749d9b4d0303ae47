// Plans written in C++, for the drivers.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "executor/plan.h"

namespace glassgrad {

inline void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

struct Written {
  int64_t slot;
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> stride;
};

// An operand whose numbers lie without gaps.
inline Written dense(int64_t slot, DType dtype, std::vector<int64_t> shape) {
  std::vector<int64_t> stride(shape.size());
  int64_t step = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    stride[axis] = step;
    step *= shape[axis];
  }
  return {slot, dtype, std::move(shape), std::move(stride)};
}

struct PlanNumbers {
  std::vector<int64_t> bases, slots, code;
  std::vector<double> reals;

  int64_t base(Base::Kind kind, int64_t bytes) {
    for (const int64_t number : {int64_t{kind}, bytes}) bases.push_back(number);
    return static_cast<int64_t>(bases.size()) / 2 - 1;
  }
  int64_t slot(int64_t base, int64_t offset = 0, int64_t loop = -1, int64_t step = 0) {
    for (const int64_t number : {base, offset, loop, step}) slots.push_back(number);
    return static_cast<int64_t>(slots.size()) / 4 - 1;
  }
  void add(Kernel kernel, bool split, const std::vector<Written>& operands,
           const std::vector<int64_t>& ints = {}, const std::vector<double>& numbers = {}) {
    const size_t head[] = {static_cast<size_t>(kernel), split, operands.size(), ints.size(),
                           numbers.size()};
    for (const size_t number : head) code.push_back(static_cast<int64_t>(number));
    for (const Written& x : operands) {
      code.push_back(x.slot);
      code.push_back(static_cast<int64_t>(x.dtype));
      code.push_back(static_cast<int64_t>(x.shape.size()));
      code.insert(code.end(), x.shape.begin(), x.shape.end());
      code.insert(code.end(), x.stride.begin(), x.stride.end());
    }
    code.insert(code.end(), ints.begin(), ints.end());
    reals.insert(reals.end(), numbers.begin(), numbers.end());
  }
  PlanText text() const {
    return {bases.data(), static_cast<int64_t>(bases.size()) / 2,
            slots.data(), static_cast<int64_t>(slots.size()) / 4,
            code.data(),  static_cast<int64_t>(code.size()),
            reals.data(), static_cast<int64_t>(reals.size())};
  }
};

}  // namespace glassgrad
