// Moving rows of numbers between an operand that lies in any way and a block where they lie together.
#pragma once

#include <cstdint>
#include <cstring>

namespace glassgrad::GG_ISA {
namespace {

// How rows of numbers lie: steps in elements.
struct Lie {
  int64_t row, step;
  int64_t rows, length;

  bool together() const { return (step == 1 || length == 1) && (row == length || rows == 1); }
};

// For each number, its place in the operand and in the block; along what is longer, row or column.
template <class Move>
[[gnu::always_inline]] inline void each_moved(const Lie& lie, Move move) {
  if (lie.length >= lie.rows) {
    for (int64_t i = 0; i < lie.rows; ++i) {
      for (int64_t j = 0; j < lie.length; ++j) move(i * lie.row + j * lie.step, i * lie.length + j);
    }
  } else {
    for (int64_t j = 0; j < lie.length; ++j) {
      for (int64_t i = 0; i < lie.rows; ++i) move(i * lie.row + j * lie.step, i * lie.length + j);
    }
  }
}

template <class T>
void move_in(const T* from, T* to, const Lie& lie) {
  if (lie.step != 1 || lie.length < 8) {
    each_moved(lie, [&](int64_t there, int64_t here) { to[here] = from[there]; });
    return;
  }
  for (int64_t i = 0; i < lie.rows; ++i) {
    std::memcpy(to + i * lie.length, from + i * lie.row, static_cast<size_t>(lie.length) * sizeof(T));
  }
}

template <class T>
void move_out(const T* from, T* to, const Lie& lie) {
  if (lie.step != 1 || lie.length < 8) {
    each_moved(lie, [&](int64_t there, int64_t here) { to[there] = from[here]; });
    return;
  }
  for (int64_t i = 0; i < lie.rows; ++i) {
    std::memcpy(to + i * lie.row, from + i * lie.length, static_cast<size_t>(lie.length) * sizeof(T));
  }
}

// Pairs of neighbours, which lie 2 apart, into two blocks: the first of each, and the second.
template <class T>
void part_pairs(const T* from, T* first, T* second, const Lie& lie) {
  constexpr int64_t n = 16 / sizeof(T);
  typedef T Half __attribute__((vector_size(16)));
  for (int64_t i = 0; i < lie.rows; ++i, from += lie.row, first += lie.length, second += lie.length) {
    int64_t j = 0;
    for (; j + n <= lie.length; j += n) {
      Half a, b, even, odd;
      std::memcpy(&a, from + 2 * j, 16);
      std::memcpy(&b, from + 2 * j + n, 16);
      if constexpr (n == 4) {
        even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
        odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
      } else {
        even = __builtin_shufflevector(a, b, 0, 2);
        odd = __builtin_shufflevector(a, b, 1, 3);
      }
      std::memcpy(first + j, &even, 16);
      std::memcpy(second + j, &odd, 16);
    }
    for (; j < lie.length; ++j) {
      first[j] = from[2 * j];
      second[j] = from[2 * j + 1];
    }
  }
}

template <class T>
void join_pairs(const T* first, const T* second, T* to, const Lie& lie) {
  constexpr int64_t n = 16 / sizeof(T);
  typedef T Half __attribute__((vector_size(16)));
  for (int64_t i = 0; i < lie.rows; ++i, to += lie.row, first += lie.length, second += lie.length) {
    int64_t j = 0;
    for (; j + n <= lie.length; j += n) {
      Half even, odd, a, b;
      std::memcpy(&even, first + j, 16);
      std::memcpy(&odd, second + j, 16);
      if constexpr (n == 4) {
        a = __builtin_shufflevector(even, odd, 0, 4, 1, 5);
        b = __builtin_shufflevector(even, odd, 2, 6, 3, 7);
      } else {
        a = __builtin_shufflevector(even, odd, 0, 2);
        b = __builtin_shufflevector(even, odd, 1, 3);
      }
      std::memcpy(to + 2 * j, &a, 16);
      std::memcpy(to + 2 * j + n, &b, 16);
    }
    for (; j < lie.length; ++j) {
      to[2 * j] = first[j];
      to[2 * j + 1] = second[j];
    }
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
