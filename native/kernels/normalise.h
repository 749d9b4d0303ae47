// (x - mean) / sqrt(variance + eps) of rows, and its derivative; or without the mean. The variance is
// that of the numbers less their mean, which does not cancel.
#pragma once

#include <cstring>

#include "kernels/lanes.h"
#include "kernels/walk.h"
#include "prepare/row.h"

namespace glassgrad::GG_ISA {
namespace {
namespace normalising {

template <typename T>
T* address(const RowTask& task, const Frame& frame, int k) {
  return task.slot[k] < 0 ? nullptr : reinterpret_cast<T*>(frame.slot[task.slot[k]]);
}

template <typename T>
T root(T number) {
  if constexpr (sizeof(T) == 4) {
    return __builtin_sqrtf(number);
  } else {
    return __builtin_sqrt(number);
  }
}

// What is read and written: addresses of a row, or of a block of columns.
template <typename T>
struct Forward {
  const T *x, *scale, *shift;
  T *normalised, *result;
};

template <typename T>
struct Back {
  const T *d, *scale, *normalised;
  T* dx;
};

// -- rows in one piece --------------------------------------------------------------------------

template <typename T>
struct Moments {
  T mean, variance, std;
};

template <typename T>
Moments<T> moments_of(const T* x, int64_t size, T eps, bool centred) {
  using L = Lanes<T>;
  const T mean = !centred ? T(0) : sum_of<T>(size, [&](const L& sum, int64_t at, int64_t count) GG_WITHIN {
    return sum + L::load(x + at, count);
  }) / T(size);
  const L middle = L::all(mean);
  const T variance = sum_of<T>(size, [&](const L& sum, int64_t at, int64_t count) GG_WITHIN {
    const L centred = L::load(x + at, count) - middle;
    return fused(centred, centred, sum);
  }) / T(size);
  return {mean, variance, root(variance + eps)};
}

// Numbers along a row, or 16 equal ones again and again.
template <typename T>
struct Strip {
  const T* from;
  int64_t step;

  Lanes<T> at(int64_t place, int64_t count) const {
    return Lanes<T>::load(from + place * step, count);
  }
};

// What is one number for the whole row, or none at all, is written out once.
template <typename T>
struct Along {
  Strip<T> strip;
  T same[lanes];

