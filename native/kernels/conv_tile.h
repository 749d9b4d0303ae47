// The innermost loops of convolutions: tiles of sums in registers while the window and the channels go by.
#pragma once

#include "core/types.h"
#include "kernels/lanes.h"
#include "kernels/matmul_tile.h"
#include "kernels/vec.h"

namespace glassgrad::GG_ISA {
namespace {

// Of a sum's two factors one is gathered: `along` says where its numbers of a step lie.
enum class Gather {
  b,       // vectors
  a,       // numbers, each times a vector
  vectors  // a again, but vectors, lane by lane
};

// Tiles of R rows by V vectors. Each step of the sum multiplies a number of each row, from a, with
// vectors from b.
template <class T>
struct ConvTiles {
  int64_t k;
  const int32_t* along;
  const T* a;
  int64_t a_row, a_tile;    // from row to row, and from a tile to the next
  const T* b;
  int64_t b_row, b_tile;    // b_row: where b is not gathered, from step to step
  T* c;
  int64_t c_row, c_column, c_tile;
  int64_t columns;          // more than V - 1 vectors and at most V
  bool first;               // the sums begin here, at 0; else they go on from c
  bool relu;
  const T* bias;            // nullptr: none
  int64_t bias_row, bias_column, bias_tile;  // one of the first two is 0
  const T* gate;            // the sums count only where it is above 0; nullptr: everywhere
  int64_t gate_row, gate_column, gate_tile;
};

// Where the columns of a result are not neighbours: number by number, through a tile in memory.
template <class T>
[[gnu::noinline]] void scatter_windows(const ConvTiles<T>& s, const T* tile, int64_t tile_row, int64_t at,
                                       int64_t rows) {
  T* c = s.c + at * s.c_tile;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < s.columns; ++j) {
      T x = tile[i * tile_row + j];
      if (s.bias) x += s.bias[at * s.bias_tile + i * s.bias_row + j * s.bias_column];
      if (s.relu) x = relu(x);
      if (s.gate) x *= s.gate[at * s.gate_tile + i * s.gate_row + j * s.gate_column] > 0 ? T(1) : T(0);
      c[i * s.c_row + j * s.c_column] = x;
    }
}

template <class T, int R, int V, bool tail, Gather gather>
void sweep_windows(const ConvTiles<T>& s, int64_t tiles) {
  using W = Vec<T>;
  const Columns<T, V, tail> at{s.columns - (V - 1) * W::width};
  const int64_t k = s.k, a_row = s.a_row, b_row = s.b_row, c_row = s.c_row;
  const int32_t* along = s.along;
  const bool vectors = s.c_column == 1 && (!s.gate || s.gate_column == 1);
  for (int64_t t = 0; t < tiles; ++t) {
    const T *a = s.a + t * s.a_tile, *b = s.b + t * s.b_tile;
    T* c = s.c + t * s.c_tile;
    W sum[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] = s.first ? W::splat(0) : at.load(c + r * c_row, v);
    for (int64_t p = 0; p < k; ++p) {
      const T* y = gather == Gather::b ? a + p : a + along[p];
      const T* from = gather == Gather::b ? b + along[p] : b + p * b_row;
      W x[V];
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) x[v] = at.load(from, v);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        if constexpr (gather == Gather::vectors) {
#pragma GCC unroll 16
          for (int v = 0; v < V; ++v) sum[r][v] = fma(at.load(y + r * a_row, v), x[v], sum[r][v]);
        } else {
          const W z = W::splat(y[r * a_row]);
#pragma GCC unroll 16
          for (int v = 0; v < V; ++v) sum[r][v] = fma(z, x[v], sum[r][v]);
        }
      }
    }
    if (!vectors) {
      T tile[R * V * W::width];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v].store(tile + (r * V + v) * W::width);
      scatter_windows(s, tile, V * W::width, t, R);
      continue;
    }
    if (s.bias) {
      const T* bias = s.bias + t * s.bias_tile;
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v)
          sum[r][v] = sum[r][v] + (s.bias_column ? at.load(bias, v) : W::splat(bias[r * s.bias_row]));
    }
    if (s.relu) {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = relu(sum[r][v]);
    }
    if (s.gate) {
      const T* gate = s.gate + t * s.gate_tile;
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

// One function for each size of a tile.
constexpr int widest_window = 4;
template <class T, Gather gather>
struct WindowSweeps {
  using Sweep = void (*)(const ConvTiles<T>&, int64_t tiles);
  Sweep of[widest_window + 1][2][highest + 1] = {};

  template <int V, int R>
  constexpr void add() {
    of[V][0][R] = sweep_windows<T, R, V, false, gather>;
    of[V][1][R] = sweep_windows<T, R, V, true, gather>;
    if constexpr (R > 1) add<V, R - 1>();
    else if constexpr (V > 1) add<V - 1, rows_of(V - 1)>();
  }
  constexpr WindowSweeps() { add<widest_window, rows_of(widest_window)>(); }
};
template <class T, Gather gather>
constexpr WindowSweeps<T, gather> window_sweeps;

// The same where there is one channel of the result and vectors go along its rows: rows of a tile are rows
// of the result, which share their weights.
template <class T>
struct RowTiles {
  int64_t rows, columns;    // at least those of a tile, and at least a vector
  int64_t k;
  const int32_t* along;
  const T* w;
  const T* x;
  int64_t x_row;
  T* c;
  int64_t c_row;
  bool relu;
  const T* bias;            // of the channel; nullptr: none
  const T* gate;
  int64_t gate_row;
};

// The last vector of a row and the last tile may go over some numbers twice.
template <class T, int R, int V>
void sweep_rows(const RowTiles<T>& s) {
  using W = Vec<T>;
  const int64_t last = s.columns - W::width, k = s.k;
  const auto at = [&](int v) { return v == V - 1 ? last : v * W::width; };
  for (int64_t row = 0;; row += R) {
    if (row > s.rows - R) row = s.rows - R;
    const T* x[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) x[r] = s.x + (row + r) * s.x_row;
    W sum[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] = W::splat(0);
    for (int64_t p = 0; p < k; ++p) {
      const int64_t along = s.along[p];
      const W w = W::splat(s.w[p]);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) sum[r][v] = fma(w, W::load(x[r] + along + at(v)), sum[r][v]);
    }
    const W bias = s.bias ? W::splat(*s.bias) : W::splat(0), zero = W::splat(0), one = W::splat(1);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) {
        W y = sum[r][v];
        if (s.bias) y = y + bias;
        if (s.relu) y = relu(y);
        if (s.gate) y = y * select(W::load(s.gate + (row + r) * s.gate_row + at(v)) > zero, one, zero);
        y.store(s.c + (row + r) * s.c_row + at(v));
      }
    if (row == s.rows - R) return;
  }
}

