// One table of kernels for each instruction set.
#pragma once

#include "types.h"

namespace glassgrad {

// The tasks, each a plain struct in its own header: prepare/map.h, prepare/matmul.h, ...
struct MapTask;
struct ReduceTask;
struct RowsTask;    // a program over the rows of a product
struct MatmulTask;
struct ConvTask;
struct RowTask;     // softmax, log-softmax, cross-entropy, normalise and their derivatives
struct IndexTask;   // take, add_at, pick, argmax, sort, cumsum, ...
struct RandomTask;
struct AttentionTask;
struct TinyTask;
struct PoolTask;    // windows over images: pooling and its derivatives, columns put back

struct Table {
  const char* name;  // "reference", "avx2", "avx512", "neon"
  void (*map)(const MapTask&, const Frame&);
  void (*reduce)(const ReduceTask&, const Frame&);
  // Rows [row, row + rows) of columns [column, column + columns) of a batch, whose product is at
  // `product`, `stride` numbers from row to row.
  void (*rows)(const RowsTask&, const Frame&, int64_t batch, int64_t row, int64_t rows, int64_t column,
               int64_t columns, char* product, int64_t stride);
  void (*matmul)(const MatmulTask&, const Frame&);
  void (*conv)(const ConvTask&, const Frame&);
  void (*row)(const RowTask&, const Frame&);
  void (*index)(const IndexTask&, const Frame&);
  void (*random)(const RandomTask&, const Frame&);
  void (*attention)(const AttentionTask&, const Frame&);
  void (*tiny)(const TinyTask&, const Frame&);
  void (*pool)(const PoolTask&, const Frame&);
  // Whether all of so many numbers are finite.
  bool (*finite_f32)(const float*, int64_t);
  bool (*finite_f64)(const double*, int64_t);
  // Rows of a data set in an order, into a batch: as they are, or bytes made numbers times a scale.
  void (*gather_rows)(char* to, const char* from, const int64_t* order, int64_t rows,
                      int64_t row_bytes);
  void (*gather_bytes_f32)(float* to, const uint8_t* from, const int64_t* order, int64_t rows,
                           int64_t row_size, float scale);
  void (*gather_bytes_f64)(double* to, const uint8_t* from, const int64_t* order, int64_t rows,
                           int64_t row_size, double scale);
  // So many rounds of fused multiply-adds on registers; the flop done.
  int64_t (*peak_f32)(int64_t rounds, float* sink);
  int64_t (*peak_f64)(int64_t rounds, double* sink);
  // One elementwise function over contiguous numbers, for tests and benchmarks.
  void (*unary_f32)(Operation, const float*, float*, int64_t);
  void (*unary_f64)(Operation, const double*, double*, int64_t);
  void (*binary_f32)(Operation, const float*, const float*, float*, int64_t);
  void (*binary_f64)(Operation, const double*, const double*, double*, int64_t);
};

const Table& reference_table();
#ifdef GG_HAVE_AVX2
const Table& avx2_table();
#endif
#ifdef GG_HAVE_AVX512
const Table& avx512_table();
#endif
#ifdef GG_HAVE_NEON
const Table& neon_table();
#endif

// The best table this machine can run, or the one GLASSGRAD_ISA names; nullptr where there is none
// but the reference.
const Table* best_table();
const Table* table_named(const char* name);  // nullptr: not built, or not on this machine

}  // namespace glassgrad
