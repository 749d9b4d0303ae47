// Vec<T>: as many numbers as a register of this instruction set holds, and Mask<T>, a truth value for
// each. T is float, double, int32_t or int64_t. The macros of the translation unit choose the register:
// 64 bytes with AVX-512, 32 with AVX2, 16 with NEON; otherwise one number, which is the reference.
//
//   Vec<T>::width                       numbers in a register
//   Vec<T>::splat(x), load(p), load_first(p, n[, other])   n of 0..width; the others are 0 (or `other`),
//                                       and no other memory is touched; v.store(p), v.store_first(p, n)
//   a + b, a - b, a * b, a / b, negative(a), fma(a, b, c) = a b + c rounded once
//   maximum, minimum                    NaN where either is; absolute, sqrt
//   lesser, greater                     the second where either is NaN
//   floor, ceil, trunc, round_even      of real numbers
//   a < b, <=, >, >=, ==, !=            Mask<T>; m & n, m | n, ~m; select(m, a, b); any(m), all(m)
//   bits(v), real(i)                    the same bits as whole numbers, and back
//   i << k, i >> k (with the sign), logical(i, k) (without), & | ^ of whole numbers
//   to_whole(v)                         real numbers below 2^22 (2^51) as whole ones, halves to even
//   to_real(i)                          back
//   v[k]                                number k (slow: for tails and tests)
//
// Every function does the same to every lane, on every instruction set, to the last bit.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#pragma GCC diagnostic push  // GCC 12 warns inside its own header (its bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace glassgrad::GG_ISA {
namespace {

#if defined(GG_ONE_LANE)
constexpr int register_bytes = 0;
#elif defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
constexpr int register_bytes = 64;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int register_bytes = 32;
#elif defined(__ARM_NEON)
constexpr int register_bytes = 16;
#else
constexpr int register_bytes = 0;
#endif

template <class T> struct Whole;
template <> struct Whole<float> { using type = int32_t; };
template <> struct Whole<double> { using type = int64_t; };
template <> struct Whole<int32_t> { using type = int32_t; };
template <> struct Whole<int64_t> { using type = int64_t; };
template <class T> using WholeOf = typename Whole<T>::type;

// Registers of the compiler's vector extension. One number is a vector of its own here, too, so that
// everything below is written once.
constexpr int bytes_of_register(int number) { return register_bytes ? register_bytes : number; }
template <class T> struct Raw {
  typedef T type __attribute__((vector_size(bytes_of_register(sizeof(T)))));
};
template <class T> using RawOf = typename Raw<T>::type;

template <class T> struct Mask {
  using I = WholeOf<T>;
  RawOf<I> m;  // all bits, or none

  friend Mask operator&(Mask a, Mask b) { return {a.m & b.m}; }
  friend Mask operator|(Mask a, Mask b) { return {a.m | b.m}; }
  friend Mask operator~(Mask a) { return {~a.m}; }
};

#if defined(__AVX2__)
// -1 for the first lanes, 0 for the rest: read from here on.
alignas(64) constexpr int32_t first_lanes[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                 -1, -1, -1, -1, -1, -1, -1, -1};
#endif

template <class T> struct Vec {
  static constexpr int width = bytes_of_register(sizeof(T)) / static_cast<int>(sizeof(T));
  using I = WholeOf<T>;
  RawOf<T> v;

  static Vec splat(T x) {
    if constexpr (T(0.5) != T(0)) {
      return {x - RawOf<T>{}};  // one instruction
    } else {
      return {x + RawOf<T>{}};
    }
  }
  static Vec load(const T* p) {
    Vec found;
    std::memcpy(&found.v, p, sizeof(found.v));
    return found;
  }
  void store(T* p) const { std::memcpy(p, &v, sizeof(v)); }

  static Vec load_first(const T* p, int64_t n) {
#if defined(__AVX512F__)
    if constexpr (register_bytes == 64) {
      if constexpr (sizeof(T) == 4) {
        return of(_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1u), p));
      } else {
        return of(_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1u), p));
      }
    }
#endif
#if defined(__AVX2__)
    if constexpr (register_bytes == 32) {
      if constexpr (sizeof(T) == 4) {
        return of(_mm256_maskload_epi32(reinterpret_cast<const int*>(p), first(n)));
      } else {
        return of(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), first(n)));
      }
    }
