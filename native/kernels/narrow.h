// Small whole numbers that are kept in one byte or four each, and as many of them as Vec<T> has numbers.
#pragma once

#include "kernels/vec.h"

namespace glassgrad::GG_ISA {
namespace {

// One after the other, widened.
template <class I, class P>
[[gnu::always_inline]] inline Vec<I> widened(const P* from) {
#if defined(__AVX512F__)
  if constexpr (register_bytes == 64 && sizeof(P) == 1) {
    __m128i raw{};
    std::memcpy(&raw, from, Vec<I>::width);
    if constexpr (sizeof(I) == 4) return {(RawOf<I>)_mm512_cvtepu8_epi32(raw)};
    else return {(RawOf<I>)_mm512_cvtepu8_epi64(raw)};
  }
#endif
#if defined(__AVX2__)
  if constexpr (register_bytes == 32 && sizeof(P) == 1) {
    int64_t raw = 0;
    std::memcpy(&raw, from, Vec<I>::width);
    if constexpr (sizeof(I) == 4) return {(RawOf<I>)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(raw))};
    else return {(RawOf<I>)_mm256_cvtepu8_epi64(_mm_cvtsi64_si128(raw))};
  }
#endif
  Vec<I> found;
  for (int k = 0; k < Vec<I>::width; ++k) found.v[k] = static_cast<I>(from[k]);
  return found;
}

// The low bits of each, one after the other.
template <class I, class P>
[[gnu::always_inline]] inline void narrowed(Vec<I> v, P* to) {
#if defined(__AVX512F__)
  if constexpr (register_bytes == 64 && sizeof(P) == 1) {
    __m128i raw;
    if constexpr (sizeof(I) == 4) raw = _mm512_cvtepi32_epi8((__m512i)v.v);
    else raw = _mm512_cvtepi64_epi8((__m512i)v.v);
    std::memcpy(to, &raw, Vec<I>::width);
    return;
  }
#endif
#if defined(__AVX2__)
  if constexpr (register_bytes == 32 && sizeof(P) == 1) {
    // The low bytes come to the beginning of each half, and the halves together.
    const __m128i low = sizeof(I) == 4
        ? _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)
        : _mm_setr_epi8(0, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i both = _mm256_shuffle_epi8((__m256i)v.v, _mm256_broadcastsi128_si256(low));
    const __m128i first = _mm256_castsi256_si128(both), second = _mm256_extracti128_si256(both, 1);
    const int64_t raw = _mm_cvtsi128_si64(sizeof(I) == 4 ? _mm_unpacklo_epi32(first, second)
                                                         : _mm_unpacklo_epi16(first, second));
    std::memcpy(to, &raw, Vec<I>::width);
    return;
  }
#endif
  for (int k = 0; k < Vec<I>::width; ++k) to[k] = static_cast<P>(v.v[k]);
}

// 1 where a window's place is this one, 0 elsewhere.
template <class T>
Vec<T> is_place(Vec<WholeOf<T>> place, int64_t tap) {
  const Mask<WholeOf<T>> same = place == Vec<WholeOf<T>>::splat(static_cast<WholeOf<T>>(tap));
  return select(Mask<T>{same.m}, Vec<T>::splat(1), Vec<T>::splat(0));
}

}  // namespace
}  // namespace glassgrad::GG_ISA
