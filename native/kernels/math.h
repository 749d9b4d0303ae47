// Elementary functions on registers: the same sequence of operations in every lane and on every
// instruction set, to the last bit. Polynomials are Taylor's, cut where what is left is below a tenth of
// a unit in the last place of their small arguments.
#pragma once

#include "core/types.h"
#include "kernels/vec.h"

namespace glassgrad::GG_ISA {
namespace {

template <class T> Vec<T> constant(double x) { return Vec<T>::splat(static_cast<T>(x)); }

// c[0] + x (c[1] + x (c[2] + ...))
template <int n, class T> Vec<T> polynomial(Vec<T> x, const T (&c)[n]) {
  Vec<T> y = Vec<T>::splat(c[n - 1]);
  for (int i = n - 2; i >= 0; --i) y = fma(y, x, Vec<T>::splat(c[i]));
  return y;
}

template <class T> struct Float;
template <> struct Float<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr double lowest_exp = -104, highest_exp = 89;
  // ln 2 in two parts, of which the first has few bits, so that a whole number times it is exact
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
};
template <> struct Float<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double lowest_exp = -746, highest_exp = 710;
  static constexpr double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
};

// 2^n for whole n within the range of normal numbers.
template <class T> Vec<T> power_of_two(Vec<WholeOf<T>> n) {
  using I = WholeOf<T>;
  return real(Vec<I>{(n.v + static_cast<I>(Float<T>::bias)) << Float<T>::mantissa});
}

// (exp(r) - 1) for |r| <= ln(2) / 2
inline Vec<float> small_expm1(Vec<float> r) {
  constexpr float c[] = {1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
  return fma(r * r, polynomial(r, c), r);
}
inline Vec<double> small_expm1(Vec<double> r) {
  constexpr double c[] = {1.0 / 2,        1.0 / 6,         1.0 / 24,         1.0 / 120,
                          1.0 / 720,      1.0 / 5040,      1.0 / 40320,      1.0 / 362880,
                          1.0 / 3628800,  1.0 / 39916800,  1.0 / 479001600,  1.0 / 6227020800.0};
  return fma(r * r, polynomial(r, c), r);
}

// x = n ln 2 + r
template <class T> struct Reduced {
  Vec<T> n, r;
};
template <class T> Reduced<T> by_ln2(Vec<T> x) {
  const Vec<T> n = round_even(x * constant<T>(1.4426950408889634074));
  const Vec<T> high = fma(n, Vec<T>::splat(-Float<T>::ln2_high), x);
  return {n, fma(n, Vec<T>::splat(-Float<T>::ln2_low), high)};
}

template <class T> Vec<T> exp(Vec<T> x) {
  const Vec<T> low = constant<T>(Float<T>::lowest_exp), high = constant<T>(Float<T>::highest_exp);
  const auto [n, r] = by_ln2(minimum(maximum(x, low), high));
  const auto whole = to_whole(n), half = whole >> 1;
  const Vec<T> p = small_expm1(r) + constant<T>(1);
  // In two factors: the result may be below the normal numbers, or above all.
  const Vec<T> y = p * power_of_two<T>(half) * power_of_two<T>({whole.v - half.v});
  return y;
}

template <class T> Vec<T> expm1(Vec<T> x) {
  const Vec<T> high = constant<T>(Float<T>::highest_exp);
  const Vec<T> low = constant<T>(sizeof(T) == 4 ? -18 : -40);  // there it is -1
  const auto [n, r] = by_ln2(minimum(maximum(x, low), high));
  const auto whole = to_whole(n), half = whole >> 1;
  const Vec<T> p = small_expm1(r);
  const Vec<T> a = power_of_two<T>(half), b = power_of_two<T>({whole.v - half.v});
  const Vec<T> scale = a * b, one = constant<T>(1);
  const Vec<T> y = select(n < constant<T>(Float<T>::bias), fma(scale, p, scale - one),
                          (p + one) * a * b);
  return select(x == constant<T>(0), x, y);  // with its sign
}

template <class T> Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = absolute(x), one = constant<T>(1);
  const Vec<T> e = expm1(minimum(a + a, constant<T>(sizeof(T) == 4 ? 20 : 44)));
  const Vec<T> y = e / (e + one + one);
  return real(bits(y) | Vec<WholeOf<T>>{bits(x).v ^ bits(a).v});  // with the sign of x
}

template <class T> Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> z = exp(negative(absolute(x))), one = constant<T>(1);
  return select(x >= constant<T>(0), one, z) / (one + z);
}

