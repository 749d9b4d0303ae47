// Copies of operands in the order in which a product reads them.
#pragma once

#include <cstring>

#include "core/types.h"

namespace glassgrad::GG_ISA {
namespace {

// 16 bytes of numbers, on every instruction set alike.
template <class T>
struct Quad {
  static constexpr int size = 16 / static_cast<int>(sizeof(T));
  typedef T Bits __attribute__((vector_size(16)));
  Bits v;

  static Quad load(const T* p) {
    Quad q;
    std::memcpy(&q.v, p, 16);
    return q;
  }
  void store(T* p) const { std::memcpy(p, &v, 16); }
};

// Rows become columns.
inline void turn(Quad<float>* q) {
  const auto a = __builtin_shufflevector(q[0].v, q[1].v, 0, 4, 1, 5);
  const auto b = __builtin_shufflevector(q[0].v, q[1].v, 2, 6, 3, 7);
  const auto c = __builtin_shufflevector(q[2].v, q[3].v, 0, 4, 1, 5);
  const auto d = __builtin_shufflevector(q[2].v, q[3].v, 2, 6, 3, 7);
  q[0].v = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  q[1].v = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  q[2].v = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  q[3].v = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

inline void turn(Quad<double>* q) {
  const auto a = __builtin_shufflevector(q[0].v, q[1].v, 0, 2);
  q[1].v = __builtin_shufflevector(q[0].v, q[1].v, 1, 3);
  q[0].v = a;
}

// to[p * width + r] = from[r * row + p * column] for r < rows <= width, p < k.
template <class T>
void pack(T* to, int64_t width, const T* from, int64_t rows, int64_t row, int64_t column, int64_t k) {
  using Q = Quad<T>;
  if (rows >= Q::size && row == 1) {
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t r = 0; r < rows - Q::size; r += Q::size) Q::load(from + r).store(to + r);
      Q::load(from + rows - Q::size).store(to + rows - Q::size);  // may go over some numbers twice
      from += column;
      to += width;
    }
    return;
  }
  int64_t p = 0;
  if (rows >= Q::size && column == 1) {
    for (; p + Q::size <= k; p += Q::size) {
      for (int64_t r = 0;; r += Q::size) {
        if (r > rows - Q::size) r = rows - Q::size;
        Q q[Q::size];
        for (int i = 0; i < Q::size; ++i) q[i] = Q::load(from + (r + i) * row + p);
        turn(q);
        for (int i = 0; i < Q::size; ++i) q[i].store(to + (p + i) * width + r);
        if (r == rows - Q::size) break;
      }
    }
  }
  for (; p < k; ++p)
    for (int64_t r = 0; r < rows; ++r) to[p * width + r] = from[r * row + p * column];
}

}  // namespace
}  // namespace glassgrad::GG_ISA