#endif
    Vec found{};
    for (int k = 0; k < width && k < n; ++k) found.v[k] = p[k];
    return found;
  }
  static Vec load_first(const T* p, int64_t n, T other) {
    return select(before(n), load_first(p, n), splat(other));
  }
  void store_first(T* p, int64_t n) const {
#if defined(__AVX512F__)
    if constexpr (register_bytes == 64) {
      __m512i raw;
      std::memcpy(&raw, &v, 64);
      if constexpr (sizeof(T) == 4) {
        _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1u), raw);
      } else {
        _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1u), raw);
      }
      return;
    }
#endif
#if defined(__AVX2__)
    if constexpr (register_bytes == 32) {
      // Piece by piece: a masked store takes 42 steps inside some processors (Zen 3).
      if (n >= width) return store(p);
      __m256i raw;
      std::memcpy(&raw, &v, 32);
      __m128i low = _mm256_castsi256_si128(raw);
      char* to = reinterpret_cast<char*>(p);
      const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
      if (bytes & 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), low);
        low = _mm256_extracti128_si256(raw, 1);
        to += 16;
      }
      if (bytes & 8) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), low);
        low = _mm_unpackhi_epi64(low, low);
        to += 8;
      }
      if (bytes & 4) _mm_storeu_si32(to, low);
      return;
    }
#endif
    for (int k = 0; k < width && k < n; ++k) p[k] = v[k];
  }
  // The mask of the first n lanes.
  static Mask<T> before(int64_t n) {
    RawOf<I> lane{};
    for (int k = 0; k < width; ++k) lane[k] = k;
    return {lane < (RawOf<I>{} + static_cast<I>(n))};
  }
  T operator[](int k) const { return v[k]; }

  friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
  friend Mask<T> operator<(Vec a, Vec b) { return {a.v < b.v}; }
  friend Mask<T> operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  friend Mask<T> operator>(Vec a, Vec b) { return {a.v > b.v}; }
  friend Mask<T> operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  friend Mask<T> operator==(Vec a, Vec b) { return {a.v == b.v}; }
  friend Mask<T> operator!=(Vec a, Vec b) { return {a.v != b.v}; }

 private:
#if defined(__AVX2__)
  static __m256i first(int64_t n) {
    const int32_t* at = first_lanes + 16 - n * static_cast<int64_t>(sizeof(T) / 4);
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
#endif
  template <class R> static Vec of(R raw) {
    static_assert(sizeof(R) == sizeof(Vec));
    Vec found;
    std::memcpy(&found.v, &raw, sizeof(raw));
    return found;
  }
};

template <class T> Vec<WholeOf<T>> bits(Vec<T> a) { return {reinterpret_cast<RawOf<WholeOf<T>>>(a.v)}; }
inline Vec<float> real(Vec<int32_t> a) { return {reinterpret_cast<RawOf<float>>(a.v)}; }
inline Vec<double> real(Vec<int64_t> a) { return {reinterpret_cast<RawOf<double>>(a.v)}; }

inline Vec<int32_t> operator&(Vec<int32_t> a, Vec<int32_t> b) { return {a.v & b.v}; }
inline Vec<int64_t> operator&(Vec<int64_t> a, Vec<int64_t> b) { return {a.v & b.v}; }
inline Vec<int32_t> operator|(Vec<int32_t> a, Vec<int32_t> b) { return {a.v | b.v}; }
inline Vec<int64_t> operator|(Vec<int64_t> a, Vec<int64_t> b) { return {a.v | b.v}; }
inline Vec<int32_t> operator^(Vec<int32_t> a, Vec<int32_t> b) { return {a.v ^ b.v}; }
inline Vec<int64_t> operator^(Vec<int64_t> a, Vec<int64_t> b) { return {a.v ^ b.v}; }
inline Vec<int32_t> operator<<(Vec<int32_t> a, int k) { return {a.v << k}; }
inline Vec<int64_t> operator<<(Vec<int64_t> a, int k) { return {a.v << k}; }
inline Vec<int32_t> operator>>(Vec<int32_t> a, int k) { return {a.v >> k}; }
inline Vec<int64_t> operator>>(Vec<int64_t> a, int k) { return {a.v >> k}; }
inline Vec<int32_t> logical(Vec<int32_t> a, int k) {
  return {reinterpret_cast<RawOf<int32_t>>(reinterpret_cast<RawOf<uint32_t>>(a.v) >> k)};
}
inline Vec<int64_t> logical(Vec<int64_t> a, int k) {
  return {reinterpret_cast<RawOf<int64_t>>(reinterpret_cast<RawOf<uint64_t>>(a.v) >> k)};
}

