// Sums in the order that every instruction set keeps: chunks of 1024 numbers; in a chunk 16 lanes
// (lane l takes numbers l, l + 16, ...), folded 8, 4, 2, 1; the chunks as a binary tree.
#pragma once

#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "core/types.h"

namespace glassgrad::GG_ISA {
namespace {

constexpr int64_t sum_chunk = 1024;

// A whole number as wide as a real one, which says where a lane comes from.
template <size_t size>
struct WholeOf {
  using type = int32_t;
};
template <>
struct WholeOf<8> {
  using type = int64_t;
};
template <size_t size>
using Whole = typename WholeOf<size>::type;

// 16 numbers, in as few registers as hold them.
template <typename T>
struct Lanes {
#if defined(__AVX512F__)
  static constexpr int bytes = 64;
#elif defined(__AVX2__)
  static constexpr int bytes = 32;
#else
  static constexpr int bytes = 16;
#endif
  typedef T Register __attribute__((vector_size(bytes)));
  typedef Whole<sizeof(T)> Place;
  typedef Place Places __attribute__((vector_size(bytes)));
  static constexpr int width = bytes / static_cast<int>(sizeof(T)), registers = lanes / width;
  Register r[registers];

  static Lanes all(T number) {
    Lanes found;
    for (int k = 0; k < registers; ++k) found.r[k] = Register{} + number;
    return found;
  }
  static Lanes load(const T* from) {
    Lanes found;
    for (int k = 0; k < registers; ++k) std::memcpy(&found.r[k], from + k * width, bytes);
    return found;
  }
  // The first few; the others are `rest`.
  static Lanes load(const T* from, int64_t count, T rest = 0) {
    if (count >= lanes) return load(from);
    T some[lanes];
    for (int l = 0; l < lanes; ++l) some[l] = rest;
    for (int64_t l = 0; l < count; ++l) some[l] = from[l];
    return load(some);
  }
  void store(T* to) const {
    for (int k = 0; k < registers; ++k) std::memcpy(to + k * width, &r[k], bytes);
  }
  void store(T* to, int64_t count) const {
    if (count >= lanes) return store(to);
    T some[lanes];
    store(some);
    for (int64_t l = 0; l < count; ++l) to[l] = some[l];
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

inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

// a * b + c, rounded once.
template <typename T>
Lanes<T> fused(Lanes<T> a, const Lanes<T>& b, const Lanes<T>& c) {
  using L = Lanes<T>;
  using R [[maybe_unused]] = typename L::Register;
  for (int k = 0; k < L::registers; ++k) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      a.r[k] = R(_mm512_fmadd_ps(__m512(a.r[k]), __m512(b.r[k]), __m512(c.r[k])));
    } else {
      a.r[k] = R(_mm512_fmadd_pd(__m512d(a.r[k]), __m512d(b.r[k]), __m512d(c.r[k])));
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
      a.r[k] = R(_mm256_fmadd_ps(__m256(a.r[k]), __m256(b.r[k]), __m256(c.r[k])));
    } else {
      a.r[k] = R(_mm256_fmadd_pd(__m256d(a.r[k]), __m256d(b.r[k]), __m256d(c.r[k])));
    }
#elif defined(__ARM_NEON)
    if constexpr (sizeof(T) == 4) {
      a.r[k] = R(vfmaq_f32(float32x4_t(c.r[k]), float32x4_t(a.r[k]), float32x4_t(b.r[k])));
    } else {
      a.r[k] = R(vfmaq_f64(float64x2_t(c.r[k]), float64x2_t(a.r[k]), float64x2_t(b.r[k])));
    }
#else
    for (int l = 0; l < L::width; ++l) a.r[k][l] = fused(T(a.r[k][l]), T(b.r[k][l]), T(c.r[k][l]));
#endif
  }
  return a;
}

// Where either is NaN, b.
template <typename T>
Lanes<T> larger(Lanes<T> a, const Lanes<T>& b) {
  for (int k = 0; k < Lanes<T>::registers; ++k) a.r[k] = a.r[k] > b.r[k] ? a.r[k] : b.r[k];
  return a;
}

// Lane l and lane l + 8, then 4, 2 and 1. In one register what is above the half no longer counts.
template <typename T>
T fold(const Lanes<T>& sum) {
  using L = Lanes<T>;
  using Places = typename L::Places;
  L folded = sum;
  for (int half = L::registers / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) folded.r[k] = folded.r[k] + folded.r[k + half];
  }
  typename L::Register last = folded.r[0];
  if constexpr (L::width > 8) {
    last = last + __builtin_shuffle(last, Places{8, 9, 10, 11, 12, 13, 14, 15});
  }
  if constexpr (L::width > 4) last = last + __builtin_shuffle(last, Places{4, 5, 6, 7});
  if constexpr (L::width > 2) last = last + __builtin_shuffle(last, Places{2, 3});
  return last[0] + last[1];
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

// The sum of what `add(sum, from, count)` takes of 16 numbers at a time.
template <typename T, typename Add>
T sum_of(int64_t count, Add add) {
  Tree<T> tree;
  for (int64_t chunk = 0; chunk < count; chunk += sum_chunk) {
    const int64_t end = count - chunk < sum_chunk ? count : chunk + sum_chunk;
    Lanes<T> sum = Lanes<T>::all(0);
    int64_t at = chunk;
    for (; at + lanes <= end; at += lanes) sum = add(sum, at, lanes);
    if (at < end) {
      // Lanes that are not there keep what they had.
      T kept[lanes], taken[lanes];
      sum.store(kept);
      add(sum, at, end - at).store(taken);
      for (int64_t l = 0; l < end - at; ++l) kept[l] = taken[l];
      sum = Lanes<T>::load(kept);
    }
    tree.add(fold(sum));
  }
  return count > 0 ? tree.total() : T(0);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
