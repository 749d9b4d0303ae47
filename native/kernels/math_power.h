// Powers, and what is left by a division.
#pragma once

#include "kernels/math_exp.h"
#include "kernels/math_log.h"

namespace glassgrad::GG_ISA {
namespace {

// a + b for |a| >= |b|, or a = 0
GG_INLINE Split<double> ordered_sum(Vec<double> a, Vec<double> b) {
  const Vec<double> high = a + b;
  return {high, b - (high - a)};
}
GG_INLINE Split<double> product(Vec<double> a, Vec<double> b) {
  const Vec<double> high = a * b;
  return {high, fma(a, b, negative(high))};
}
GG_INLINE Split<double> product(Split<double> a, Split<double> b) {
  const Split<double> p = product(a.high, b.high);
  return ordered_sum(p.high, p.low + fma(a.high, b.low, a.low * b.high));
}

// ln x for finite x > 0, to about 2^-65 of itself: y ln x is then good to a tenth of a unit in the
// last place of exp(y ln x) where that is largest.
GG_INLINE Split<double> log_pair(Vec<double> x) {
  constexpr double c[] = {0.4,
                          0.2857142857142689,
                          0.22222222222716467,
                          0.18181818106030184,
                          0.15384622184582228,
                          0.13332959954193627,
                          0.11777266578131819,
                          0.1027897044144664,
                          0.12028918759304948};
  const auto [e, f] = split(x);
  // s = f / (2 + f), then 2 s + s z (2/3 + z P(z)), z = s^2
  const Vec<double> two = constant<double>(2);
  const Split<double> d = ordered_sum(two, f);
  const Vec<double> near = f / d.high;
  const Vec<double> left = fma(negative(near), d.low, fma(negative(near), d.high, f));
  const Split<double> s = ordered_sum(near, left / d.high);
  const Split<double> z = product(s, s);
  const Vec<double> zp = z.high * polynomial(z.high, c);
  Split<double> q = ordered_sum(constant<double>(0x1.5555555555555p-1), zp);
  q.low = q.low + constant<double>(0x1.5555555555555p-55);
  const Split<double> rest = product(product(s, z), q);
  const Split<double> m = ordered_sum(s.high + s.high, rest.high);
  const Vec<double> m_low = m.low + fma(two, s.low, rest.low);
  // e ln 2, in three parts: of the first, e times it is exact
  const Vec<double> whole = e * constant<double>(0x1.62e42fefa38p-1);
  const Split<double> sum = ordered_sum(whole, m.high);  // whole is 0, or the larger
  const Vec<double> ln2 = constant<double>(0x1.ef35793c7673p-45);
  const Split<double> part = product(e, ln2);
  const Split<double> high = ordered_sum(sum.high, part.high);
  return ordered_sum(
      high.high,
      high.low + (sum.low + (m_low + fma(e, constant<double>(0x1.f97b57a079a19p-103), part.low))));
}

// As pow of C: whole powers of negative numbers, 0, inf and NaN included.
template <bool precise> GG_INLINE Vec<double> power_of(Vec<double> x, Vec<double> y) {
  using V = Vec<double>;
  const V zero = constant<double>(0), one = constant<double>(1);
  const V inf = constant<double>(__builtin_inf()), nan = constant<double>(__builtin_nan(""));
  const V a = absolute(x);
  const auto ordinary = (a > zero) & (a < inf);
  const V positive = select(ordinary, a, one);
  Split<double> l{zero, zero};
  if constexpr (precise)
    l = log_pair(positive);
  else
    l.high = log(positive);
  // With a power beyond this the result is 0 or inf, whatever the base (but 1, whose logarithm is
  // 0).
  const V bounded = at_least(at_most(y, 0x1p67), -0x1p67);
  const Split<double> p = product(bounded, l.high);
  const V low = fma(bounded, l.low, p.low);
  const auto within = (p.high < constant<double>(712)) & (p.high > constant<double>(-746));
  const V clamped = at_least(at_most(p.high, 712), -746);
  const auto [n, r, r_low] = by_ln2(clamped, 2 * Format<double>::bias);
  const V e = small_expm1(r), rest = select(within, low + r_low, zero);
  V found = scale(one + (e + fma(rest, e, rest)), n);

  const auto whole = floor(y) == y;  // the infinite ones are
  const V halved = y * constant<double>(0.5);
  const auto odd = whole & (floor(halved) != halved) & (absolute(y) < inf);
  const auto grows = y > zero;
  found = select(a == zero, select(grows, zero, inf), found);
  found = select(a == inf, select(grows, inf, zero), found);
  const auto above = a > one;
  const auto to_inf = (above & grows) | ~(above | grows);
  found = select(absolute(y) == inf, select(a == one, one, select(to_inf, inf, zero)), found);
  const auto minus = bits(x) < Vec<int64_t>::splat(0);  // -0 is
  const Mask<double> below{minus.m};
  found = select(below & ordinary & ~whole, nan, found);
  found = select(below & odd, negative(found), found);
  found = select((x != x) | (y != y), nan, found);
  return select((y == zero) | (x == one), one, found);
}

GG_INLINE Vec<double> power(Vec<double> x, Vec<double> y) { return power_of<true>(x, y); }

// Halves of a register of float as registers of double, and back.
struct Halves {
  Vec<double> half[sizeof(Vec<float>) > 4 ? 2 : 1];
};
GG_INLINE Halves widen(Vec<float> x) {
  Halves found;
  constexpr int w = Vec<double>::width;
  for (int h = 0; h < Vec<float>::width / w; ++h) {
    for (int k = 0; k < w; ++k) found.half[h].v[k] = static_cast<double>(x.v[h * w + k]);
  }
  return found;
}
GG_INLINE Vec<float> narrow(const Halves& x) {
  Vec<float> found;
  constexpr int w = Vec<double>::width;
  for (int h = 0; h < Vec<float>::width / w; ++h) {
    for (int k = 0; k < w; ++k) found.v[h * w + k] = static_cast<float>(x.half[h].v[k]);
  }
  return found;
}

// In double, whose logarithm is good enough for it as it is.
GG_INLINE Vec<float> power(Vec<float> x, Vec<float> y) {
  Halves a = widen(x);
  const Halves b = widen(y);
  for (int h = 0; h < Vec<float>::width / Vec<double>::width; ++h) {
    a.half[h] = power_of<false>(a.half[h], b.half[h]);
  }
  return narrow(a);
}

// What a leaves when divided by b, downwards: with the sign of b, as np.remainder.
template <class T> GG_INLINE Vec<T> remainder(Vec<T> a, Vec<T> b) {
  const Vec<T> zero = constant<T>(0), inf = constant<T>(__builtin_inf());
  // Exact while the quotient is a whole number of the format; rounding may make it one too many.
  const Vec<T> q = trunc(a / b);
  Vec<T> left = fma(negative(q), b, a);
  const auto one_too_many = ((left < zero) & (a > zero)) | ((left > zero) & (a < zero));
  left = select(one_too_many, left + signed_as(absolute(b), a), left);
  const auto easy =
      (absolute(q) < constant<T>(sizeof(T) == 4 ? 0x1p22 : 0x1p51)) & (absolute(b) < inf);
  if (!all(easy)) {
    for (int k = 0; k < Vec<T>::width; ++k) {
      if (easy.m[k]) continue;
      if constexpr (sizeof(T) == 4) {
        left.v[k] = __builtin_fmodf(a.v[k], b.v[k]);
      } else {
        left.v[k] = __builtin_fmod(a.v[k], b.v[k]);
      }
    }
  }
  const auto other_side = ((left < zero) & (b > zero)) | ((left > zero) & (b < zero));
  return select(left == zero, signed_as(zero, b), select(other_side, left + b, left));
}

}  // namespace
}  // namespace glassgrad::GG_ISA
