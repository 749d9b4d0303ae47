// Sums in the order that every instruction set keeps: chunks of 1024 numbers; in a chunk 16 lanes
// (lane l takes numbers l, l + 16, ...), folded 8, 4, 2, 1; the chunks as a binary tree.
#pragma once

#include "core/types.h"
#include "kernels/vec.h"

// A function within one, which must not keep registers in memory.
#define GG_WITHIN __attribute__((always_inline))

namespace glassgrad::GG_ISA {
namespace {

constexpr int64_t sum_chunk = 1024;

// 16 numbers, in as few registers as hold them.
template <typename T>
struct Lanes {
  static constexpr int width = Vec<T>::width, registers = lanes / width;
  Vec<T> r[registers];

  static Lanes all(T number) {
    Lanes found;
    for (Vec<T>& v : found.r) v = Vec<T>::splat(number);
    return found;
  }
  static Lanes load(const T* from) {
    Lanes found;
    for (int k = 0; k < registers; ++k) found.r[k] = Vec<T>::load(from + k * width);
    return found;
  }
  // The first few; the others are `rest`.
  [[gnu::always_inline]] static Lanes load(const T* from, int64_t count, T rest = 0) {
    return count >= lanes ? load(from) : load_some(from, count, rest);
  }
  static Lanes load_some(const T* from, int64_t count, T rest) {
    Lanes found = all(rest);
    for (int k = 0; k < registers; ++k) {
      const int64_t left = count - k * width;
      if (left > 0) {
        found.r[k] = left >= width ? Vec<T>::load(from + k * width)
                                   : Vec<T>::load_first(from + k * width, left, rest);
      }
    }
    return found;
  }
  void store(T* to) const {
    for (int k = 0; k < registers; ++k) r[k].store(to + k * width);
  }
  [[gnu::always_inline]] void store(T* to, int64_t count) const {
    if (count >= lanes) return store(to);
    store_some(to, count);
  }
  void store_some(T* to, int64_t count) const {
    for (int k = 0; k < registers; ++k) {
      const int64_t left = count - k * width;
      if (left >= width) {
        r[k].store(to + k * width);
      } else if (left > 0) {
        r[k].store_first(to + k * width, left);
      }
    }
  }

  friend Lanes operator+(Lanes a, const Lanes& b) {
    for (int k = 0; k < registers; ++k) a.r[k] = a.r[k] + b.r[k];
    return a;
  }
  friend Lanes operator-(Lanes a, const Lanes& b) {
    for (int k = 0; k < registers; ++k) a.r[k] = a.r[k] - b.r[k];
    return a;
  }
  friend Lanes operator*(Lanes a, const Lanes& b) {
    for (int k = 0; k < registers; ++k) a.r[k] = a.r[k] * b.r[k];
    return a;
  }
  friend Lanes operator/(Lanes a, const Lanes& b) {
    for (int k = 0; k < registers; ++k) a.r[k] = a.r[k] / b.r[k];
    return a;
  }
};

// a * b + c, rounded once.
template <typename T>
Lanes<T> fused(Lanes<T> a, const Lanes<T>& b, const Lanes<T>& c) {
  for (int k = 0; k < Lanes<T>::registers; ++k) a.r[k] = fma(a.r[k], b.r[k], c.r[k]);
  return a;
}

template <typename T>
Lanes<T> roots(Lanes<T> a) {
  for (Vec<T>& v : a.r) v = sqrt(v);
  return a;
}

// Of two numbers the larger, b where one is NaN.
template <typename T>
Lanes<T> larger(Lanes<T> a, const Lanes<T>& b) {
  for (int k = 0; k < Lanes<T>::registers; ++k) a.r[k] = select(a.r[k] > b.r[k], a.r[k], b.r[k]);
  return a;
}

// Lane l and lane l + 8, then 4, 2 and 1. In one register what is above the half no longer counts.
template <typename T, typename Join>
[[gnu::always_inline]] inline T folded(Lanes<T> x, Join join) {
  using L = Lanes<T>;
  using Places = RawOf<WholeOf<T>>;
  for (int half = L::registers / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) x.r[k] = join(x.r[k], x.r[k + half]);
  }
  Vec<T> last = x.r[0];
  if constexpr (L::width > 8) {
    last = join(last, Vec<T>{__builtin_shuffle(last.v, Places{8, 9, 10, 11, 12, 13, 14, 15})});
  }
  if constexpr (L::width > 4) last = join(last, Vec<T>{__builtin_shuffle(last.v, Places{4, 5, 6, 7})});
  if constexpr (L::width > 2) last = join(last, Vec<T>{__builtin_shuffle(last.v, Places{2, 3})});
  if constexpr (L::width > 1) last = join(last, Vec<T>{__builtin_shuffle(last.v, Places{1})});
  return last[0];
}

template <typename T>
[[gnu::always_inline]] inline T fold(const Lanes<T>& sum) {
  return folded(sum, [](Vec<T> a, Vec<T> b) GG_WITHIN { return a + b; });
}

// Sums of chunks as they come, added as a tree: neighbours first, what is left over goes up.
template <typename Sum>
struct Tree {
  Sum level[48];
  int64_t count = 0;
  int used = 0;

  void add(Sum sum) {
    for (int64_t c = count++; c & 1; c >>= 1) sum = level[--used] + sum;
    level[used++] = sum;
  }
  Sum total() {  // of at least one
    Sum sum = level[--used];
    while (used > 0) sum = level[--used] + sum;
    return sum;
  }
};

// The sum of one chunk of what `add(sum, place, count)` takes of 16 numbers at a time.
template <typename T, typename Add>
[[gnu::always_inline]] inline T sum_of_chunk(int64_t begin, int64_t end, Add add) {
  Lanes<T> sum = Lanes<T>::all(0);
  int64_t at = begin;
  for (; at + lanes <= end; at += lanes) sum = add(sum, at, int64_t{lanes});
  if (at < end) {
    const Lanes<T> taken = add(sum, at, end - at);
    // Lanes that are not there keep what they had.
    for (int k = 0; k < Lanes<T>::registers; ++k) {
      const int64_t left = end - at - k * Lanes<T>::width;
      if (left > 0) sum.r[k] = select(Vec<T>::before(left), taken.r[k], sum.r[k]);
    }
  }
  return fold(sum);
}

template <typename T, typename Add>
T sum_of(int64_t count, Add add) {
  if (count <= sum_chunk) return sum_of_chunk<T>(0, count, add);
  Tree<T> tree;
  for (int64_t chunk = 0; chunk < count; chunk += sum_chunk) {
    tree.add(sum_of_chunk<T>(chunk, count - chunk < sum_chunk ? count : chunk + sum_chunk, add));
  }
  return tree.total();
}

}  // namespace
}  // namespace glassgrad::GG_ISA
