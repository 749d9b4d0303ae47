// The innermost loop of a product: R rows by V vectors of columns, held in registers while k goes by.
#pragma once

#include "core/types.h"
#include "kernels/vec.h"

namespace glassgrad::GG_ISA {
namespace {

inline float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }

// As maximum(x, 0) of the elementwise kernels: NaN stays, and -0 becomes 0.
template <class T>
T relu(T x) {
  return x <= 0 ? T(0) : x;
}
template <class T>
Vec<T> relu(Vec<T> x) {
  const Vec<T> zero = Vec<T>::splat(0);
  return select(x <= zero, zero, x);
}

// A strip of columns, done tile by tile downwards. The operand b is read by vectors, a number by number,
// so that a may have any strides.
template <class T>
struct Strip {
  int64_t k;
  const T* a;
  int64_t a_row, a_column;
  int64_t a_tile;   // from the first row of a tile to that of the next
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row, c_column;
  int64_t columns;  // more than V - 1 vectors and at most V
  bool first;       // the sums begin here, at 0; else they go on from c
  bool last;        // the sums end here: bias and relu follow
  bool relu;
  const T* bias;    // nullptr: none
  int64_t bias_row, bias_column;
  const T* gate = nullptr;      // the sums count only where it is above 0; nullptr: everywhere
  int64_t gate_row = 0;
  const char* ahead = nullptr;  // what will be read after this strip: so many bytes of it are fetched
  int64_t ahead_tile = 0;       // with each tile
  bool a_ahead = false;         // rows of a, where they are rows in memory, are fetched a tile early
};

// c where its columns are not neighbours: number by number, through a tile in memory.
template <class T>
[[gnu::noinline]] void scatter_tile(const Strip<T>& s, const T* tile, int64_t tile_row, T* c,
                                    const T* bias, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < s.columns; ++j) {
      T x = tile[i * tile_row + j];
      if (bias) x += bias[i * s.bias_row + j * s.bias_column];
      if (s.last && s.relu) x = relu(x);
      c[i * s.c_row + j * s.c_column] = x;
    }
}

template <class T>
[[gnu::noinline]] void gather_tile(const Strip<T>& s, T* tile, int64_t tile_row, const T* c,
                                   int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < s.columns; ++j) tile[i * tile_row + j] = c[i * s.c_row + j * s.c_column];
}

template <class T, int V, bool tail>
struct Columns {  // V vectors next to each other; the last may be part of one
  using W = Vec<T>;
  int64_t rest;   // numbers in the last

  W load(const T* p, int v) const {
    return tail && v == V - 1 ? W::load_first(p + v * W::width, rest) : W::load(p + v * W::width);
  }
  void store(W x, T* p, int v) const {
    if (tail && v == V - 1) x.store_first(p + v * W::width, rest);
    else x.store(p + v * W::width);
  }
};

template <class T, int R, int V, bool tail>
void sweep_strip(const Strip<T>& s, int64_t tiles) {
  using W = Vec<T>;
  const Columns<T, V, tail> at{s.columns - (V - 1) * W::width};
  const int64_t k = s.k, a_row = s.a_row, a_column = s.a_column, b_row = s.b_row, c_row = s.c_row;
  const T* bias = s.last ? s.bias : nullptr;
  const bool rows_of_c = s.c_column == 1 && (!bias || s.bias_column == 1);
  for (int64_t t = 0; t < tiles; ++t) {
    T* c = s.c + t * R * c_row;
    W sum[R][V];
    if (s.first) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = W::splat(0);
    } else if (rows_of_c) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = at.load(c + r * c_row, v);
    } else {
      T tile[R * V * W::width];
      gather_tile(s, tile, V * W::width, c, R);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = W::load(tile + (r * V + v) * W::width);
    }
    if (s.a_ahead)
      for (int r = 0; r < R; ++r)
        for (int64_t p = 0; p < k; p += 64 / static_cast<int64_t>(sizeof(T)))
          __builtin_prefetch(s.a + (t + 1) * s.a_tile + r * a_row + p, 0, 3);
    for (int64_t i = 0; i < s.ahead_tile; i += 64)
      __builtin_prefetch(s.ahead + t * s.ahead_tile + i, 0, 2);
    if (!s.first)
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < V * W::width * static_cast<int>(sizeof(T)); v += 64)
          __builtin_prefetch(reinterpret_cast<const char*>(c + (R + r) * c_row) + v, 1, 3);
    const T* a = s.a + t * s.a_tile;
    const T* b = s.b;
    for (int64_t p = 0; p < k; ++p) {
      W x[V];
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) x[v] = at.load(b, v);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const W y = W::splat(a[r * a_row]);
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = fma(y, x[v], sum[r][v]);
      }
      a += a_column;
      b += b_row;
    }
    if (!rows_of_c) {
      T tile[R * V * W::width];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v].store(tile + (r * V + v) * W::width);
      scatter_tile(s, tile, V * W::width, c, bias ? bias + t * R * s.bias_row : nullptr, R);
      continue;
    }
    if (bias) {
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) {
        const W x = at.load(bias, v);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][v] = sum[r][v] + x;
      }
    }
    if (s.last && s.relu) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = relu(sum[r][v]);
    }
    if (s.last && s.gate) {
      const T* gate = s.gate + t * R * s.gate_row;
      const W zero = W::splat(0), one = W::splat(1);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v)
          sum[r][v] = sum[r][v] * select(at.load(gate + r * s.gate_row, v) > zero, one, zero);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) at.store(sum[r][v], c + r * c_row, v);
  }
}

// So many registers hold sums; the rest hold what is read. `broad` vectors are as many as the rows of a
// tile need to keep both units busy.
constexpr int sums = register_bytes == 64 ? 28 : register_bytes == 16 ? 24 : 12;
constexpr int broad = register_bytes == 16 ? 4 : 2;
constexpr int widest = register_bytes == 32 ? 13 : 8;

// The most vectors a tile of so many rows has, and the most rows of one of so many vectors.
constexpr int vectors_of(int64_t rows) { return rows == 1 ? widest : rows <= 3 ? 4 : broad; }
constexpr int rows_of(int vectors) {
  const int fit = sums / vectors < 14 ? sums / vectors : 14;
  return vectors <= broad ? fit : vectors <= 4 ? 3 : 1;
}

// One function for each size of a tile, by vectors, whether the last is part of one, and rows.
constexpr int highest = 14;
template <class T>
struct Sweeps {
  using Sweep = void (*)(const Strip<T>&, int64_t tiles);
  Sweep of[widest + 1][2][highest + 1] = {};

  template <int V, int R>
  constexpr void add() {
    of[V][0][R] = sweep_strip<T, R, V, false>;
    of[V][1][R] = sweep_strip<T, R, V, true>;
    if constexpr (R > 1) add<V, R - 1>();
    else if constexpr (V > 1) add<V - 1, rows_of(V - 1)>();
  }
  constexpr Sweeps() { add<widest, rows_of(widest)>(); }
};
template <class T>
constexpr Sweeps<T> sweeps;

}  // namespace
}  // namespace glassgrad::GG_ISA
