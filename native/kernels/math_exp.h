// exp and what is made of it: expm1, tanh, sigmoid, sinh, cosh.
#pragma once

#include "kernels/math_base.h"

namespace glassgrad::GG_ISA {
namespace {

// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2
GG_INLINE Vec<float> expm1_rest(Vec<float> r) {
  constexpr float c[] = {0.5f,          1.6666636e-01f, 4.166651e-02f,
                         8.341582e-03f, 1.3930819e-03f, 1.4971307e-04f};
  return polynomial(r, c);
}
GG_INLINE Vec<double> expm1_rest(Vec<double> r) {
  constexpr double c[] = {0.5,
                          0.16666666666666677,
                          0.04166666666666667,
                          0.008333333333321721,
                          0.001388888888890054,
                          0.00019841269885646805,
                          2.480158726686881e-05,
                          2.755724476183559e-06,
                          2.7557338691557917e-07,
                          2.5108846389673035e-08,
                          2.089139895795604e-09};
  return polynomial(r, c);
}

template <class T> GG_INLINE Vec<T> small_expm1(Vec<T> r) { return fma(r * r, expm1_rest(r), r); }

// x = n ln 2 + r + low. n is kept plus an offset: what an exponent needs, see below.
template <class T> struct Reduced {
  Vec<WholeOf<T>> n;
  Vec<T> r, low;
};
template <class T> GG_INLINE Reduced<T> by_ln2(Vec<T> x, int offset) {
  const Vec<T> magic = constant<T>(Format<T>::round_whole + offset);
  const Vec<T> sum = fma(x, constant<T>(0x1.71547652b82fep+0), magic), n = sum - magic;
  // Exact, as no bits of the result are lower than those of x and ln 2.
  const Vec<T> high = fma(n, constant<T>(-Format<T>::ln2), x);
  const Vec<T> minus_low = constant<T>(-Format<T>::ln2_low);
  const Vec<T> r = fma(n, minus_low, high);
  return {bits(sum), r, fma(n, minus_low, high - r)};
}

// 2^n where n + bias is in the low bits: the shift drops all others.
template <class T> GG_INLINE Vec<T> power_of_two(Vec<WholeOf<T>> n) {
  return real(n << Format<T>::mantissa);
}

// p 2^n, rounded once, where n + 2 bias is in the low bits. In two factors, of n / 2 rounded down
// and up: the result may be below the normal numbers, or above all.
template <class T> GG_INLINE Vec<T> scale(Vec<T> p, Vec<WholeOf<T>> n) {
  return p * power_of_two<T>(logical(n, 1)) * power_of_two<T>(logical(Vec<WholeOf<T>>{n.v + 1}, 1));
}

// exp(x) 2^shift
template <class T, int shift = 0> GG_INLINE Vec<T> exp_shifted(Vec<T> x) {
  const Vec<T> bounded = at_least(at_most(x, Format<T>::highest_exp), Format<T>::lowest_exp);
  const auto [n, r, low] = by_ln2(bounded, 2 * Format<T>::bias + shift);
  return scale(small_expm1(r) + constant<T>(1), n);
}

template <class T> GG_INLINE Vec<T> exp(Vec<T> x) { return exp_shifted(x); }

// unit (exp(x) - 1), where the low bits of n are that of 2^n unit. In double what is rounded away
// on the way is kept, so that all that is made of it stays within 2 units in the last place.
template <class T> GG_INLINE Split<T> scaled_expm1(Reduced<T> x, double unit) {
  const Vec<T> s = power_of_two<T>(x.n), z = x.r * x.r, rest = expm1_rest(x.r);
  const Vec<T> p = fma(z, rest, x.r), base = s - constant<T>(unit), e = fma(s, p, base);
  if constexpr (sizeof(T) == 4) return {e, constant<T>(0)};
  const Vec<T> p_low = fma(z, rest, x.r - p) + x.low;
  return {e, fma(s, p_low, fma(s, p, base - e))};
}

template <class T> GG_INLINE Vec<T> expm1(Vec<T> x) {
  const Vec<T> bounded = at_least(at_most(x, Format<T>::highest_expm1), Format<T>::lowest_expm1);
  // Half of it, because 2^n itself may be too large.
  const auto [e, low] = scaled_expm1(by_ln2(bounded, Format<T>::bias - 1), 0.5);
  const Vec<T> y = sizeof(T) == 4 ? e : e + low;
  return select(absolute(x) < constant<T>(Format<T>::tiny), x, y + y);
}

// By e = expm1(2 |x|): e / (e + 2)
template <class T> GG_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = absolute(x), two = constant<T>(2);
  const auto [e, low] =
      scaled_expm1(by_ln2(at_most(a + a, Format<T>::flat_tanh), Format<T>::bias), 1);
  const Vec<T> d = e + two;
  if constexpr (sizeof(T) == 4) return signed_as(e / d, x);
  const Vec<T> d_low = select(e < two, (two - d) + e, (e - d) + two) + low;
  return signed_as(quotient<T>({e, low}, {d, d_low}), x);
}

// By z = exp(-|x|), which cannot be too large: 1 / (1 + z), or z / (1 + z) below 0
template <class T> GG_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> one = constant<T>(1), zero = constant<T>(0);
  const auto minus = x < zero;
  const Vec<T> bounded = at_least(negative(absolute(x)), Format<T>::lowest_exp);
  const auto [n, r, low] = by_ln2(bounded, 2 * Format<T>::bias);
  const Vec<T> e = small_expm1(r), p = e + one, z = scale(p, n), d = one + z;
  if constexpr (sizeof(T) == 4) return select(minus, z, one) / d;
  const Vec<T> z_low = scale(e - (p - one), n), d_low = ((one - d) + z) + z_low;
  return quotient<T>({select(minus, z, one), select(minus, z_low, zero)}, {d, d_low});
}

// (sinh(x) - x) / x^3, z = x^2, up to 1
GG_INLINE Vec<float> sinh_rest(Vec<float> z) {
  constexpr float c[] = {1.6666667e-01f, 8.3333105e-03f, 1.9842896e-04f, 2.7822132e-06f};
  return polynomial(z, c);
}
GG_INLINE Vec<double> sinh_rest(Vec<double> z) {
  constexpr double c[] = {0.16666666666666669,    0.008333333333332912,   0.0001984126984159341,
                          2.7557319106757473e-06, 2.5052130998220636e-08, 1.6056659264207534e-10,
                          7.776594245756919e-13};
  return polynomial(z, c);
}

template <class T> GG_INLINE Vec<T> sinh(Vec<T> x) {
  const Vec<T> a = absolute(x), z = x * x;
  const Vec<T> h = exp_shifted<T, -1>(a);  // exp(a) / 2
  const Vec<T> far = signed_as(h - constant<T>(0.25) / h, x);
  const Vec<T> near = fma(x * z, sinh_rest(z), x);
  return select(a < constant<T>(1), near, far);
}

template <class T> GG_INLINE Vec<T> cosh(Vec<T> x) {
  const Vec<T> h = exp_shifted<T, -1>(absolute(x));
  return h + constant<T>(0.25) / h;
}

}  // namespace
}  // namespace glassgrad::GG_ISA
