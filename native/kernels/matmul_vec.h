// Stand-in until kernels/vec.h is here.
#pragma once
#include <cstdint>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <cstring>
#endif
namespace glassgrad::GG_ISA {
namespace {
#if defined(__AVX512F__)
template <class T> struct Vec;
template <> struct Vec<float> {
  static constexpr int size = 16;
  __m512 v;
  static __mmask16 mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec splat(const float* p) { return {_mm512_set1_ps(*p)}; }
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(mask(n), p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, mask(n), v); }
};
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec<float> add(Vec<float> a, Vec<float> b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec<float> relu(Vec<float> a) { return {_mm512_max_ps(_mm512_setzero_ps(), a.v)}; }
template <> struct Vec<double> {
  static constexpr int size = 8;
  __m512d v;
  static __mmask8 mask(int64_t n) { return static_cast<__mmask8>((1u << n) - 1u); }
  static Vec zero() { return {_mm512_setzero_pd()}; }
  static Vec splat(const double* p) { return {_mm512_set1_pd(*p)}; }
  static Vec load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static Vec load(const double* p, int64_t n) { return {_mm512_maskz_loadu_pd(mask(n), p)}; }
  void store(double* p) const { _mm512_storeu_pd(p, v); }
  void store(double* p, int64_t n) const { _mm512_mask_storeu_pd(p, mask(n), v); }
};
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
inline Vec<double> add(Vec<double> a, Vec<double> b) { return {_mm512_add_pd(a.v, b.v)}; }
inline Vec<double> relu(Vec<double> a) { return {_mm512_max_pd(_mm512_setzero_pd(), a.v)}; }
#elif defined(__AVX2__)
template <class T> struct Vec;
alignas(64) constexpr int32_t mask_bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
template <> struct Vec<float> {
  static constexpr int size = 8;
  __m256 v;
  static __m256i mask(int64_t n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_bits + 8 - n)); }
  static Vec zero() { return {_mm256_setzero_ps()}; }
  static Vec splat(const float* p) { return {_mm256_broadcast_ss(p)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec load(const float* p, int64_t n) { return {_mm256_maskload_ps(p, mask(n))}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store(float* p, int64_t n) const {  // in pieces: masked stores are slow
    __m128 x = _mm256_castps256_ps128(v);
    if (n & 4) {
      _mm_storeu_ps(p, x);
      x = _mm256_extractf128_ps(v, 1);
      p += 4;
    }
    if (n & 2) {
      _mm_storel_pi(reinterpret_cast<__m64*>(p), x);
      x = _mm_movehl_ps(x, x);
      p += 2;
    }
    if (n & 1) _mm_store_ss(p, x);
  }
};
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec<float> add(Vec<float> a, Vec<float> b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec<float> relu(Vec<float> a) { return {_mm256_max_ps(_mm256_setzero_ps(), a.v)}; }
template <> struct Vec<double> {
  static constexpr int size = 4;
  __m256d v;
  static __m256i mask(int64_t n) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_bits + 8 - 2 * n)); }
  static Vec zero() { return {_mm256_setzero_pd()}; }
  static Vec splat(const double* p) { return {_mm256_broadcast_sd(p)}; }
  static Vec load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static Vec load(const double* p, int64_t n) { return {_mm256_maskload_pd(p, mask(n))}; }
  void store(double* p) const { _mm256_storeu_pd(p, v); }
  void store(double* p, int64_t n) const {
    __m128d x = _mm256_castpd256_pd128(v);
    if (n & 2) {
      _mm_storeu_pd(p, x);
      x = _mm256_extractf128_pd(v, 1);
      p += 2;
    }
    if (n & 1) _mm_store_sd(p, x);
  }
};
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
inline Vec<double> add(Vec<double> a, Vec<double> b) { return {_mm256_add_pd(a.v, b.v)}; }
inline Vec<double> relu(Vec<double> a) { return {_mm256_max_pd(_mm256_setzero_pd(), a.v)}; }
#elif defined(__aarch64__)
template <class T> struct Vec;
template <> struct Vec<float> {
  static constexpr int size = 4;
  float32x4_t v;
  static Vec zero() { return {vdupq_n_f32(0)}; }
  static Vec splat(const float* p) { return {vld1q_dup_f32(p)}; }
  static Vec load(const float* p) { return {vld1q_f32(p)}; }
  static Vec load(const float* p, int64_t n) {
    float x[size] = {};
    for (int64_t i = 0; i < n; ++i) x[i] = p[i];
    return load(x);
  }
  void store(float* p) const { vst1q_f32(p, v); }
  void store(float* p, int64_t n) const {
    float x[size];
    store(x);
    for (int64_t i = 0; i < n; ++i) p[i] = x[i];
  }
};
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline Vec<float> add(Vec<float> a, Vec<float> b) { return {vaddq_f32(a.v, b.v)}; }
inline Vec<float> relu(Vec<float> a) {
  return {vbslq_f32(vcltzq_f32(a.v), vdupq_n_f32(0), a.v)};
}
template <> struct Vec<double> {
  static constexpr int size = 2;
  float64x2_t v;
  static Vec zero() { return {vdupq_n_f64(0)}; }
  static Vec splat(const double* p) { return {vld1q_dup_f64(p)}; }
  static Vec load(const double* p) { return {vld1q_f64(p)}; }
  static Vec load(const double* p, int64_t n) {
    double x[size] = {};
    for (int64_t i = 0; i < n; ++i) x[i] = p[i];
    return load(x);
  }
  void store(double* p) const { vst1q_f64(p, v); }
  void store(double* p, int64_t n) const {
    double x[size];
    store(x);
    for (int64_t i = 0; i < n; ++i) p[i] = x[i];
  }
};
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
inline Vec<double> add(Vec<double> a, Vec<double> b) { return {vaddq_f64(a.v, b.v)}; }
inline Vec<double> relu(Vec<double> a) {
  return {vbslq_f64(vcltzq_f64(a.v), vdupq_n_f64(0), a.v)};
}
#endif
}  // namespace
}  // namespace glassgrad::GG_ISA
