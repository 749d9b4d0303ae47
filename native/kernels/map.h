// Elementwise programs over a space, and over the rows of a product.
#pragma once

#include "kernels/block.h"
#include "kernels/copy.h"
#include "prepare/map.h"

namespace glassgrad::GG_ISA {
namespace {

// run(position, count) for blocks of a space; none crosses a row where rows count.
template <class Run>
void for_blocks(const Space& s, int64_t begin, int64_t end, Run run) {
  for (int64_t at = begin; at < end;) {
    int64_t count = end - at < s.block ? end - at : s.block;
    if (s.row > 0) {
      const int64_t left = s.row - at % s.row;
      if (left < count) count = left;
    }
    run(at, count);
    at += count;
  }
}

void run_map(const MapTask& t, const Frame& f) {
  const Range mine = f.parts == 1 ? Range{0, t.units} : share_rows(t.units, f.part, f.parts);
  const int64_t begin = mine.begin * t.per_unit;
  int64_t end = mine.end * t.per_unit;
  if (end > t.space.total) end = t.space.total;
  if (begin >= end) return;
  if (t.copies) return copy(t, f, begin, end);
  Blocks blocks(t.program, t.space, f);
  for_blocks(t.space, begin, end, [&](int64_t at, int64_t count) { blocks.run(at, count); });
}

void run_rows(const RowsTask& t, const Frame& f, int64_t batch, int64_t row, int64_t rows,
              int64_t column, int64_t columns, char* product, int64_t stride) {
  const int64_t size = t.space.place[0].size;
  const int64_t first = (batch * t.rows + row) * t.columns + column;
  // The program finds the product as if all of it lay there, row after row.
  Blocks blocks(t.program, t.space, f, product - first * size);
  const auto run = [&](int64_t at, int64_t count) { blocks.run(at, count); };
  if (columns == t.columns && stride == columns) {
    for_blocks(t.space, first, first + rows * columns, run);
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t at = first + i * t.columns;
    blocks.move_inner(product + (i * stride - at) * size);
    for_blocks(t.space, at, at + columns, run);
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
