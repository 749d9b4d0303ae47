// The guard: whether all numbers of some arrays are finite.
#pragma once

#include "core/instruction.h"

namespace glassgrad {

struct GuardArray {
  int slot;
  bool wide;  // float64
  int rank;   // axes outside the pieces
  int64_t size[max_rank];
  int64_t stride[max_rank];  // in bytes
  int64_t pieces;            // runs of numbers without a gap
  int64_t length;            // numbers in each
};

struct GuardTask {
  std::vector<GuardArray> arrays;
  bool (*finite_f32)(const float*, int64_t);
  bool (*finite_f64)(const double*, int64_t);
};

struct Table;

GuardTask prepare_guard(const Instruction&, const Table&, Work*);
void run_guard(const GuardTask&, const Frame&);  // says in the frame's fault what it found

}  // namespace glassgrad
