// Logarithms.
#pragma once

#include "kernels/math_base.h"

namespace glassgrad::GG_ISA {
namespace {

// x = m 2^e, m from the root of 1/2 to that of 2; f = m - 1, exactly.
template <class T> struct Parts {
  Vec<T> e, f;
};
template <class T> GG_INLINE Parts<T> split(Vec<T> x) {
  using I = WholeOf<T>;
  constexpr int width = Format<T>::mantissa;
  constexpr I unit = static_cast<I>(1) << width, one = static_cast<I>(Format<T>::bias) << width;
  constexpr I root =
      sizeof(T) == 4 ? static_cast<I>(0x3f3504f3) : static_cast<I>(0x3fe6a09e667f3bcd);
  constexpr double lift = sizeof(T) == 4 ? 25 : 54;
  const auto subnormal = x < real(Vec<I>::splat(unit));
  const Vec<T> normal = select(subnormal, x * constant<T>(sizeof(T) == 4 ? 0x1p25 : 0x1p54), x);
  const Vec<I> shifted{bits(normal).v + (one - root)};
  const Vec<T> m = real(Vec<I>{(shifted & Vec<I>::splat(unit - 1)).v + root});
  // The exponent, put into the low bits of 2^mantissa, is a real number but for what is taken away.
  const Vec<T> magic = real(Vec<I>::splat(one + (static_cast<I>(width) << width)));
  const Vec<T> biased = real(logical(shifted, width) | bits(magic));
  constexpr double whole = static_cast<double>(unit) + Format<T>::bias;
  return {biased - select(subnormal, constant<T>(whole + lift), constant<T>(whole)),
          m - constant<T>(1)};
}

// ln(1 + f) - f
GG_INLINE Vec<float> log1p_rest(Vec<float> f) {
  constexpr float c[] = {3.3333313e-01f,  -2.5000167e-01f,  2.0002224e-01f,
                         -1.6659367e-01f, 1.4209571e-01f,   -1.254971e-01f,
                         1.21083915e-01f, -1.09162875e-01f, 5.3428646e-02f};
  const Vec<float> z = f * f;
  return z * fma(f, polynomial(f, c), constant<float>(-0.5));
}
// By s = f / (2 + f): ln(1 + f) = 2 s + s R(s^2) = f - (f^2 / 2 - s (f^2 / 2 + R(s^2)))
GG_INLINE Vec<double> log1p_rest(Vec<double> f) {
  constexpr double c[] = {0.6666666666666734,  0.3999999999941666,  0.2857142874205607,
                          0.22222198595941708, 0.18183563786875806, 0.15314045661197678,
                          0.14796213582689494};
  const Vec<double> s = f / (f + constant<double>(2)), z = s * s,
                    half = constant<double>(0.5) * f * f;
  return fma(s, fma(z, polynomial(z, c), half), negative(half));
}

// y where x is an ordinary positive number; inf, -inf and NaN where a logarithm is.
template <class T> GG_INLINE Vec<T> log_edges(Vec<T> x, Vec<T> y) {
  const Vec<T> zero = constant<T>(0), inf = constant<T>(__builtin_inf());
  const Vec<T> none = select(x == zero, negative(inf), constant<T>(__builtin_nan("")));
  return select(x > zero, select(x < inf, y, inf), none);
}

template <class T> GG_INLINE Vec<T> log(Vec<T> x) {
  const auto [e, f] = split(x);
  const Vec<T> low = fma(e, constant<T>(Format<T>::ln2_low), log1p_rest(f));
  return log_edges(x, fma(e, constant<T>(Format<T>::ln2), f + low));
}

template <class T> GG_INLINE Vec<T> log1p(Vec<T> x) {
  const Vec<T> one = constant<T>(1), u = x + one;
  const auto [e, around] = split(u);
  // ln(1 + x) = ln u + c / u, where c is what u lost; nothing is lost where u needs no power of
  // two.
  const auto near = e == constant<T>(0);
  const Vec<T> c = select(x < one, x - (u - one), one - (u - x)) / u;
  const Vec<T> f = select(near, x, around);
  const Vec<T> lost = fma(e, constant<T>(Format<T>::ln2_low), select(near, constant<T>(0), c));
  const Vec<T> y = fma(e, constant<T>(Format<T>::ln2), f + (log1p_rest(f) + lost));
  return select(absolute(x) < constant<T>(Format<T>::tiny), x, log_edges(u, y));
}

// ln x times a number (in two parts), where `two` (in two parts, the first times e is exact) is the
// logarithm of 2.
template <class T>
GG_INLINE Vec<T> log_to_base(Vec<T> x, double times, double times_low, double two, double two_low) {
  const auto [e, f] = split(x);
  const Vec<T> m = constant<T>(times);
  const Vec<T> p = f * m, p_low = fma(f, m, negative(p));
  const Vec<T> low = fma(log1p_rest(f), m, fma(f, constant<T>(times_low), p_low));
  const Vec<T> high = e * constant<T>(two), sum = high + p, lost = (high - sum) + p;
  return log_edges(x, sum + (lost + fma(e, constant<T>(two_low), low)));
}

template <class T> GG_INLINE Vec<T> log2(Vec<T> x) {
  constexpr bool f = sizeof(T) == 4;
  return log_to_base(x, f ? 0x1.715476p+0 : 0x1.71547652b82fep+0,
                     f ? 0x1.4ae0cp-26 : 0x1.777d0ffda0d24p-56, 1, 0);
}
template <class T> GG_INLINE Vec<T> log10(Vec<T> x) {
  constexpr bool f = sizeof(T) == 4;
  return log_to_base(
      x, f ? 0x1.bcb7b2p-2 : 0x1.bcb7b1526e50ep-2, f ? -0x1.5b235ep-27 : 0x1.95355baaafad3p-57,
      f ? 0x1.344p-2 : 0x1.34413509f6p-2, f ? 0x1.3509f79fef312p-18 : 0x1.9fef311f12b36p-42);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
