// An instruction as it is read from a plan, before it is made ready. For prepare/ and executor/ only:
// kernels never see it.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "types.h"

namespace glassgrad {

// A plan that does not hold together. Python turns it into an InternalError.
struct PlanError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Operand {
  int32_t slot;
  DType dtype;
  int rank;
  int64_t shape[max_rank];
  int64_t stride[max_rank];  // in elements; 0 where stretched, negative where reversed

  // The bytes that are touched, relative to the slot's address: [first, last).
  void extent(int64_t* first, int64_t* last) const;
};

struct Instruction {
  Kernel kernel;
  bool split;
  std::vector<Operand> operands;
  std::vector<int64_t> ints;
  std::vector<double> reals;
};

// What the executor and the profile ask of an instruction that was made ready.
struct Work {
  int64_t units = 1;          // how many shares it can be divided into
  int64_t scratch = 0;        // bytes for each part
  double flop = 0;
  double bytes = 0;           // read and written
  std::string name;           // of the variant that was chosen, for people
  std::vector<int> written;   // which operands are written (positions)
  // Where a part's share is share_rows(rows): for each operand the axis of those rows, or -1 for one
  // that any part may touch anywhere. rows 0: shares are of another kind.
  int64_t rows = 0;
  std::vector<int> row_axis;
};

}  // namespace glassgrad
