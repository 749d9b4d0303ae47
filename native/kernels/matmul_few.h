// Products with few columns, or few outputs at all.
#pragma once

#include "kernels/matmul_pack.h"
#include "kernels/matmul_tile.h"

namespace glassgrad::GG_ISA {
namespace {

// Two rows of 16 bytes side by side, and the turning of both halves at once.
template <class T>
[[gnu::always_inline]] inline RawOf<T> join(const T* low, const T* high) {
#if defined(__AVX2__)
  if constexpr (register_bytes == 32) {
    const auto both = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(high),
                                          reinterpret_cast<const __m128i*>(low));
    return (RawOf<T>)both;
  }
#endif
  RawOf<T> both;
  std::memcpy(&both, low, 16);
  std::memcpy(reinterpret_cast<char*>(&both) + 16, high, 16);
  return both;
}

template <class X>
[[gnu::always_inline]] inline void turn_halves(X* x) {
  if constexpr (sizeof(x[0][0]) == 4) {
    const auto a = __builtin_shufflevector(x[0], x[1], 0, 8, 1, 9, 4, 12, 5, 13);
    const auto b = __builtin_shufflevector(x[0], x[1], 2, 10, 3, 11, 6, 14, 7, 15);
    const auto c = __builtin_shufflevector(x[2], x[3], 0, 8, 1, 9, 4, 12, 5, 13);
    const auto d = __builtin_shufflevector(x[2], x[3], 2, 10, 3, 11, 6, 14, 7, 15);
    x[0] = __builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
    x[1] = __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
    x[2] = __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
    x[3] = __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
  } else {
    const auto a = __builtin_shufflevector(x[0], x[1], 0, 4, 2, 6);
    x[1] = __builtin_shufflevector(x[0], x[1], 1, 5, 3, 7);
    x[0] = a;
  }
}

// Vec<T>::width rows of Quad<T>::size numbers each; out[i] gets the numbers i of all rows.
template <class T>
[[gnu::always_inline]] inline void load_turned(const T* from, int64_t row, Vec<T>* out) {
  constexpr int q = Quad<T>::size, parts = Vec<T>::width / q;
  if constexpr (parts == 1) {
    Quad<T> x[q];
    for (int i = 0; i < q; ++i) x[i] = Quad<T>::load(from + i * row);
    turn(x);
    for (int i = 0; i < q; ++i) std::memcpy(&out[i].v, &x[i].v, 16);
  } else if constexpr (parts == 2) {
    // Rows i and i + q are halves of one register; then each half is turned.
    RawOf<T> x[q];
#pragma GCC unroll 4
    for (int i = 0; i < q; ++i) x[i] = join(from + i * row, from + (i + q) * row);
    turn_halves(x);
#pragma GCC unroll 4
    for (int i = 0; i < q; ++i) out[i].v = x[i];
  } else {
    alignas(64) T turned[q][Vec<T>::width];
    for (int part = 0; part < parts; ++part) {
      Quad<T> x[q];
      for (int i = 0; i < q; ++i) x[i] = Quad<T>::load(from + (part * q + i) * row);
      turn(x);
      for (int i = 0; i < q; ++i) x[i].store(turned[i] + part * q);
    }
    for (int i = 0; i < q; ++i) out[i] = Vec<T>::load(turned[i]);
  }
}

// G vectors of rows by N columns, of which the numbers of k from `from` to Quad<T>::size are added.
template <class T, int N, int G>
[[gnu::always_inline]] inline void narrow_step(const T* a, int64_t a_row, const T* b, int from,
                                               Vec<T> (&sum)[G][N]) {
  constexpr int q = Quad<T>::size;
  Vec<T> x[G][q];
#pragma GCC unroll 16
  for (int g = 0; g < G; ++g) load_turned(a + g * Vec<T>::width * a_row, a_row, x[g]);
#pragma GCC unroll 16
  for (int i = 0; i < q; ++i) {
    if (i < from) continue;
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      const Vec<T> y = Vec<T>::splat(b[i * N + j]);
#pragma GCC unroll 16
      for (int g = 0; g < G; ++g) sum[g][j] = fma(y, x[g][i], sum[g][j]);
    }
  }
}

// a has its numbers along k next to each other, at least Quad<T>::size of them; b is dense.
template <class T, int N, int G>
void narrow_tile(const Strip<T>& s, int64_t row) {
  using W = Vec<T>;
  constexpr int q = Quad<T>::size;
  W sum[G][N];
#pragma GCC unroll 16
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) sum[g][j] = W::splat(0);
  const T* a = s.a + row * s.a_row;
  const int64_t a_row = s.a_row;
  int64_t p = 0;
  for (; p + q <= s.k; p += q) narrow_step(a + p, a_row, s.b + p * N, 0, sum);
  if (p < s.k) {  // the last q numbers, of which only some are new
    const int64_t at = s.k - q;
    narrow_step(a + at, a_row, s.b + at * N, static_cast<int>(p - at), sum);
  }
#pragma GCC unroll 16
  for (int g = 0; g < G; ++g) {
    const int64_t first = row + g * W::width;
    T tile[N * W::width];
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      W& x = sum[g][j];
      if (s.bias) x = x + (s.bias_row ? W::load(s.bias + first) : W::splat(s.bias[j * s.bias_column]));
      if (s.relu) x = relu(x);
      x.store(s.c_row == 1 ? s.c + first + j * s.c_column : tile + j * W::width);
    }
    if (s.c_row == 1) continue;
    for (int i = 0; i < W::width; ++i)
      for (int j = 0; j < N; ++j) s.c[(first + i) * s.c_row + j * s.c_column] = tile[j * W::width + i];
  }
}

