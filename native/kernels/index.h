// Reading and writing at positions, and finding them. A position is looked at before it is followed:
// the first that lies outside is reported in the frame, and the kernel returns.
#pragma once

#include <cstring>

#include "prepare/index.h"
#include "kernels/walk.h"

namespace glassgrad::GG_ISA {
namespace {
namespace at_positions {

// Whole numbers wrap around, as NumPy's do.
template <typename T>
T plus(T a, T b) {
  return a + b;
}

template <>
inline int64_t plus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

using Positions = const int64_t*;

template <typename T>
T* operand(const IndexTask& task, const Frame& frame, int k) {
  return reinterpret_cast<T*>(frame.slot[task.slot[k]]);
}

Positions positions(const IndexTask& task, const Frame& frame, int k) {
  return operand<const int64_t>(task, frame, k);
}

// Whether a position lies inside; otherwise the frame says so.
inline bool inside(int64_t position, int64_t size, const Frame& frame) {
  if (position >= 0 && position < size) return true;
  *frame.fault = {true, position, size};
  return false;
}

// -- rows of a table ----------------------------------------------------------------------------

template <typename T>
void take(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  const Positions index = positions(task, frame, 1);
  T* y = operand<T>(task, frame, 2);
  const size_t bytes = static_cast<size_t>(task.row.count) * sizeof(T);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    const int64_t position = index[place.offset[0]];
    if (!inside(position, task.size, frame)) return;
    const T* from = x + position * task.along[0];
    T* to = y + place.offset[1];
    if (task.row.rank == 0) {
      if (task.row.count > 0) *to = *from;
    } else if (task.whole_rows) {
      std::memcpy(to, from, bytes);
    } else {
      Walk<3> step(task.row, 0);
      for (int64_t j = 0; j < task.row.count; ++j, step.next()) {
        to[step.offset[1]] = from[step.offset[0]];
      }
    }
  }
}

// Some numbers of a row: all of a walk, or a stretch of columns that lie at equal steps.
template <typename T>
void copy_row(const Places<3>& row, Range columns, const T* from, T* to) {
  if (row.rank == 1) {
    for (int64_t j = columns.begin; j < columns.end; ++j) {
      to[j * row.stride[0][2]] = from[j * row.stride[0][0]];
    }
    return;
  }
  Walk<3> step(row, columns.begin);
  for (int64_t j = columns.begin; j < columns.end; ++j, step.next()) {
    to[step.offset[2]] = from[step.offset[0]];
  }
}

template <typename T>
void add_row(const Places<3>& row, Range columns, const T* values, T* to) {
  if (row.rank == 1 && row.stride[0][1] == 1 && row.stride[0][2] == 1) {
    for (int64_t j = columns.begin; j < columns.end; ++j) to[j] = plus(to[j], values[j]);
    return;
  }
  Walk<3> step(row, columns.begin);
  for (int64_t j = columns.begin; j < columns.end; ++j, step.next()) {
    T& place = to[step.offset[2]];
    place = plus(place, values[step.offset[1]]);
  }
}

template <typename T>
void add_at(const IndexTask& task, const Frame& frame) {
  const T* x = operand<const T>(task, frame, 0);
  const Positions index = positions(task, frame, 1);
  const T* values = operand<const T>(task, frame, 2);
  T* y = operand<T>(task, frame, 3);
  const Range mine = share(task.units, frame.part, frame.parts);
  Range rows{0, task.size}, columns{0, task.row.count};
  if (task.by_columns) {
    constexpr int64_t block = 16;
    columns.begin = mine.begin * block;
    if (mine.end * block < columns.end) columns.end = mine.end * block;
  } else {
    rows = mine;
  }
  if (rows.begin == rows.end || columns.begin >= columns.end) return;
  if (x != y) {
    for (int64_t k = rows.begin; k < rows.end; ++k) {
      copy_row(task.row, columns, x + k * task.along[0], y + k * task.along[3]);
    }
  }
  Walk<3> place(task.outer, 0);
  for (int64_t i = 0; i < task.outer.count; ++i, place.next()) {
    const int64_t position = index[place.offset[0]];
    if (!inside(position, task.size, frame)) return;
    if (position < rows.begin || position >= rows.end) continue;
    add_row(task.row, columns, values + place.offset[1], y + position * task.along[3]);
  }
}

// -- one number of each row ---------------------------------------------------------------------

template <typename T>
void pick(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  const Positions index = positions(task, frame, 1);
  T* y = operand<T>(task, frame, 2);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    const int64_t position = index[place.offset[1]];
    if (!inside(position, task.size, frame)) return;
    y[place.offset[2]] = x[place.offset[0] + position * task.along[0]];
  }
}

template <typename T>
void put_at(const IndexTask& task, const Frame& frame, Range rows) {
  const Positions index = positions(task, frame, 0);
  const T* values = operand<const T>(task, frame, 1);
  T* y = operand<T>(task, frame, 2);
  const int64_t step = task.along[2];
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    const int64_t position = index[place.offset[0]];
    if (!inside(position, task.size, frame)) return;
    T* row = y + place.offset[2];
    for (int64_t j = 0; j < task.size; ++j) row[j * step] = T{};
    row[position * step] = values[place.offset[1]];
  }
}

