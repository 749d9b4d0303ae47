// `matmul`: a product of matrices, with bias and relu. A plain struct for kernels/matmul.h, made by
// matmul.cpp.
#pragma once

#include "core/types.h"
#include "prepare/map.h"

namespace glassgrad {

struct Instruction;
struct Work;

// How a product is computed. All but `lanes` give every output as one chain of fused multiply-adds from
// 0, k ascending: they are different ways to the same bits.
enum class Product : int32_t {
  plain,   // tiles in registers, operands where they are
  packed,  // large: operands copied into the order in which they are read
  narrow,  // few columns: rows of a are turned in registers, so that the lanes are rows
  lanes    // few outputs and a long sum: 16 lanes, folded 8, 4, 2, 1
};

// Everything is said of c = a @ b, (m, k) @ (k, n). Where `turned`, it is the transposed problem: a and b
// have changed places, rows of c are columns of the result. Strides are in elements.
struct MatmulTask {
  DType dtype;
  Product product;
  bool turned;
  bool pack_a;         // packed: whether a is copied, too
  bool columns_split;  // parts are shares of the columns of the result, not of its rows
  bool relu;
  bool gated;          // the sums are multiplied by whether another operand is above 0
  bool stored;         // c is an operand; otherwise it is a panel in scratch, for the epilogue
  bool has_epilogue;
  int32_t a_slot, b_slot, c_slot, bias_slot;  // bias_slot -1: none
  int64_t m, k, n;
  int64_t a_row, a_column;
  int64_t b_row, b_column;
  int64_t c_row, c_column;
  int64_t bias_row, bias_column;
  int32_t gate_slot;
  int64_t gate_row;    // its columns are neighbours
  int batch_rank;
  int64_t batches;
  int64_t batch_size[max_rank];
  int64_t a_batch[max_rank], b_batch[max_rank], c_batch[max_rank];
  int64_t panel;       // rows that go together: as many as fit in the second cache
  bool by_panels;      // a panel is finished, epilogue and all, before the next; packed_depth is k then
  int64_t packed_depth;  // the most rows of b that are copied at once
  int64_t panel_bytes; // scratch in front, for panels that are not stored
  int64_t rest_at;     // where the scratch of the epilogue begins
  RowsTask rest;       // the epilogue
  bool updates;        // the epilogue is one step, w - rate * product in place of w, of a column and a row
  struct {
    int32_t slot, rate_slot;
    int64_t row;       // of w; its columns are neighbours
  } update;
};

MatmulTask prepare_matmul(const Instruction&, Work*);

}  // namespace glassgrad
