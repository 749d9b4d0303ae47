// sin, cos, tan, and arcsin and arccos.
#pragma once

#include "kernels/math_base.h"

namespace glassgrad::GG_ISA {
namespace {

// -- x = n pi / 2 + r ---------------------------------------------------------------------------

template <class T> struct Angle {
  Vec<WholeOf<T>> n;  // its last two bits count
  Vec<T> r, low;      // r + low, |r| <= pi / 4; low is 0 for float, whose r is good enough
};

// 2 / pi in binary, after 64 zeros: word k has the bits of weight 2^(64 - 64 k - 1) and below.
constexpr uint64_t two_over_pi[] = {0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0,
                                    0xdb6295993c439041, 0xfe5163abdebbc561, 0xb7246e3a424dd2e0,
                                    0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484,
                                    0xe99c7026b45f7e41, 0x3991d639835339f4, 0x9c845f8bbdf9283b,
                                    0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
                                    0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea,
                                    0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab, 0xf0cfbc209af4361d};

struct WholeAngle {
  int64_t n;
  double r, low;
};

inline double real_of(uint64_t b) {
  double x;
  __builtin_memcpy(&x, &b, sizeof x);
  return x;
}

// For large numbers, one at a time, after Payne and Hanek: of x times 2 / pi only the bits are made
// that weigh less than 4, 192 of them. x is finite, 2^18 or more in size.
[[gnu::noinline]] inline WholeAngle reduce_large(double x) {
  using Wide = unsigned __int128;
  uint64_t b;
  __builtin_memcpy(&b, &x, sizeof b);
  const int64_t exponent = static_cast<int64_t>(b >> 52 & 0x7ff) - 1075;  // x = mantissa 2^exponent
  const uint64_t mantissa = (b & 0xfffffffffffff) | 0x10000000000000;
  const int64_t skip = exponent - 2 + 64, word = skip / 64, bit = skip % 64;
  uint64_t w[3];
  for (int k = 0; k < 3; ++k) {
    const uint64_t high = two_over_pi[word + k], next = two_over_pi[word + k + 1];
    w[k] = bit == 0 ? high : high << bit | next >> (64 - bit);
  }
  const Wide last = static_cast<Wide>(mantissa) * w[2];
  const Wide middle = static_cast<Wide>(mantissa) * w[1] + static_cast<uint64_t>(last >> 64);
  const uint64_t top = mantissa * w[0] + static_cast<uint64_t>(middle >> 64);
  // Two bits are the quarter turns, what follows is a fraction of one; the nearest quarter is
  // wanted.
  int64_t n = static_cast<int64_t>(top >> 62);
  Wide fraction = static_cast<Wide>(top << 2 | static_cast<uint64_t>(middle) >> 62) << 64 |
                  (static_cast<uint64_t>(middle) << 2 | static_cast<uint64_t>(last) >> 62);
  bool minus = (b >> 63) != 0;
  if (minus) n = -n;
  if (fraction >> 127) {
    fraction = -fraction;
    n += minus ? -1 : 1;
    minus = !minus;
  }
  // No number of this format comes so near to a multiple that the upper half were 0.
  const int zeros = __builtin_clzll(static_cast<uint64_t>(fraction >> 64) | 1);
  fraction <<= zeros;
  const double unit = real_of(static_cast<uint64_t>(1023 - 53 - zeros) << 52);
  const double high = static_cast<double>(static_cast<int64_t>(fraction >> 75)) * unit;
  const double rest = static_cast<double>(static_cast<int64_t>(fraction >> 22 & 0x1fffffffffffff)) *
                      (unit * 0x1p-53);
  const double half_pi = 0x1.921fb54442d18p+0;
  const double product = high * half_pi;
  const double error = __builtin_fma(high, half_pi, -product) +
                       __builtin_fma(high, 0x1.1a62633145c07p-54, rest * half_pi);
  const double r = product + error, low = (product - r) + error;
  return {n, minus ? -r : r, minus ? -low : low};
}

// The size up to which the short way of reduction is right.
constexpr double most_of(float) { return 100000; }
constexpr double most_of(double) { return 1000000; }

template <class T> GG_INLINE Angle<T> quarter_turns(Vec<T> x) {
  const Vec<T> magic = constant<T>(Format<T>::round_whole);
  const Vec<T> sum = fma(x, constant<T>(0x1.45f306dc9c883p-1), magic), n = sum - magic;
  Angle<T> found;
  found.n = {bits(sum).v - bits(magic).v};
  // The first step is exact: no bits are lower than those of x and pi / 2, and the result is below
  // 1.
  if constexpr (sizeof(T) == 4) {
    const Vec<T> high = fma(n, constant<T>(-0x1.921fb6p+0), x);
    const Vec<T> less = fma(n, constant<T>(0x1.777a5cp-25), high);
    found.r = fma(n, constant<T>(0x1.ee59dap-50), less);
    found.low = constant<T>(0);
  } else {
    const Vec<T> high = fma(n, constant<T>(-0x1.921fb54442d18p+0), x);
    const Vec<T> second = constant<T>(0x1.1a62633145c07p-54);
    const Vec<T> p = n * second, p_low = fma(n, second, negative(p));
    const Vec<T> d = high - p, back = d - high;  // and what it loses, whichever is larger
    const Vec<T> lost = (high - (d - back)) - (p + back);
    const Vec<T> low = fma(n, constant<T>(0x1.f1976b7ed8fbcp-110), lost - p_low);
    found.r = d + low;
    found.low = (d - found.r) + low;
  }
  const Vec<T> size = absolute(x);
  const auto large = (size > constant<T>(most_of(T()))) & (size < constant<T>(__builtin_inf()));
  if (any(large)) {
    for (int k = 0; k < Vec<T>::width; ++k) {
      if (!large.m[k]) continue;
      const WholeAngle one = reduce_large(static_cast<double>(x.v[k]));
      found.n.v[k] = static_cast<WholeOf<T>>(one.n);
      found.r.v[k] = static_cast<T>(one.r);
      if constexpr (sizeof(T) == 8) found.low.v[k] = one.low;
    }
  }
  return found;
}

// -- of small angles ----------------------------------------------------------------------------

// (sin(x) / x - 1) / z and (cos(x) - 1 + z / 2) / z^2, z = x^2
GG_INLINE Vec<float> sin_rest(Vec<float> z) {
  constexpr float c[] = {-1.6666655e-01f, 8.332187e-03f, -1.951791e-04f};
  return polynomial(z, c);
}
GG_INLINE Vec<double> sin_rest(Vec<double> z) {
  constexpr double c[] = {-0.1666666666666663,  0.008333333333321842,   -0.00019841269829361049,
                          2.75573135397823e-06, -2.505073465589471e-08, 1.5895453268344158e-10};
  return polynomial(z, c);
}
GG_INLINE Vec<float> cos_rest(Vec<float> z) {
  constexpr float c[] = {4.1666646e-02f, -1.388731e-03f, 2.443229e-05f};
  return polynomial(z, c);
}
GG_INLINE Vec<double> cos_rest(Vec<double> z) {
  constexpr double c[] = {0.041666666666666595,    -0.0013888888888873307, 2.4801587288924413e-05,
                          -2.7557314176549336e-07, 2.0875697523403818e-09, -1.1358228514589153e-11};
  return polynomial(z, c);
}

template <class T> GG_INLINE Split<T> small_sin(const Angle<T>& a) {
  const Vec<T> z = a.r * a.r;
  Vec<T> low = constant<T>(0);
  if constexpr (sizeof(T) == 8) low = fma(constant<T>(-0.5) * z, a.low, a.low);
  return {a.r, fma(z * a.r, sin_rest(z), low)};
}
template <class T> GG_INLINE Split<T> small_cos(const Angle<T>& a) {
  const Vec<T> z = a.r * a.r, one = constant<T>(1);
  const Vec<T> high = fma(constant<T>(-0.5), z, one), lost = fma(constant<T>(-0.5), z, one - high);
  Vec<T> rest = lost;
  if constexpr (sizeof(T) == 8) rest = fma(negative(a.r), a.low, lost);
  return {high, fma(z * z, cos_rest(z), rest)};
}

// All bits where bit `k` of n is set.
template <class I> GG_INLINE Mask<I> has_bit(Vec<I> n, int k) {
  const Vec<I> zero = Vec<I>::splat(0);
  return (n & (Vec<I>::splat(1) << k)) != zero;
}

// sin of x + quarter pi / 2; with the sign of 0, and tiny numbers as they are, where quarter is 0.
template <class T, int quarter> GG_INLINE Vec<T> sine(Vec<T> x) {
  using I = WholeOf<T>;
  const Angle<T> a = quarter_turns(x);
  const Vec<I> n{a.n.v + quarter};
  const Split<T> s = small_sin(a), c = small_cos(a);
  const Mask<T> odd{has_bit(n, 0).m};
  const Vec<T> y = select(odd, c.high, s.high) + select(odd, c.low, s.low);
  constexpr int to_sign = 8 * static_cast<int>(sizeof(T)) - 2;
  const Vec<T> turned = real(bits(y) ^ ((n & Vec<I>::splat(2)) << to_sign));
  if constexpr (quarter) return turned;
  const Vec<T> tiny = constant<T>(sizeof(T) == 4 ? 0x1p-13 : 0x1p-27);
  return select(absolute(x) < tiny, x, turned);
}

template <class T> GG_INLINE Vec<T> sin(Vec<T> x) { return sine<T, 0>(x); }
template <class T> GG_INLINE Vec<T> cos(Vec<T> x) { return sine<T, 1>(x); }

template <class T> GG_INLINE Vec<T> tan(Vec<T> x) {
  const Angle<T> a = quarter_turns(x);
  const Split<T> s = small_sin(a), c = small_cos(a);
  const Mask<T> odd{has_bit(a.n, 0).m};
  const Vec<T> s_high = s.high + s.low, c_high = c.high + c.low;
  const Vec<T> s_low = (s.high - s_high) + s.low, c_low = (c.high - c_high) + c.low;
  // tan r, or -1 / tan r
  const Vec<T> above = select(odd, negative(c_high), s_high), below = select(odd, s_high, c_high);
  const Vec<T> above_low = select(odd, negative(c_low), s_low),
               below_low = select(odd, s_low, c_low);
  const Vec<T> tiny = constant<T>(sizeof(T) == 4 ? 0x1p-13 : 0x1p-27);
  return select(absolute(x) < tiny, x, quotient<T>({above, above_low}, {below, below_low}));
}

// -- inverse ------------------------------------------------------------------------------------

// (arcsin(x) / x - 1) / z, z = x^2 up to 1/4
GG_INLINE Vec<float> arcsin_rest(Vec<float> z) {
  constexpr float c[] = {1.6666752e-01f, 7.4953094e-02f, 4.5469742e-02f, 2.417628e-02f,
                         4.2186987e-02f};
  return polynomial(z, c);
}
GG_INLINE Vec<double> arcsin_rest(Vec<double> z) {
  constexpr double c[] = {0.1666666666666676,    0.07499999999970866,  0.044642857174580164,
                          0.030381942707410656,  0.022372215053856195, 0.017351609854362647,
                          0.013980857383052955,  0.011398527282596334, 0.010782846534325619,
                          0.0036950730908014654, 0.021738538334453574, -0.02104774439097501,
                          0.03266184282441555};
  return polynomial(z, c);
}

template <class T> constexpr double half_pi = sizeof(T) == 4 ? 0x1.921fb6p+0 : 0x1.921fb54442d18p+0;
template <class T> constexpr double half_pi_low =
    sizeof(T) == 4 ? -0x1.777a5cp-25 : 0x1.1a62633145c07p-54;

// Up to 1/2, arcsin by its polynomial; beyond, pi / 2 - 2 arcsin(root of (1 - a) / 2). What both
// have in common, for a = |x|: arcsin s = s + low, s being the root (and what rounding took from
// it) or a.
template <class T> struct Arc {
  Mask<T> far;
  Vec<T> s, low;
};
template <class T> GG_INLINE Arc<T> arc(Vec<T> a) {
  const Vec<T> half = constant<T>(0.5);
  const auto far = ~(a <= half);
  const Vec<T> z = select(far, fma(negative(half), a, half), a * a);
  const Vec<T> root = sqrt(z), s = select(far, root, a);
  const Vec<T> lost = fma(negative(root), root, z) / (root + root);
  const Vec<T> mend = select(far & (root > constant<T>(0)), lost, constant<T>(0));
  return {far, s, fma(s * z, arcsin_rest(z), mend)};
}

template <class T> GG_INLINE Vec<T> arcsin(Vec<T> x) {
  const auto [far, s, low] = arc(absolute(x));
  const Vec<T> quarter = constant<T>(half_pi<T>), two = constant<T>(2);
  const Vec<T> high = fma(negative(two), s, quarter), lost = fma(negative(two), s, quarter - high);
  const Vec<T> beyond = high + fma(negative(two), low, lost + constant<T>(half_pi_low<T>));
  return signed_as(select(far, beyond, s + low), x);
}

template <class T> GG_INLINE Vec<T> arccos(Vec<T> x) {
  const auto [far, s, low] = arc(absolute(x));
  const auto minus = x < constant<T>(0);
  // Near 0: pi / 2 - (s + low). Far: 2 (s + low), or pi minus that.
  const Vec<T> from = select(far, select(minus, constant<T>(2), constant<T>(0)), constant<T>(1));
  const Vec<T> t = select(far, select(minus, constant<T>(-2), constant<T>(2)),
                          select(minus, constant<T>(1), constant<T>(-1)));
  const Vec<T> start = from * constant<T>(half_pi<T>);
  const Vec<T> high = fma(t, s, start), lost = fma(t, s, start - high);
  return high + fma(t, low, fma(from, constant<T>(half_pi_low<T>), lost));
}

}  // namespace
}  // namespace glassgrad::GG_ISA
