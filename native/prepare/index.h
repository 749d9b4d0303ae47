// Kernels that read and write at positions, or find them: made ready.
#pragma once

#include "core/places.h"

namespace glassgrad {

struct Instruction;
struct Work;

struct IndexTask {
  Kernel kernel;
  DType dtype;       // of the numbers, not of the positions
  int slot[4];       // of the operands, in their order
  int64_t size;      // of the axis that positions point into, or along which a kernel goes
  int64_t along[4];  // the step of each operand along that axis
  int64_t count;     // along_axis: how many positions lie along the axis
  Places<3> outer;    // the places a position is for; the strides of what lies there, in order
  Places<3> row;      // take, add_at: what lies at a position
  bool whole_rows;   // take: a row is one piece of memory
  bool by_columns;   // add_at: divided by columns of a row, else by rows of the table
  bool descending;
  int64_t units;
};

IndexTask prepare_index(const Instruction& instruction, Work* work);

}  // namespace glassgrad
