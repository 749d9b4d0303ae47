// A batch out of a data set: its rows in the order of an epoch, bytes made real numbers on the way.
// Whoever made the order knows that it lies inside.
#pragma once

#include <cstring>

#include "core/types.h"

namespace glassgrad::GG_ISA {
namespace {
namespace gathering {

constexpr int64_t ahead = 8;  // rows, which the processor cannot foretell: their order is random

inline void fetch(const char* row, int64_t bytes) {
  constexpr int64_t line = 64, most = 8;  // lines; along a longer row it does foretell
  for (int64_t at = 0; at < bytes && at < most * line; at += line) __builtin_prefetch(row + at);
}

// Rows of so many bytes exactly; the compiler makes a few moves of it.
template <int64_t bytes>
void small(char* to, const char* from, const int64_t* order, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i) {
    if (i + ahead < rows) __builtin_prefetch(from + order[i + ahead] * bytes);
    std::memcpy(to + i * bytes, from + order[i] * bytes, bytes);
  }
}

template <typename T>
void cast(T* to, const uint8_t* from, const int64_t* order, int64_t rows, int64_t size, T scale) {
  for (int64_t i = 0; i < rows; ++i) {
    if (i + ahead < rows) {
      fetch(reinterpret_cast<const char*>(from) + order[i + ahead] * size, size);
    }
    const uint8_t* row = from + order[i] * size;
    T* out = to + i * size;
    for (int64_t j = 0; j < size; ++j) out[j] = static_cast<T>(row[j]) * scale;
  }
}

}  // namespace gathering

inline void gather_rows(char* to, const char* from, const int64_t* order, int64_t rows,
                        int64_t row_bytes) {
  using namespace gathering;
  switch (row_bytes) {
    case 1: return small<1>(to, from, order, rows);
    case 4: return small<4>(to, from, order, rows);
    case 8: return small<8>(to, from, order, rows);
    case 12: return small<12>(to, from, order, rows);
    case 16: return small<16>(to, from, order, rows);
    case 24: return small<24>(to, from, order, rows);
    case 32: return small<32>(to, from, order, rows);
    case 48: return small<48>(to, from, order, rows);
    case 64: return small<64>(to, from, order, rows);
    default: break;
  }
  for (int64_t i = 0; i < rows; ++i) {
    if (i + ahead < rows) fetch(from + order[i + ahead] * row_bytes, row_bytes);
    std::memcpy(to + i * row_bytes, from + order[i] * row_bytes, static_cast<size_t>(row_bytes));
  }
}

inline void gather_bytes_f32(float* to, const uint8_t* from, const int64_t* order, int64_t rows,
                             int64_t row_size, float scale) {
  gathering::cast(to, from, order, rows, row_size, scale);
}

inline void gather_bytes_f64(double* to, const uint8_t* from, const int64_t* order, int64_t rows,
                             int64_t row_size, double scale) {
  gathering::cast(to, from, order, rows, row_size, scale);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