template <typename T>
void subtract_one_at(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  const Positions index = positions(task, frame, 1);
  T* y = operand<T>(task, frame, 2);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    const int64_t position = index[place.offset[1]];
    if (!inside(position, task.size, frame)) return;
    T* row = y + place.offset[2];
    if (x != y) {
      const T* from = x + place.offset[0];
      for (int64_t j = 0; j < task.size; ++j) row[j * task.along[2]] = from[j * task.along[0]];
    }
    T& number = row[position * task.along[2]];
    number = plus(number, static_cast<T>(-1));
  }
}

// -- along an axis ------------------------------------------------------------------------------

template <typename T>
void take_along_axis(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  const Positions index = positions(task, frame, 1);
  T* y = operand<T>(task, frame, 2);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    for (int64_t j = 0; j < task.count; ++j) {
      const int64_t position = index[place.offset[1] + j * task.along[1]];
      if (!inside(position, task.size, frame)) return;
      y[place.offset[2] + j * task.along[2]] = x[place.offset[0] + position * task.along[0]];
    }
  }
}

template <typename T>
void add_along_axis(const IndexTask& task, const Frame& frame, Range rows) {
  const Positions index = positions(task, frame, 0);
  const T* values = operand<const T>(task, frame, 1);
  T* y = operand<T>(task, frame, 2);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    T* row = y + place.offset[2];
    for (int64_t j = 0; j < task.size; ++j) row[j * task.along[2]] = T{};
    for (int64_t j = 0; j < task.count; ++j) {
      const int64_t position = index[place.offset[0] + j * task.along[0]];
      if (!inside(position, task.size, frame)) return;
      T& number = row[position * task.along[2]];
      number = plus(number, values[place.offset[1] + j * task.along[1]]);
    }
  }
}

// The first largest (or smallest) number; the first NaN, where there is one. Without a branch:
// which of a row's numbers is best cannot be foretold.
template <bool largest, typename T>
void extreme(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  int64_t* y = operand<int64_t>(task, frame, 1);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    const T* row = x + place.offset[0];
    T best = row[0];
    int64_t found = 0;
    for (int64_t j = 1; j < task.size; ++j) {
      const T number = row[j * task.along[0]];
      const bool better = (largest ? number > best : number < best) |
                          ((number != number) & (best == best));
      best = better ? number : best;
      found = better ? j : found;
    }
    y[place.offset[1]] = found;
  }
}

template <typename T>
void cumsum(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  T* y = operand<T>(task, frame, 1);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    T sum{};
    for (int64_t j = 0; j < task.size; ++j) {
      const T number = x[place.offset[0] + j * task.along[0]];
      sum = j == 0 ? number : plus(sum, number);
      y[place.offset[1] + j * task.along[1]] = sum;
    }
  }
}

// -- order --------------------------------------------------------------------------------------

