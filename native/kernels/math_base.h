// What all elementary functions are made of. The polynomials in math_*.h are from
// scripts/minimax.py.
#pragma once

#include "kernels/vec.h"

// A call would store and load every register, and make every constant again.
#define GG_INLINE inline __attribute__((always_inline))

namespace glassgrad::GG_ISA {
namespace {

// A number in every lane. Written as double; what a float needs of it is exact or meant to be
// rounded.
template <class T> GG_INLINE Vec<T> constant(double x) { return Vec<T>::splat(static_cast<T>(x)); }

// c[0] + x (c[1] + x (c[2] + ...)). Long ones in two chains, which run side by side: the even
// powers and the odd ones.
template <int n, class T> GG_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[n]) {
  if constexpr (n <= 8) {
    Vec<T> y = Vec<T>::splat(c[n - 1]);
    for (int i = n - 2; i >= 0; --i) y = fma(y, x, Vec<T>::splat(c[i]));
    return y;
  } else {
    const Vec<T> z = x * x;
    Vec<T> one = Vec<T>::splat(c[n - 1]), other = Vec<T>::splat(c[n - 2]);
    for (int i = n - 3; i >= 0; i -= 2) {
      one = fma(one, z, Vec<T>::splat(c[i]));
      if (i > 0) other = fma(other, z, Vec<T>::splat(c[i - 1]));
    }
    return n % 2 ? fma(x, other, one) : fma(x, one, other);
  }
}

template <class T> struct Format;
template <> struct Format<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr double round_whole =
      0x1.8p23;  // adding it rounds to whole numbers, in the low bits
  static constexpr double ln2 = 0x1.62e43p-1, ln2_low = -0x1.05c61p-29;
  // Beyond these exp is 0 or inf, expm1 -1 or inf, tanh(x / 2) 1; below `tiny` expm1 and log1p are
  // x.
  static constexpr double lowest_exp = -104, highest_exp = 90, lowest_expm1 = -18,
                          highest_expm1 = 88.9;
  static constexpr double flat_tanh = 20, tiny = 0x1p-26;
};
template <> struct Format<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double round_whole = 0x1.8p52;
  static constexpr double ln2 = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
  static constexpr double lowest_exp = -746, highest_exp = 712, lowest_expm1 = -40,
                          highest_expm1 = 709.9;
  static constexpr double flat_tanh = 44, tiny = 0x1p-55;
};

// x, but at most (at least) c; NaN stays.
template <class T> GG_INLINE Vec<T> at_most(Vec<T> x, double c) {
  return lesser(constant<T>(c), x);
}
template <class T> GG_INLINE Vec<T> at_least(Vec<T> x, double c) {
  return greater(constant<T>(c), x);
}

template <class T> GG_INLINE Vec<T> signed_as(Vec<T> size, Vec<T> x) {  // size >= 0
  return real(bits(size) | (bits(x) ^ bits(absolute(x))));
}

// The sum of two, the second below the last place of the first.
template <class T> struct Split {
  Vec<T> high, low;
};

// A quotient of sums, mended by what it leaves.
template <class T> GG_INLINE Vec<T> quotient(Split<T> a, Split<T> b) {
  const Vec<T> inverse = constant<T>(1) / b.high, q = a.high * inverse;
  const Vec<T> left = fma(negative(q), b.high, a.high) + fma(negative(q), b.low, a.low);
  return fma(left, inverse, q);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
