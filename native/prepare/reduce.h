// `reduce`: sums, products and the like over some axes, of what a program makes of its inputs. A plain
// struct for kernels/reduce.h, made by reduce.cpp.
#pragma once

#include "prepare/space.h"

namespace glassgrad {

struct Instruction;
struct Work;

// The order of every sum, which only the shape decides. Along the last axes: pieces of `chunk` numbers,
// 16 lanes in each; where rows are reduced: `chunk_rows` rows, one after the other. Then pairs, pairs of
// pairs, and so on.
constexpr int64_t chunk = 256;
constexpr int64_t chunk_rows = 64;

struct ReduceTask {
  Space space;           // axes in the order: (outputs), then what is reduced; or with `columns` last
  Reduction kind;
  DType dtype;           // of the numbers that are taken together, and of the result
  bool columns;          // rows are added to each other; otherwise each row is reduced to a number
  bool in_place;         // there is no program, and the numbers lie as the kernel wants them
  int64_t results;
  int64_t outer;         // results, or with `columns` groups of results
  int64_t rows;          // to be reduced for each of them
  int64_t length;        // of a row
  int64_t row_step;      // in_place with `columns`: numbers from row to row
  int64_t units;         // shares: of `outer`, or of 16 columns each
  bool over_columns;     // what a unit is
  double divisor;
  int32_t result;        // slot
  int result_rank;       // axes of the result, in order, without those of size 1
  int64_t result_size[max_rank];
  int64_t result_stride[max_rank];
  int64_t scratch_at;    // offset in scratch of what the kernel itself needs
  Program program;
};

// Operands: inputs (with the shape of the space), result (same rank, size 1 on reduced axes). Whole
// numbers: kind, rank, sizes, count of axes, axes, program of one output. Reals: divisor.
ReduceTask prepare_reduce(const Instruction&, Work*, bool keep = false);

}  // namespace glassgrad