constexpr int rows_together(int vectors) { return vectors <= 2 ? 4 : 3; }
template <class T>
struct RowSweeps {
  using Sweep = void (*)(const RowTiles<T>&);
  Sweep of[widest_window + 1] = {};

  template <int V>
  constexpr void add() {
    of[V] = sweep_rows<T, rows_together(V), V>;
    if constexpr (V > 1) add<V - 1>();
  }
  constexpr RowSweeps() { add<widest_window>(); }
};
template <class T>
constexpr RowSweeps<T> row_sweeps;

// `count` rows in as few tiles as there must be, of sizes that differ by one at most: a last tile of one or
// two rows would take as long as a full one.
template <class Do>
void tiles_of(int64_t count, int64_t most, Do&& each) {
  if (count == 0) return;
  const int64_t tiles = (count + most - 1) / most, low = count / tiles, high = count % tiles;
  if (tiles > high) each(int64_t{0}, static_cast<int>(low), tiles - high);
  if (high) each(low * (tiles - high), static_cast<int>(low) + 1, high);
}

// -- sums over samples, or along a row: 16 lanes ----------------------------------------------------------

// sums[i][j][lane] += sum over rows and steps of g[i][lane] x[j][lane], for some i and j. Numbers of g and x
// stand in groups of 16 lanes; the last group of a row may be part of one.
template <class T>
struct Lanewise {
  int64_t rows, steps, rest;
  const T* g;
  int64_t g_out, g_row, g_step;
  const T* x;
  const int32_t* along;     // of each j
  int64_t x_row, x_step;
  T* sums;
  int64_t sums_out;         // j follows j at a distance of 16
};

template <class T, int I, int J>
void sweep_lanes(const Lanewise<T>& s) {
  using W = Vec<T>;
  for (int lane = 0; lane < lanes; lane += W::width) {
    const int64_t left = s.rest - lane, some = left > 0 && left < W::width ? left : 0;
    const int64_t steps = s.steps + (left >= W::width);
    W sum[I][J];
    const T* from[J];
#pragma GCC unroll 16
    for (int j = 0; j < J; ++j) from[j] = s.x + s.along[j] + lane;
#pragma GCC unroll 16
    for (int i = 0; i < I; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < J; ++j) sum[i][j] = W::load(s.sums + i * s.sums_out + j * lanes + lane);
    for (int64_t row = 0; row < s.rows; ++row) {
      const T* g = s.g + row * s.g_row + lane;
      int64_t at = row * s.x_row;
      const auto add = [&](auto&& load) GG_WITHIN {
        W x[J];
#pragma GCC unroll 16
        for (int j = 0; j < J; ++j) x[j] = load(from[j] + at);
#pragma GCC unroll 16
        for (int i = 0; i < I; ++i) {
          const W y = load(g + i * s.g_out);
#pragma GCC unroll 16
          for (int j = 0; j < J; ++j) sum[i][j] = fma(y, x[j], sum[i][j]);
        }
      };
      for (int64_t step = 0; step < steps; ++step) {
        add([](const T* p) GG_WITHIN { return W::load(p); });
        g += s.g_step;
        at += s.x_step;
      }
      if (some) add([some](const T* p) GG_WITHIN { return W::load_first(p, some); });
    }
#pragma GCC unroll 16
    for (int i = 0; i < I; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < J; ++j) sum[i][j].store(s.sums + i * s.sums_out + j * lanes + lane);
  }
}

constexpr int lane_rows = 4;  // the most of I; J is such that 12 sums are held
constexpr int lane_columns(int i) { return i == 1 ? 9 : 12 / i; }

template <class T>
struct LaneSweeps {
  using Sweep = void (*)(const Lanewise<T>&);
  Sweep of[lane_rows + 1][10] = {};

  template <int I, int J>
  constexpr void add() {
    of[I][J] = sweep_lanes<T, I, J>;
    if constexpr (J > 1) add<I, J - 1>();
    else if constexpr (I > 1) add<I - 1, lane_columns(I - 1)>();
  }
  constexpr LaneSweeps() { add<lane_rows, lane_columns(lane_rows)>(); }
};
template <class T>
constexpr LaneSweeps<T> lane_sweeps;

}  // namespace
}  // namespace glassgrad::GG_ISA