template <class T, int N>
void narrow_rows(const Strip<T>& s, int64_t rows) {
  constexpr int64_t width = Vec<T>::width;
  constexpr int G = N <= 4 ? 2 : 1;
  int64_t row = 0;
  for (; row + G * width <= rows; row += G * width) narrow_tile<T, N, G>(s, row);
  for (; row + width <= rows; row += width) narrow_tile<T, N, 1>(s, row);
  if (row < rows) narrow_tile<T, N, 1>(s, rows - width);  // some rows for the second time
}

template <class T, int N = 32 / sizeof(T) - 1>  // fewer than a vector of 32 bytes
void run_narrow(const Strip<T>& s, int64_t rows, int64_t columns) {
  if (columns == N) narrow_rows<T, N>(s, rows);
  else if constexpr (N > 1) run_narrow<T, N - 1>(s, rows, columns);
}

// Number by number, whatever the strides.
template <class T>
void run_anyhow(const Strip<T>& s, int64_t rows, int64_t columns, int64_t b_column) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      T x = 0;
      for (int64_t p = 0; p < s.k; ++p)
        x = multiply_add(s.a[i * s.a_row + p * s.a_column], s.b[p * s.b_row + j * b_column], x);
      if (s.bias) x += s.bias[i * s.bias_row + j * s.bias_column];
      s.c[i * s.c_row + j * s.c_column] = s.relu ? relu(x) : x;
    }
}

// Lane l takes k = l, l + 16, ...; then lanes 8, 4, 2, 1 apart are added.
template <class X>
void fold(X* lane) {
  for (int apart = lanes / 2; apart > 0; apart /= 2)
    for (int l = 0; l < apart; ++l) lane[l] = lane[l] + lane[l + apart];
}

// A row by as many columns as a vector has, which are next to each other in b.
template <class T, bool tail>
void lanes_across(const T* a, int64_t a_column, const T* b, int64_t b_row, int64_t k, int64_t rest,
                  T* out) {
  using W = Vec<T>;
  constexpr int together = 8;
  const Columns<T, 1, tail> at{rest};
  W lane[lanes];
  for (int from = 0; from < lanes; from += together) {
    W sum[together];
    for (int l = 0; l < together; ++l) sum[l] = W::splat(0);
    int64_t p = from;
    for (; p + together <= k; p += lanes)
#pragma GCC unroll 8
      for (int l = 0; l < together; ++l)
        sum[l] = fma(W::splat(a[(p + l) * a_column]), at.load(b + (p + l) * b_row, 0), sum[l]);
    for (int l = 0; l < together; ++l) lane[from + l] = sum[l];
    for (; p < k; ++p) {
      W& x = lane[p % lanes];
      x = fma(W::splat(a[p * a_column]), at.load(b + p * b_row, 0), x);
    }
  }
  fold(lane);
  lane[0].store(out);
}

// One output; both operands have their numbers along k next to each other.
template <class T>
T lanes_along(const T* a, const T* b, int64_t k) {
  using W = Vec<T>;
  constexpr int vectors = lanes / W::width;
  W sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = W::splat(0);
  int64_t p = 0;
  for (; p + lanes <= k; p += lanes)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v)
      sum[v] = fma(W::load(a + p + v * W::width), W::load(b + p + v * W::width), sum[v]);
  T lane[lanes];
  for (int v = 0; v < vectors; ++v) sum[v].store(lane + v * W::width);
  for (int l = 0; p < k; ++p, ++l) lane[l] = multiply_add(a[p], b[p], lane[l]);
  fold(lane);
  return lane[0];
}

template <class T>
T lanes_anyhow(const T* a, int64_t a_column, const T* b, int64_t b_row, int64_t k) {
  T lane[lanes] = {};
  for (int64_t p = 0; p < k; ++p)
    lane[p % lanes] = multiply_add(a[p * a_column], b[p * b_row], lane[p % lanes]);
  fold(lane);
  return lane[0];
}

template <class T>
void run_lanes(Strip<T> s, int64_t rows, int64_t columns, int64_t b_column) {
  constexpr int64_t width = Vec<T>::width;
  const bool across = b_column == 1 && columns > 1;
  const bool along = s.a_column == 1 && s.b_row == 1;
  const T* bias = s.bias;
  for (int64_t i = 0; i < rows; ++i) {
    const T* a = s.a + i * s.a_row;
    for (int64_t j = 0; j < columns; j += s.columns) {
      const T* b = s.b + j * b_column;
      T out[width];
      s.columns = across ? (columns - j < width ? columns - j : width) : 1;
      if (!across)
        out[0] = along ? lanes_along(a, b, s.k) : lanes_anyhow(a, s.a_column, b, s.b_row, s.k);
      else if (s.columns == width) lanes_across<T, false>(a, s.a_column, b, s.b_row, s.k, width, out);
      else lanes_across<T, true>(a, s.a_column, b, s.b_row, s.k, s.columns, out);
      scatter_tile(s, out, width, s.c + i * s.c_row + j * s.c_column,
                   bias ? bias + i * s.bias_row + j * s.bias_column : nullptr, 1);
    }
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