template <class T> Vec<T> select(Mask<T> m, Vec<T> a, Vec<T> b) { return {m.m ? a.v : b.v}; }
template <class T> bool any(Mask<T> m) {
#if defined(__AVX2__)
  if constexpr (register_bytes == 32) {
    __m256i raw;
    std::memcpy(&raw, &m.m, 32);
    return _mm256_movemask_epi8(raw) != 0;
  }
#endif
  bool found = false;
  for (int k = 0; k < Vec<T>::width; ++k) found |= m.m[k] != 0;
  return found;
}
template <class T> bool all(Mask<T> m) { return !any(~m); }

template <class T> Vec<T> negative(Vec<T> a) {
  if constexpr (T(0.5) != T(0)) {
    constexpr int sign = 8 * static_cast<int>(sizeof(T)) - 1;
    return real(bits(a) ^ (Vec<WholeOf<T>>::splat(1) << sign));
  } else {
    return {-a.v};
  }
}
template <class T> Vec<T> absolute(Vec<T> a) {
  constexpr int sign = 8 * static_cast<int>(sizeof(T)) - 1;
  const auto one = Vec<WholeOf<T>>::splat(1) << sign;
  return real(Vec<WholeOf<T>>{bits(a).v & ~one.v});
}

// -- what needs an instruction of its own ------------------------------------------------------------

// Each has a form for the registers there are, and one number by number, which is the reference.
#if !defined(GG_ONE_LANE) && defined(__AVX512F__)
#define GG_BY_REGISTER(T, wide, half, quarter) \
  if constexpr (register_bytes == 64) return {(RawOf<T>)(wide)};
#elif !defined(GG_ONE_LANE) && defined(__AVX2__)
#define GG_BY_REGISTER(T, wide, half, quarter) \
  if constexpr (register_bytes == 32) return {(RawOf<T>)(half)};
#elif !defined(GG_ONE_LANE) && defined(__ARM_NEON)
#define GG_BY_REGISTER(T, wide, half, quarter) \
  if constexpr (register_bytes == 16) return {(RawOf<T>)(quarter)};
#else
#define GG_BY_REGISTER(T, wide, half, quarter)
#endif

#define GG_LANES(T, expression)                                \
  Vec<T> found;                                                \
  for (int k = 0; k < Vec<T>::width; ++k) found.v[k] = expression; \
  return found;

inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  GG_BY_REGISTER(float, _mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v),
                 _mm256_fmadd_ps((__m256)a.v, (__m256)b.v, (__m256)c.v),
                 vfmaq_f32((float32x4_t)c.v, (float32x4_t)a.v, (float32x4_t)b.v))
  GG_LANES(float, __builtin_fmaf(a.v[k], b.v[k], c.v[k]))
}
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  GG_BY_REGISTER(double, _mm512_fmadd_pd((__m512d)a.v, (__m512d)b.v, (__m512d)c.v),
                 _mm256_fmadd_pd((__m256d)a.v, (__m256d)b.v, (__m256d)c.v),
                 vfmaq_f64((float64x2_t)c.v, (float64x2_t)a.v, (float64x2_t)b.v))
  GG_LANES(double, __builtin_fma(a.v[k], b.v[k], c.v[k]))
}

