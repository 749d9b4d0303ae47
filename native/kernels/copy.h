// Numbers from one place to another: in one go, row by row, or across, where rows become columns.
#pragma once

#include "kernels/stride.h"
#include "prepare/map.h"

namespace glassgrad::GG_ISA {
namespace {

// A square tile, turned over. `from` has rows of `from_step`, `to` of `to_step`.
inline void turn_tile(const Bytes4* from, int64_t from_step, Bytes4* to, int64_t to_step) {
  typedef uint32_t Row __attribute__((vector_size(32)));
  Row a[8], b[8];
  for (int i = 0; i < 8; ++i) std::memcpy(&a[i], from + i * from_step, sizeof(Row));
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    b[2 * i + 1] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int h = 0; h < 8; h += 4) {
    for (int i = 0; i < 2; ++i) {
      a[h + 2 * i] = __builtin_shufflevector(b[h + i], b[h + i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[h + 2 * i + 1] = __builtin_shufflevector(b[h + i], b[h + i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; ++i) {
    b[i] = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    b[i + 4] = __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; ++i) std::memcpy(to + i * to_step, &b[i], sizeof(Row));
}

inline void turn_tile(const Bytes8* from, int64_t from_step, Bytes8* to, int64_t to_step) {
  typedef uint64_t Row __attribute__((vector_size(32)));
  for (int j = 0; j < 8; j += 4) {
    for (int k = 0; k < 8; k += 4) {
      Row a[4], b[4];
      for (int i = 0; i < 4; ++i) std::memcpy(&a[i], from + (j + i) * from_step + k, sizeof(Row));
      for (int i = 0; i < 4; i += 2) {
        b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 4, 2, 6);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 5, 3, 7);
      }
      for (int i = 0; i < 2; ++i) {
        a[i] = __builtin_shufflevector(b[i], b[i + 2], 0, 1, 4, 5);
        a[i + 2] = __builtin_shufflevector(b[i], b[i + 2], 2, 3, 6, 7);
      }
      for (int i = 0; i < 4; ++i) std::memcpy(to + (k + i) * to_step + j, &a[i], sizeof(Row));
    }
  }
}

inline void turn_tile(const Bytes1* from, int64_t from_step, Bytes1* to, int64_t to_step) {
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) to[i * to_step + j] = from[j * from_step + i];
}

// to[i * to_step + j] = from[j * from_step + i] for i < rows and j < columns. Strips of rows as wide as
// a line of the cache, so that what is read is read whole.
template <class T>
[[gnu::noinline]] void turn(const T* from, int64_t from_step, T* to, int64_t to_step, int64_t rows, int64_t columns) {
  constexpr int64_t strip = 64 / static_cast<int64_t>(sizeof(T)) < 8 ? 8 : 64 / sizeof(T);
  for (int64_t top = 0; top < rows; top += strip) {
    const int64_t bottom = top + strip < rows ? top + strip : rows;
    int64_t j = 0;
    for (; j + 8 <= columns; j += 8) {
      int64_t i = top;
      for (; i + 8 <= bottom; i += 8)
        turn_tile(from + j * from_step + i, from_step, to + i * to_step + j, to_step);
      for (; i < bottom; ++i)
        for (int64_t k = j; k < j + 8; ++k) to[i * to_step + k] = from[k * from_step + i];
    }
    for (; j < columns; ++j)
      for (int64_t i = top; i < bottom; ++i) to[i * to_step + j] = from[j * from_step + i];
  }
}

template <class T>
void copy_as(const MapTask& t, const char* from_bytes, char* to_bytes, int64_t begin, int64_t end) {
  const Space& s = t.space;
  const Place& in = s.place[0];
  const Place& out = s.place[1];
  const T* from = reinterpret_cast<const T*>(from_bytes);
  T* to = reinterpret_cast<T*>(to_bytes);
  const int last = s.rank - 1;
  if (in.access == Access::flat && out.access == Access::flat) {
    if (from != to) std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin) * sizeof(T));
  } else if (t.across < 0) {
    const int64_t to_step = out.stride[last], from_step = in.stride[last];
    for_runs<2>(s, {out.stride, in.stride}, begin, end - begin,
                [&](const int64_t* offset, int64_t length) {
                  copy_run(to + offset[0], to_step, from + offset[1], from_step, length);
                });
  } else {
    // All axes but the two that change places are gone through one by one.
    Space outer = s;
    const int64_t first = begin / t.per_unit, rows = end / t.per_unit - first;
    from += first * in.stride[0];
    to += first * out.stride[0];
    outer.size[0] = rows;
    const int64_t high = outer.size[t.across], wide = outer.size[last];
    outer.size[t.across] = outer.size[last] = 1;
    int64_t count = 1;
    for (int k = 0; k < s.rank; ++k) count *= outer.size[k];
    for_runs<2>(outer, {out.stride, in.stride}, 0, count, [&](const int64_t* offset, int64_t) {
      turn(from + offset[1], in.stride[last], to + offset[0], out.stride[t.across], high, wide);
    });
  }
}

[[gnu::noinline]] inline void copy(const MapTask& t, const Frame& f, int64_t begin, int64_t end) {
  const char* from = f.slot[t.space.place[0].slot];
  char* to = f.slot[t.space.place[1].slot];
  const int size = t.space.place[0].size;
  if (size == 4) copy_as<Bytes4>(t, from, to, begin, end);
  else if (size == 8) copy_as<Bytes8>(t, from, to, begin, end);
  else copy_as<Bytes1>(t, from, to, begin, end);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
