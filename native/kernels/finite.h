// Whether all numbers are finite: none has an exponent of ones alone.
#pragma once

#include <cstdint>
#include <cstring>

namespace glassgrad::GG_ISA {
namespace {

template <typename Number, typename Bits, Bits exponent>
bool all_finite(const Number* x, int64_t count) {
  Bits worst = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bits &= exponent;
    worst = worst > bits ? worst : bits;
  }
  return worst != exponent;
}

inline bool finite_f32(const float* x, int64_t count) {
  return all_finite<float, int32_t, 0x7f800000>(x, count);
}

inline bool finite_f64(const double* x, int64_t count) {
  return all_finite<double, int64_t, 0x7ff0000000000000>(x, count);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