#define GG_ROUNDING(name, mode, neon, builtin)                                     \
  inline Vec<float> name(Vec<float> a) {                                           \
    GG_BY_REGISTER(float, _mm512_roundscale_ps((__m512)a.v, (mode) | 8),           \
                   _mm256_round_ps((__m256)a.v, (mode) | 8), neon##_f32((float32x4_t)a.v)) \
    GG_LANES(float, builtin##f(a.v[k]))                                            \
  }                                                                                \
  inline Vec<double> name(Vec<double> a) {                                         \
    GG_BY_REGISTER(double, _mm512_roundscale_pd((__m512d)a.v, (mode) | 8),         \
                   _mm256_round_pd((__m256d)a.v, (mode) | 8), neon##_f64((float64x2_t)a.v)) \
    GG_LANES(double, builtin(a.v[k]))                                              \
  }
GG_ROUNDING(round_even, 0, vrndnq, __builtin_nearbyint)
GG_ROUNDING(floor, 1, vrndmq, __builtin_floor)
GG_ROUNDING(ceil, 2, vrndpq, __builtin_ceil)
GG_ROUNDING(trunc, 3, vrndq, __builtin_trunc)
#undef GG_ROUNDING

inline Vec<float> sqrt(Vec<float> a) {
  GG_BY_REGISTER(float, _mm512_sqrt_ps((__m512)a.v), _mm256_sqrt_ps((__m256)a.v),
                 vsqrtq_f32((float32x4_t)a.v))
  GG_LANES(float, __builtin_sqrtf(a.v[k]))
}
inline Vec<double> sqrt(Vec<double> a) {
  GG_BY_REGISTER(double, _mm512_sqrt_pd((__m512d)a.v), _mm256_sqrt_pd((__m256d)a.v),
                 vsqrtq_f64((float64x2_t)a.v))
  GG_LANES(double, __builtin_sqrt(a.v[k]))
}

// a < b ? a : b and a > b ? a : b: the second where either is NaN, or where they are equal.
inline Vec<float> lesser(Vec<float> a, Vec<float> b) {
  GG_BY_REGISTER(float, _mm512_min_ps((__m512)a.v, (__m512)b.v),
                 _mm256_min_ps((__m256)a.v, (__m256)b.v), a.v < b.v ? a.v : b.v)
  return select(a < b, a, b);
}
inline Vec<double> lesser(Vec<double> a, Vec<double> b) {
  GG_BY_REGISTER(double, _mm512_min_pd((__m512d)a.v, (__m512d)b.v),
                 _mm256_min_pd((__m256d)a.v, (__m256d)b.v), a.v < b.v ? a.v : b.v)
  return select(a < b, a, b);
}
inline Vec<float> greater(Vec<float> a, Vec<float> b) {
  GG_BY_REGISTER(float, _mm512_max_ps((__m512)a.v, (__m512)b.v),
                 _mm256_max_ps((__m256)a.v, (__m256)b.v), a.v > b.v ? a.v : b.v)
  return select(a > b, a, b);
}
inline Vec<double> greater(Vec<double> a, Vec<double> b) {
  GG_BY_REGISTER(double, _mm512_max_pd((__m512d)a.v, (__m512d)b.v),
                 _mm256_max_pd((__m256d)a.v, (__m256d)b.v), a.v > b.v ? a.v : b.v)
  return select(a > b, a, b);
}

// NaN where either is; of zeros with two signs the second.
template <class T> Vec<T> maximum(Vec<T> a, Vec<T> b) { return select(a != a, a, greater(a, b)); }
template <class T> Vec<T> minimum(Vec<T> a, Vec<T> b) { return select(a != a, a, lesser(a, b)); }

// Whole numbers of the same size. Adding 1.5 * 2^23 (2^52) leaves a small one in the low bits.
inline Vec<int32_t> to_whole(Vec<float> a) {
  const auto magic = Vec<float>::splat(12582912.0f);
  return {bits(a + magic).v - bits(magic).v};
}
inline Vec<int64_t> to_whole(Vec<double> a) {
  const auto magic = Vec<double>::splat(6755399441055744.0);
  return {bits(a + magic).v - bits(magic).v};
}
inline Vec<float> to_real(Vec<int32_t> a) {
  const auto magic = Vec<float>::splat(12582912.0f);
  return real(Vec<int32_t>{a.v + bits(magic).v}) - magic;
}
inline Vec<double> to_real(Vec<int64_t> a) {
  const auto magic = Vec<double>::splat(6755399441055744.0);
  return real(Vec<int64_t>{a.v + bits(magic).v}) - magic;
}

}  // namespace
}  // namespace glassgrad::GG_ISA