// A number as unsigned bits in the same order, so that there is one way to compare: -0 beside 0,
// every NaN behind all numbers in either direction.
inline uint64_t rank_of(float number, bool descending) {
  if (number != number) return ~uint64_t{0};
  const float turned = (descending ? -number : number) + 0.0f;
  uint32_t bits;
  std::memcpy(&bits, &turned, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

inline uint64_t rank_of(double number, bool descending) {
  if (number != number) return ~uint64_t{0};
  const double turned = (descending ? -number : number) + 0.0;
  uint64_t bits;
  std::memcpy(&bits, &turned, sizeof bits);
  return bits >> 63 ? ~bits : bits | (uint64_t{1} << 63);
}

inline uint64_t rank_of(int64_t number, bool descending) {
  const uint64_t bits = static_cast<uint64_t>(number) ^ (uint64_t{1} << 63);
  return descending ? ~bits : bits;
}

inline uint64_t rank_of(uint32_t number, bool descending) {
  return descending ? ~uint64_t{number} : number;
}

inline uint64_t rank_of(uint8_t number, bool descending) {
  return descending ? ~uint64_t{number} : number;
}

struct Ranked {
  uint64_t rank;
  int64_t position;
};

// By insertion in runs of 16, then by merging runs; equal ranks keep their order. Gives the sorted
// one of the two arrays.
inline Ranked* sort_ranks(Ranked* from, Ranked* to, int64_t count) {
  constexpr int64_t short_run = 16;
  for (int64_t begin = 0; begin < count; begin += short_run) {
    const int64_t end = begin + short_run < count ? begin + short_run : count;
    for (int64_t i = begin + 1; i < end; ++i) {
      const Ranked moved = from[i];
      int64_t j = i;
      for (; j > begin && moved.rank < from[j - 1].rank; --j) from[j] = from[j - 1];
      from[j] = moved;
    }
  }
  for (int64_t run = short_run; run < count; run *= 2) {
    for (int64_t begin = 0; begin < count; begin += 2 * run) {
      const int64_t middle = begin + run < count ? begin + run : count;
      const int64_t end = middle + run < count ? middle + run : count;
      int64_t left = begin, right = middle;
      for (int64_t k = begin; k < end; ++k) {
        const bool take_left =
            left < middle && (right == end || from[left].rank <= from[right].rank);
        to[k] = take_left ? from[left++] : from[right++];
      }
    }
    Ranked* swapped = from;
    from = to;
    to = swapped;
  }
  return from;
}

template <typename T>
void argsort(const IndexTask& task, const Frame& frame, Range rows) {
  const T* x = operand<const T>(task, frame, 0);
  int64_t* y = operand<int64_t>(task, frame, 1);
  Ranked* ranks = reinterpret_cast<Ranked*>(frame.scratch);
  Walk<3> place(task.outer, rows.begin);
  for (int64_t i = rows.begin; i < rows.end; ++i, place.next()) {
    for (int64_t j = 0; j < task.size; ++j) {
      ranks[j] = {rank_of(x[place.offset[0] + j * task.along[0]], task.descending), j};
    }
    const Ranked* sorted = sort_ranks(ranks, ranks + task.size, task.size);
    for (int64_t j = 0; j < task.size; ++j) {
      y[place.offset[1] + j * task.along[1]] = sorted[j].position;
    }
  }
}

inline void arange(const IndexTask& task, const Frame& frame, Range mine) {
  int64_t* y = operand<int64_t>(task, frame, 0);
  for (int64_t i = mine.begin; i < mine.end; ++i) y[i * task.along[0]] = i;
}

// -- which --------------------------------------------------------------------------------------

// What only moves: whatever has so many bytes.
template <typename T>
void move(const IndexTask& task, const Frame& frame, Range rows) {
  switch (task.kernel) {
    case Kernel::take: return take<T>(task, frame, rows);
    case Kernel::pick: return pick<T>(task, frame, rows);
    case Kernel::put_at: return put_at<T>(task, frame, rows);
    default: return take_along_axis<T>(task, frame, rows);
  }
}

template <typename T>
void add(const IndexTask& task, const Frame& frame, Range rows) {
  switch (task.kernel) {
    case Kernel::add_at: return add_at<T>(task, frame);
    case Kernel::subtract_one_at: return subtract_one_at<T>(task, frame, rows);
    case Kernel::cumsum: return cumsum<T>(task, frame, rows);
    default: return add_along_axis<T>(task, frame, rows);
  }
}

template <typename T>
void compare(const IndexTask& task, const Frame& frame, Range rows) {
  switch (task.kernel) {
    case Kernel::argmax: return extreme<true, T>(task, frame, rows);
    case Kernel::argmin: return extreme<false, T>(task, frame, rows);
    default: return argsort<T>(task, frame, rows);
  }
}

}  // namespace at_positions

inline void run_index(const IndexTask& task, const Frame& frame) {
  using namespace at_positions;
  const Range rows = share_rows(task.units, frame.part, frame.parts);
  switch (task.kernel) {
    case Kernel::arange: return arange(task, frame, rows);
    case Kernel::take:
    case Kernel::pick:
    case Kernel::put_at:
    case Kernel::take_along_axis:
      switch (size_of(task.dtype)) {
        case 8: return move<uint64_t>(task, frame, rows);
        case 4: return move<uint32_t>(task, frame, rows);
        default: return move<uint8_t>(task, frame, rows);
      }
    case Kernel::argmax:
    case Kernel::argmin:
    case Kernel::argsort:
      switch (task.dtype) {
        case DType::f32: return compare<float>(task, frame, rows);
        case DType::f64: return compare<double>(task, frame, rows);
        case DType::i64: return compare<int64_t>(task, frame, rows);
        case DType::u32: return compare<uint32_t>(task, frame, rows);
        default: return compare<uint8_t>(task, frame, rows);
      }
    default:
      switch (task.dtype) {
        case DType::f32: return add<float>(task, frame, rows);
        case DType::f64: return add<double>(task, frame, rows);
        default: return add<int64_t>(task, frame, rows);
      }
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
