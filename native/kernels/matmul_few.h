// Products with few columns, or few outputs at all.
#pragma once

#include "kernels/matmul_pack.h"
#include "kernels/matmul_tile.h"

namespace glassgrad::GG_ISA {
namespace {

// Vec<T>::size rows of Quad<T>::size numbers each; out[i] gets the numbers i of all rows.
template <class T>
void load_turned(const T* from, int64_t row, Vec<T>* out) {
  constexpr int q = Quad<T>::size, parts = Vec<T>::size / q;
  alignas(64) T lanes_of[q][Vec<T>::size];
  for (int part = 0; part < parts; ++part) {
    Quad<T> x[q];
    for (int i = 0; i < q; ++i) x[i] = Quad<T>::load(from + (part * q + i) * row);
    turn(x);
    for (int i = 0; i < q; ++i) x[i].store(lanes_of[i] + part * q);
  }
  for (int i = 0; i < q; ++i) out[i] = Vec<T>::load(lanes_of[i]);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
template <>
inline void load_turned<float>(const float* from, int64_t row, Vec<float>* out) {
  __m256 r[4];
  for (int i = 0; i < 4; ++i)
    r[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * row)),
                                _mm_loadu_ps(from + (i + 4) * row), 1);
  const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
  const __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
  out[0].v = _mm256_shuffle_ps(a, c, 0x44);
  out[1].v = _mm256_shuffle_ps(a, c, 0xee);
  out[2].v = _mm256_shuffle_ps(b, d, 0x44);
  out[3].v = _mm256_shuffle_ps(b, d, 0xee);
}
template <>
inline void load_turned<double>(const double* from, int64_t row, Vec<double>* out) {
  __m256d r[2];
  for (int i = 0; i < 2; ++i)
    r[i] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from + i * row)),
                                _mm_loadu_pd(from + (i + 2) * row), 1);
  out[0].v = _mm256_unpacklo_pd(r[0], r[1]);
  out[1].v = _mm256_unpackhi_pd(r[0], r[1]);
}
#endif

// G vectors of rows by N columns; a has its numbers along k next to each other, at least Quad<T>::size.
template <class T, int N, int G>
void narrow_tile(const Strip<T>& s, int64_t b_column, int64_t row) {
  using W = Vec<T>;
  constexpr int q = Quad<T>::size;
  W sum[G][N];
  for (int g = 0; g < G; ++g)
    for (int j = 0; j < N; ++j) sum[g][j] = W::zero();
  const T* a = s.a + row * s.a_row;
  const int64_t group = W::size * s.a_row, b_row = s.b_row;
  // From the `from`th on, of q numbers in each row.
  const auto take = [&](int64_t p, int from) {
    for (int g = 0; g < G; ++g) {
      W x[q];
      load_turned(a + p + g * group, s.a_row, x);
      for (int i = from; i < q; ++i)
        for (int j = 0; j < N; ++j)
          sum[g][j] = fma(W::splat(s.b + (p + i) * b_row + j * b_column), x[i], sum[g][j]);
    }
  };
  int64_t p = 0;
  for (; p + q <= s.k; p += q) take(p, 0);
  if (p < s.k) take(s.k - q, static_cast<int>(p - (s.k - q)));
  for (int g = 0; g < G; ++g) {
    const int64_t first = row + g * W::size;
    T tile[N * W::size];
    for (int j = 0; j < N; ++j) {
      W& x = sum[g][j];
      if (s.bias)
        x = add(x, s.bias_row ? W::load(s.bias + first) : W::splat(s.bias + j * s.bias_column));
      if (s.relu) x = relu(x);
      if (s.c_row == 1) x.store(s.c + first + j * s.c_column);
      else x.store(tile + j * W::size);
    }
    if (s.c_row != 1)
      for (int i = 0; i < W::size; ++i)
        for (int j = 0; j < N; ++j) s.c[(first + i) * s.c_row + j * s.c_column] = tile[j * W::size + i];
  }
}

template <class T, int N>
void narrow_rows(const Strip<T>& s, int64_t rows, int64_t b_column) {
  constexpr int64_t width = Vec<T>::size;
  constexpr int G = N <= 2 ? 4 : N <= 4 ? 2 : 1;
  int64_t row = 0;
  for (; row + G * width <= rows; row += G * width) narrow_tile<T, N, G>(s, b_column, row);
  for (; row + width <= rows; row += width) narrow_tile<T, N, 1>(s, b_column, row);
  if (row < rows) narrow_tile<T, N, 1>(s, b_column, rows - width);  // some rows for the second time
}

constexpr int64_t narrowest = 12;

template <class T, int N = narrowest>
void run_narrow(const Strip<T>& s, int64_t rows, int64_t columns, int64_t b_column) {
  if (columns == N) narrow_rows<T, N>(s, rows, b_column);
  else if constexpr (N > 1) run_narrow<T, N - 1>(s, rows, columns, b_column);
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
    for (int l = 0; l < together; ++l) sum[l] = W::zero();
    int64_t p = from;
    for (; p + together <= k; p += lanes)
#pragma GCC unroll 8
      for (int l = 0; l < together; ++l)
        sum[l] = fma(W::splat(a + (p + l) * a_column), at.load(b + (p + l) * b_row, 0), sum[l]);
    for (int l = 0; l < together; ++l) lane[from + l] = sum[l];
    for (; p < k; ++p) {
      W& x = lane[p % lanes];
      x = fma(W::splat(a + p * a_column), at.load(b + p * b_row, 0), x);
    }
  }
  for (int apart = lanes / 2; apart > 0; apart /= 2)
    for (int l = 0; l < apart; ++l) lane[l] = add(lane[l], lane[l + apart]);
  lane[0].store(out);
}

// One output; both operands have their numbers along k next to each other.
template <class T>
T lanes_along(const T* a, const T* b, int64_t k) {
  using W = Vec<T>;
  constexpr int vectors = lanes / W::size;
  W sum[vectors];
  for (int v = 0; v < vectors; ++v) sum[v] = W::zero();
  int64_t p = 0;
  for (; p + lanes <= k; p += lanes)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v)
      sum[v] = fma(W::load(a + p + v * W::size), W::load(b + p + v * W::size), sum[v]);
  T lane[lanes];
  for (int v = 0; v < vectors; ++v) sum[v].store(lane + v * W::size);
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
  constexpr int64_t width = Vec<T>::size;
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
