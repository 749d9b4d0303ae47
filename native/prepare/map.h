// `map`: a program run over a space. A plain struct for kernels/map.h, made by map.cpp.
#pragma once

#include "prepare/space.h"

namespace glassgrad {

struct Instruction;
struct Work;

struct MapTask {
  Space space;
  bool copies;        // nothing but moving numbers from one place to another
  int across;         // copies: the axis along which the source has stride 1, where it is not the last; or -1
  int64_t units;      // shares of the work, of so many numbers of the space
  int64_t per_unit;
  Program program;
};

// Operands: inputs, outputs, all with the shape of the space. Whole numbers: rank, sizes, program.
MapTask prepare_map(const Instruction&, Work*, bool keep = false);

// A program that runs over rows that a product has just computed: (*batch, m, n). Its value 0 is the
// product, which the kernel hands over; operands are the other inputs, then the outputs.
struct RowsTask {
  Space space;       // of the rows of all batches
  int64_t rows;      // m
  int64_t columns;   // n
  Program program;
};

// `product` has the shape and dtype of the product; its strides and slot mean nothing.
RowsTask prepare_rows(const Operand& product, const Operand* const* inputs, const Operand* const* outputs,
                      const Program&);

}  // namespace glassgrad
