// Products of matrices by plain loops, number by number: what kernels/matmul.h must equal.
#pragma once

#include "core/types.h"
#include "kernels/map.h"
#include "prepare/matmul.h"

namespace glassgrad::GG_ISA {
namespace {

inline float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }

template <class T>
T product_at(const MatmulTask& t, const T* a, const T* b) {
  T lane[lanes] = {};
  const int count = t.product == Product::lanes ? lanes : 1;
  for (int64_t p = 0; p < t.k; ++p)
    lane[p % count] = multiply_add(a[p * t.a_column], b[p * t.b_row], lane[p % count]);
  for (int apart = count / 2; apart > 0; apart /= 2)
    for (int l = 0; l < apart; ++l) lane[l] += lane[l + apart];
  return lane[0];
}

template <class T>
void run_product(const MatmulTask& t, const Frame& frame) {
  const int64_t rows = t.turned ? t.n : t.m, columns = t.turned ? t.m : t.n;
  const Range whole{0, t.batches * rows};
  const Range at = t.columns_split ? whole : share_rows(whole.end, frame.part, frame.parts);
  const Range across = t.columns_split ? share_rows(columns, frame.part, frame.parts) : Range{0, columns};
  Frame epilogue = frame;
  epilogue.scratch += t.rest_at;
  for (int64_t row = at.begin; row < at.end; ++row) {
    int64_t a_at = 0, b_at = 0, c_at = 0, left = row / rows;
    for (int i = t.batch_rank - 1; i >= 0; --i) {
      const int64_t index = left % t.batch_size[i];
      left /= t.batch_size[i];
      a_at += index * t.a_batch[i];
      b_at += index * t.b_batch[i];
      c_at += index * t.c_batch[i];
    }
    const T* a = reinterpret_cast<const T*>(frame.slot[t.a_slot]) + a_at;
    const T* b = reinterpret_cast<const T*>(frame.slot[t.b_slot]) + b_at;
    const int64_t count = across.end - across.begin;
    T* to = reinterpret_cast<T*>(frame.scratch);  // a row of the result
    int64_t step = 1;
    if (t.stored) {
      to = reinterpret_cast<T*>(frame.slot[t.c_slot]) + c_at + row % rows * (t.turned ? t.c_column : t.c_row);
      step = t.turned ? t.c_row : t.c_column;
      to += across.begin * step;
    }
    for (int64_t column = 0; column < count; ++column) {
      const int64_t i = t.turned ? across.begin + column : row % rows;
      const int64_t j = t.turned ? row % rows : across.begin + column;
      T x = product_at(t, a + i * t.a_row, b + j * t.b_column);
      if (t.bias_slot >= 0)
        x += reinterpret_cast<const T*>(frame.slot[t.bias_slot])[i * t.bias_row + j * t.bias_column];
      if (t.relu) x = x <= 0 ? T(0) : x;
      if (t.gated) x *= reinterpret_cast<const T*>(frame.slot[t.gate_slot])[i * t.gate_row + j] > 0 ? T(1) : T(0);
      to[column * step] = x;
    }
    if (t.has_epilogue && count > 0)
      run_rows(t.rest, epilogue, 0, row, 1, across.begin, count, reinterpret_cast<char*>(to), count);
  }
}

inline void run_matmul(const MatmulTask& t, const Frame& frame) {
  if (t.dtype == DType::f32) run_product<float>(t, frame);
  else run_product<double>(t, frame);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