  Along(const T* row, int64_t step, T otherwise) : strip{row, step} {
    if (row != nullptr && step != 0) return;
    for (T& number : same) number = row == nullptr ? otherwise : *row;
    strip = {same, 0};
  }
};

template <typename T>
Moments<T> forward_row(const Forward<T>& row, int64_t size, int64_t scale_step, int64_t shift_step,
                       T eps, bool centred) {
  using L = Lanes<T>;
  const Moments<T> found = moments_of(row.x, size, eps, centred);
  const L middle = L::all(found.mean), share = L::all(T(1) / found.std);
  const T* x = row.x;
  T *normalised = row.normalised, *result = row.result;
  if (result == nullptr) {
    for (int64_t at = 0; normalised != nullptr && at < size; at += lanes) {
      ((L::load(x + at, size - at) - middle) * share).store(normalised + at, size - at);
    }
    return found;
  }
  const Along<T> scales(row.scale, scale_step, T(1)), shifts(row.shift, shift_step, T(0));
  const Strip<T> scale = scales.strip, shift = shifts.strip;
  for (int64_t at = 0; at < size; at += lanes) {
    const int64_t count = size - at;
    const L number = (L::load(x + at, count) - middle) * share;
    if (normalised != nullptr) number.store(normalised + at, count);
    fused(number, scale.at(at, count), shift.at(at, count)).store(result + at, count);
  }
  return found;
}

template <bool has_scale, typename T>
void back_row(const Back<T>& row, int64_t size, int64_t scale_step, T std, bool centred) {
  using L = Lanes<T>;
  const Along<T> scales(row.scale, scale_step, T(1));
  const Strip<T> scale = scales.strip;
  const T *from = row.d, *normalised = row.normalised;
  T* dx = row.dx;
  const auto scaled = [=](int64_t at, int64_t count) GG_WITHIN {
    const L d = L::load(from + at, count);
    return has_scale ? d * scale.at(at, count) : d;
  };
  const T mean = !centred ? T(0) : sum_of<T>(size, [=](const L& sum, int64_t at, int64_t count) GG_WITHIN {
    return sum + scaled(at, count);
  }) / T(size);
  const T product = sum_of<T>(size, [=](const L& sum, int64_t at, int64_t count) GG_WITHIN {
    return fused(scaled(at, count), L::load(normalised + at, count), sum);
  }) / T(size);
  const L middle = L::all(mean), less = L::all(-product), share = L::all(T(1) / std);
  for (int64_t at = 0; at < size; at += lanes) {
    const int64_t count = size - at;
    const L normal = L::load(normalised + at, count);
    (fused(normal, less, scaled(at, count) - middle) * share).store(dx + at, count);
  }
}

// The numbers of operand k of a row, in stretches that lie at one step: `move(number, address, step, how
// many)`.
template <typename T, typename Move>
void each_stretch(const RowTask& task, int k, T* row, Move move) {
  const int last = task.row.rank - 1;
  const int64_t stretch = last < 0 ? 1 : task.row.size[last];
  for (int64_t j = 0; j < task.size; j += stretch) {
    const Walk<row_operands> at(task.row, j);
    move(j, row + at.offset[k], last < 0 ? 1 : task.row.stride[last][k], stretch);
  }
}

// Copies the numbers of operand k of a row together, or back.
template <typename T>
T* together(const RowTask& task, int k, const T* row, T* to) {
  each_stretch(task, k, row, [to](int64_t j, const T* from, int64_t step, int64_t count) {
    if (step == 1) {
      std::memcpy(to + j, from, static_cast<size_t>(count) * sizeof(T));
    } else {
      for (int64_t i = 0; i < count; ++i) to[j + i] = from[i * step];
    }
  });
  return to;
}

template <typename T>
void apart(const RowTask& task, int k, const T* from, T* row) {
  each_stretch(task, k, row, [from](int64_t j, T* to, int64_t step, int64_t count) {
    if (step == 1) {
      std::memcpy(to, from + j, static_cast<size_t>(count) * sizeof(T));
    } else {
      for (int64_t i = 0; i < count; ++i) to[i * step] = from[j + i];
    }
  });
}

// From number to number of an operand that is the same along a row, or that lies along it: in the row
// itself, or in what was copied together.
inline int64_t step_along(const RowTask& task, int k) {
  if (task.way != RowWay::gathered) return task.row.rank == 0 ? 0 : task.row.stride[0][k];
  bool same = true;
  for (int axis = 0; axis < task.row.rank; ++axis) same = same && task.row.stride[axis][k] == 0;
  return same ? 0 : 1;
}

template <typename T>
void forward_rows(const RowTask& task, const Frame& frame, Range mine) {
  namespace op = normalise_operand;
  const bool gathered = task.way == RowWay::gathered;
  const int64_t size = task.size;
  T* scratch = reinterpret_cast<T*>(frame.scratch);
  const Forward<T> all{address<const T>(task, frame, op::x), address<const T>(task, frame, op::scale),
                       address<const T>(task, frame, op::shift),
                       address<T>(task, frame, op::normalised), address<T>(task, frame, op::result)};
  T* mean = address<T>(task, frame, op::mean);
  T* variance = address<T>(task, frame, op::variance);
  T* std = address<T>(task, frame, op::std);
  const int64_t scale_step = step_along(task, op::scale), shift_step = step_along(task, op::shift);
  Walk<row_operands> at(task.outer, mine.begin);
  for (int64_t i = mine.begin; i < mine.end; ++i, at.next()) {
    Forward<T> row{all.x + at.offset[op::x],
                   all.scale == nullptr ? nullptr : all.scale + at.offset[op::scale],
                   all.shift == nullptr ? nullptr : all.shift + at.offset[op::shift],
                   all.normalised == nullptr ? nullptr : all.normalised + at.offset[op::normalised],
                   all.result == nullptr ? nullptr : all.result + at.offset[op::result]};
    const Forward<T> home = row;
    if (gathered) {
      row.x = together(task, op::x, row.x, scratch);
      if (row.scale && scale_step) row.scale = together(task, op::scale, row.scale, scratch + size);
      if (row.shift && shift_step) row.shift = together(task, op::shift, row.shift, scratch + 2 * size);
      if (row.normalised) row.normalised = scratch + 3 * size;
      if (row.result) row.result = scratch + 4 * size;
    }
    const Moments<T> found = forward_row(row, size, scale_step, shift_step, T(task.eps), task.centred);
    if (gathered && row.normalised) apart(task, op::normalised, row.normalised, home.normalised);
    if (gathered && row.result) apart(task, op::result, row.result, home.result);
    if (mean) mean[at.offset[op::mean]] = found.mean;
    if (variance) variance[at.offset[op::variance]] = found.variance;
    if (std) std[at.offset[op::std]] = found.std;
  }
}

template <typename T>
void back_rows(const RowTask& task, const Frame& frame, Range mine) {
  namespace op = back_operand;
  const bool gathered = task.way == RowWay::gathered;
  const int64_t size = task.size;
  T* scratch = reinterpret_cast<T*>(frame.scratch);
  const T* d = address<const T>(task, frame, op::d);
  const T* scale = address<const T>(task, frame, op::scale);
  const T* normalised = address<const T>(task, frame, op::normalised);
  const T* std = address<const T>(task, frame, op::std);
  T* dx = address<T>(task, frame, op::dx);
  const int64_t scale_step = step_along(task, op::scale);
  Walk<row_operands> at(task.outer, mine.begin);
  for (int64_t i = mine.begin; i < mine.end; ++i, at.next()) {
    Back<T> row{d + at.offset[op::d], scale == nullptr ? nullptr : scale + at.offset[op::scale],
                normalised + at.offset[op::normalised], dx + at.offset[op::dx]};
    T* home = row.dx;
    if (gathered) {
      row.d = together(task, op::d, row.d, scratch);
      if (row.scale && scale_step) row.scale = together(task, op::scale, row.scale, scratch + size);
      row.normalised = together(task, op::normalised, row.normalised, scratch + 2 * size);
      row.dx = scratch + 3 * size;
    }
    const T row_std = std[at.offset[op::std]];
    if (row.scale != nullptr) {
      back_row<true>(row, size, scale_step, row_std, task.centred);
    } else {
      back_row<false>(row, size, scale_step, row_std, task.centred);
    }
    if (gathered) apart(task, op::dx, row.dx, home);
  }
}

// -- rows whose numbers lie apart: 16 of them side by side --------------------------------------

// The sums down 16 columns, each in the same order as along a row in one piece.
template <typename T, typename Add>
Lanes<T> sum_down(int64_t count, Add add) {
  using L = Lanes<T>;
  constexpr int at_once = 4;  // chains of additions that do not wait for each other
  Tree<L> tree;
  for (int64_t chunk = 0; chunk < count; chunk += sum_chunk) {
    const int64_t end = count - chunk < sum_chunk ? count : chunk + sum_chunk;
    L lane[lanes];
    for (int l = 0; l < lanes; l += at_once) {
      L sum[at_once];
      for (L& s : sum) s = L::all(0);
      int64_t i = chunk + l;
      for (; i + at_once <= end; i += lanes) {
        for (int k = 0; k < at_once; ++k) sum[k] = add(sum[k], i + k);
      }
      for (int k = 0; i + k < end; ++k) sum[k] = add(sum[k], i + k);
      for (int k = 0; k < at_once; ++k) lane[l + k] = sum[k];
    }
    for (int half = lanes / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) lane[l] = lane[l] + lane[l + half];
    }
    tree.add(lane[0]);
  }
  return tree.total();
}

// One number for each of some columns, which may be the same number, or none.
template <typename T>
Lanes<T> by_column(const T* from, int64_t step, int64_t column, int64_t count, T otherwise) {
  if (from == nullptr) return Lanes<T>::all(otherwise);
  T some[lanes] = {};
  for (int64_t l = 0; l < count; ++l) some[l] = from[(column + l) * step];
  return Lanes<T>::load(some);
}

template <typename T>
void put_by_column(T* to, int64_t step, int64_t column, int64_t count, const Lanes<T>& numbers) {
  if (to == nullptr) return;
  T some[lanes];
  numbers.store(some);
  for (int64_t l = 0; l < count; ++l) to[(column + l) * step] = some[l];
}

// Where operand k of a block of rows begins; nullptr: there is none.
template <typename T>
T* of_block(const RowTask& task, const Frame& frame, const Walk<row_operands>& block, int k) {
  T* const first = address<T>(task, frame, k);
  return first == nullptr ? nullptr : first + block.offset[k];
}

template <typename T>
void forward_columns(const RowTask& task, const Frame& frame, const Walk<row_operands>& block, int64_t column,
                     int64_t count) {
  namespace op = normalise_operand;
  using L = Lanes<T>;
  const int64_t size = task.size;
  const int64_t* outer = task.outer.stride[task.outer.rank - 1];
  const int64_t* down = task.row.stride[0];
  const auto of = [&](int k) { return of_block<T>(task, frame, block, k); };
  const T* x = of(op::x) + column;
  T* normalised = of(op::normalised);
  T* result = of(op::result);
  const int64_t step = down[op::x];
  const L by_size = L::all(T(size));
  const L mean = !task.centred ? L::all(0) : sum_down<T>(size, [&](const L& sum, int64_t i) GG_WITHIN {
    return sum + L::load(x + i * step, count);
  }) / by_size;
  const L variance = sum_down<T>(size, [&](const L& sum, int64_t i) GG_WITHIN {
    const L centred = L::load(x + i * step, count) - mean;
    return fused(centred, centred, sum);
  }) / by_size;
  const L std = roots(variance + L::all(T(task.eps)));
  if (normalised != nullptr || result != nullptr) {
    const L share = L::all(1) / std;
    const L scale = by_column<T>(of(op::scale), outer[op::scale], column, count, T(1));
    const L shift = by_column<T>(of(op::shift), outer[op::shift], column, count, T(0));
    const int64_t to_normalised = down[op::normalised], to_result = down[op::result];
    for (int64_t i = 0; i < size; ++i) {
      const L normal = (L::load(x + i * step, count) - mean) * share;
      if (normalised) normal.store(normalised + column + i * to_normalised, count);
      if (result) fused(normal, scale, shift).store(result + column + i * to_result, count);
    }
  }
  put_by_column(of(op::mean), outer[op::mean], column, count, mean);
  put_by_column(of(op::variance), outer[op::variance], column, count, variance);
  put_by_column(of(op::std), outer[op::std], column, count, std);
}

template <typename T>
void back_columns(const RowTask& task, const Frame& frame, const Walk<row_operands>& block, int64_t column,
                  int64_t count) {
  namespace op = back_operand;
  using L = Lanes<T>;
  const int64_t size = task.size;
  const int64_t* outer = task.outer.stride[task.outer.rank - 1];
  const int64_t* down = task.row.stride[0];
  const auto of = [&](int k) { return of_block<T>(task, frame, block, k); };
  const T* d = of(op::d) + column;
  const T* normalised = of(op::normalised) + column;
  T* dx = of(op::dx) + column;
  const T* scales = of(op::scale);
  const L scale = by_column(scales, outer[op::scale], column, count, T(1));
  const L std = by_column<T>(of(op::std), outer[op::std], column, count, T(1));
  const int64_t from_d = down[op::d], from_normalised = down[op::normalised];
  const int64_t to_dx = down[op::dx];
  const auto scaled = [=](int64_t i) GG_WITHIN {
    const L number = L::load(d + i * from_d, count);
    return scales == nullptr ? number : number * scale;
  };
  const auto normal = [=](int64_t i) GG_WITHIN {
    return L::load(normalised + i * from_normalised, count);
  };
  const L by_size = L::all(T(size));
  const L mean = !task.centred ? L::all(0) : sum_down<T>(size, [&](const L& sum, int64_t i) GG_WITHIN {
    return sum + scaled(i);
  }) / by_size;
  const L along = sum_down<T>(size, [&](const L& sum, int64_t i) GG_WITHIN {
    return fused(scaled(i), normal(i), sum);
  }) / by_size;
  const L less = L::all(0) - along, share = L::all(1) / std;
  for (int64_t i = 0; i < size; ++i) {
    (fused(normal(i), less, scaled(i) - mean) * share).store(dx + i * to_dx, count);
  }
}

template <typename T>
void run(const RowTask& task, const Frame& frame, Range mine) {
  if (task.outer.count == 0) return;
  const bool forward = task.kernel == Kernel::normalise;
  if (task.way != RowWay::columns) {
    if (forward) return forward_rows<T>(task, frame, mine);
    return back_rows<T>(task, frame, mine);
  }
  const int64_t across = (task.columns + columns_at_once - 1) / columns_at_once;  // units of a block
  for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
    const Walk<row_operands> block(task.blocks, unit / across);
    const int64_t column = unit % across * columns_at_once, left = task.columns - column;
    const int64_t count = left < columns_at_once ? left : columns_at_once;
    if (forward) {
      forward_columns<T>(task, frame, block, column, count);
    } else {
      back_columns<T>(task, frame, block, column, count);
    }
  }
}

}  // namespace normalising
}  // namespace
}  // namespace glassgrad::GG_ISA
