// Kernels that work on whole rows: softmax, cross-entropy, normalisation. Made ready.
#pragma once

#include "core/places.h"

namespace glassgrad {

struct Instruction;
struct Work;

constexpr int row_operands = 8;
constexpr int64_t rows_at_once = 64;     // of short rows, side by side
constexpr int64_t columns_at_once = 16;

// Which operand is which, by kernel; a slot of -1 is one that is not there.
namespace softmax_operand {
enum : int { x, y };
}
namespace entropy_operand {
enum : int { z, target, loss, d };
}
namespace normalise_operand {
enum : int { x, scale, shift, normalised, result, mean, variance, std };
}
namespace back_operand {
enum : int { d, scale, normalised, std, dx };
}

enum class RowWay : int64_t {
  beside,    // short rows, many of them side by side: a register holds one number of each
  along,     // rows that lie in one piece
  columns,   // numbers of a row lie apart, those of neighbouring rows together: blocks of such rows
  gathered,  // anything else: copied together first
};

struct RowTask {
  Kernel kernel;
  DType dtype;
  RowWay way;
  int slot[row_operands];
  int64_t size;                  // numbers in a row
  int64_t units;
  Places<row_operands> outer;    // the rows
  Places<row_operands> row;      // the numbers of a row
  Places<row_operands> blocks;   // columns: the rows but for the last axis,
  int64_t columns;               // which has so many
  bool centred;                  // normalise: less the mean
  bool mean;                     // cross_entropy: one loss, the mean over the rows that count
  bool shared;                   // cross_entropy: d is over the number of rows that count
  bool ignores;
  int64_t ignored;               // rows with this target count nothing
  double smoothing;
  double eps;
};

RowTask prepare_row(const Instruction& instruction, Work* work);

}  // namespace glassgrad