// x = m 2^e with m from the root of 1/2 to that of 2; s = (m - 1) / (m + 1), so that ln m = 2 atanh s.
template <class T> struct Parts {
  Vec<T> e, f, s;  // f = m - 1
};
template <class T> Parts<T> log_parts(Vec<T> x) {
  using I = WholeOf<T>;
  constexpr I root = sizeof(T) == 4 ? static_cast<I>(0x3f3504f3) : static_cast<I>(0x3fe6a09e667f3bcd);
  const Vec<T> normal = real(Vec<I>::splat(static_cast<I>(1) << Float<T>::mantissa));
  const auto small = x < normal;
  const Vec<T> shift = constant<T>(sizeof(T) == 4 ? 25 : 54);
  x = select(small, x * constant<T>(sizeof(T) == 4 ? 0x1p25 : 0x1p54), x);
  const Vec<I> e = Vec<I>{bits(x).v - root} >> Float<T>::mantissa;
  const Vec<T> m = real(Vec<I>{bits(x).v - (e << Float<T>::mantissa).v});
  const Vec<T> f = m - constant<T>(1);
  const Vec<T> whole = to_real(e) - select(small, shift, constant<T>(0));
  return {whole, f, f / (constant<T>(2) + f)};
}

// 2 atanh s - 2 s, over s z, z = s^2, without its first term
inline Vec<float> atanh_rest(Vec<float> z) {
  constexpr float c[] = {2.0f / 5, 2.0f / 7, 2.0f / 9, 2.0f / 11, 2.0f / 13};
  return z * polynomial(z, c);
}
inline Vec<double> atanh_rest(Vec<double> z) {
  constexpr double c[] = {2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13,
                          2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
  return z * polynomial(z, c);
}

// What a logarithm gives where it is no ordinary number.
template <class T> Vec<T> log_edges(Vec<T> x, Vec<T> y) {
  const Vec<T> zero = constant<T>(0), inf = constant<T>(__builtin_inf());
  y = select(x == inf, inf, y);
  y = select(x == zero, negative(inf), y);
  return select((x < zero) | (x != x), constant<T>(__builtin_nan("")), y);
}

template <class T> Vec<T> log(Vec<T> x) {
  const auto [e, f, s] = log_parts(x);
  const Vec<T> z = s * s, half = constant<T>(0.5) * f * f;
  const Vec<T> rest = z * (constant<T>(2.0 / 3) + atanh_rest(z));
  const Vec<T> low = fma(s, half + rest, e * Vec<T>::splat(Float<T>::ln2_low));
  const Vec<T> y = fma(e, Vec<T>::splat(Float<T>::ln2_high), f - (half - low));
  return log_edges(x, y);
}

template <class T> Vec<T> log1p(Vec<T> x) {
  const Vec<T> one = constant<T>(1), u = x + one;
  const Vec<T> lost = select(x > one, one - (u - x), x - (u - one)) / u;
  const Vec<T> y = log(u) + select(absolute(lost) < one, lost, constant<T>(0));
  // Below, ln(1 + x) is x - x^2 / 2 to the last bit; and 0 keeps its sign.
  const Vec<T> few = constant<T>(sizeof(T) == 4 ? 1e-5 : 1e-9);
  return select(absolute(x) < few, x * fma(x, constant<T>(-0.5), one), log_edges(u, y));
}

template <class T> Vec<T> log2(Vec<T> x) {
  const auto [e, f, s] = log_parts(x);
  const Vec<T> z = s * s, half = constant<T>(0.5) * f * f;
  const Vec<T> rest = z * (constant<T>(2.0 / 3) + atanh_rest(z));
  const Vec<T> y = fma(f - (half - s * (half + rest)), constant<T>(1.4426950408889634074), e);
  return log_edges(x, y);
}

template <class T> Vec<T> log10(Vec<T> x) { return log(x) * constant<T>(0.43429448190325182765); }

// -- powers -------------------------------------------------------------------------------------

// A number as the sum of two, the second far below the last place of the first.
struct Pair64 {
  Vec<double> high, low;
};
inline Pair64 sum(Vec<double> a, Vec<double> b) {  // |a| >= |b|, or a is 0
  const Vec<double> high = a + b;
  return {high, b - (high - a)};
}
inline Pair64 product(Vec<double> a, Vec<double> b) {
  const Vec<double> high = a * b;
  return {high, fma(a, b, negative(high))};
}
inline Pair64 product(Pair64 a, Pair64 b) {
  const Pair64 p = product(a.high, b.high);
  return sum(p.high, p.low + fma(a.high, b.low, a.low * b.high));
}

// ln x for normal and subnormal x > 0, to about 2^-64 of itself.
inline Pair64 log_pair(Vec<double> x) {
  const auto [e, f, s] = log_parts(x);
  const Pair64 d = sum(constant<double>(2), f);
  const Vec<double> left = fma(negative(s), d.low, fma(negative(s), d.high, f));
  const Pair64 t = sum(s, left / d.high);
  const Pair64 z = product(t, t);
  const Vec<double> third = constant<double>(2.0 / 3);
  const Pair64 q = sum(third, atanh_rest(z.high) + constant<double>(3.7007434154171882626e-17));
  const Pair64 rest = product(product(t, z), q);
  const Pair64 ln2 = product(e, Vec<double>::splat(Float<double>::ln2_low));
  const Vec<double> high = e * Vec<double>::splat(Float<double>::ln2_high);
  // high + ln2 + 2 t + rest, the large ones first
  const Vec<double> two = t.high + t.high;
  const Pair64 a = sum(high, two);
  const Vec<double> error = select(absolute(high) >= absolute(two), a.low, high - (a.high - two));
  const Pair64 b = sum(a.high, ln2.high);
  const Pair64 c = sum(b.high, rest.high);
  return sum(c.high, c.low + (b.low + (error + (t.low + t.low) + (ln2.low + rest.low))));
}

inline Vec<double> power(Vec<double> x, Vec<double> y) {
  const Vec<double> zero = constant<double>(0), one = constant<double>(1);
  const Vec<double> inf = constant<double>(__builtin_inf()), nan = constant<double>(__builtin_nan(""));
  const Vec<double> a = absolute(x);
  const Pair64 l = log_pair(select((a > zero) & (a < inf), a, one));
  // Beyond these the result is 0 or inf whatever the base is (but 1, whose logarithm is 0).
  const Vec<double> most = constant<double>(0x1p67);
  const Vec<double> p = minimum(maximum(select(y == y, y, zero), negative(most)), most);
  const Vec<double> high = p * l.high;
  const Vec<double> low = fma(p, l.high, negative(high)) + p * l.low;
  const Vec<double> bounded = minimum(maximum(high, constant<double>(-746)), constant<double>(710));
  const auto [n, r] = by_ln2(bounded);
  const auto whole = to_whole(n), half = whole >> 1;
  const Vec<double> rest = r + select(high == bounded, low, zero);
  const Vec<double> e = small_expm1(rest) + one;
  Vec<double> found = e * power_of_two<double>(half) * power_of_two<double>({whole.v - half.v});

  const auto is_whole = floor(y) == y;  // as are the infinite ones
  const Vec<double> halved = y * constant<double>(0.5);
  const auto odd = is_whole & (floor(halved) != halved) & (absolute(y) < inf);
  const auto grows = (y > zero);
  found = select(a == zero, select(grows, zero, inf), found);
  found = select(a == inf, select(grows, inf, zero), found);
  const auto above = a > one;
  const Vec<double> endless = select(a == one, one, select((above & grows) | (~above & ~grows), inf, zero));
  found = select(absolute(y) == inf, endless, found);
  const auto minus = bits(x) >> 63;  // all bits where x has a sign
  const Mask<double> below{minus.v};
  found = select(below & ~is_whole & (a > zero) & (a < inf), nan, found);
  found = select(below & odd, negative(found), found);
  found = select((x != x) | (y != y), nan, found);
  return select((y == zero) | (x == one), one, found);
}
inline Vec<float> power(Vec<float> x, Vec<float> y) {
  constexpr int w = Vec<float>::width;
  double a[w], b[w];
  for (int k = 0; k < w; ++k) {
    a[k] = x.v[k];
    b[k] = y.v[k];
  }
  for (int k = 0; k < w; k += Vec<double>::width) {
    power(Vec<double>::load(a + k), Vec<double>::load(b + k)).store(a + k);
  }
  Vec<float> found;
  for (int k = 0; k < w; ++k) found.v[k] = static_cast<float>(a[k]);
  return found;
}

// -- by name --------------------------------------------------------------------------------------

template <class T, class F> void each(const T* x, T* y, int64_t n, F f) {
  constexpr int64_t w = Vec<T>::width;
  int64_t i = 0;
  for (; i + w <= n; i += w) f(Vec<T>::load(x + i)).store(y + i);
  if (i < n) f(Vec<T>::load_first(x + i, n - i)).store_first(y + i, n - i);
}

template <class T> void run_unary(Operation f, const T* x, T* y, int64_t n) {
  switch (f) {
    case Operation::exp: return each(x, y, n, [](Vec<T> a) { return exp(a); });
    case Operation::expm1: return each(x, y, n, [](Vec<T> a) { return expm1(a); });
    case Operation::log: return each(x, y, n, [](Vec<T> a) { return log(a); });
    case Operation::log1p: return each(x, y, n, [](Vec<T> a) { return log1p(a); });
    case Operation::log2: return each(x, y, n, [](Vec<T> a) { return log2(a); });
    case Operation::log10: return each(x, y, n, [](Vec<T> a) { return log10(a); });
    case Operation::tanh: return each(x, y, n, [](Vec<T> a) { return tanh(a); });
    case Operation::sigmoid: return each(x, y, n, [](Vec<T> a) { return sigmoid(a); });
    case Operation::sqrt: return each(x, y, n, [](Vec<T> a) { return sqrt(a); });
    default: return;
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
