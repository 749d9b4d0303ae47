// Philox4x64-10 (Salmon and others 2011), numbered as NumPy's generator numbers it: the key is the
// seed, the counter is (block + 1, 0, stream, step).
#pragma once

#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "prepare/random.h"

namespace glassgrad::GG_ISA {
namespace {
namespace philox {

struct Start {
  uint64_t seed, stream, step;
};

constexpr uint64_t multiplier_0 = 0xD2E7470EE14C6C93u, multiplier_1 = 0xCA5A826395121157u;
constexpr uint64_t key_step_0 = 0x9E3779B97F4A7C15u, key_step_1 = 0xBB67AE8584CAA73Bu;

// Numbers of 64 bits, as many as a register holds, each of a block of its own.
#if defined(__AVX512F__)

constexpr int width = 8;
using Words = uint64_t __attribute__((vector_size(64)));

inline Words product(Words a, Words b) {  // of the low halves
  return (Words)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);
}

inline Words low_halves(Words low, Words high) {  // as low and high half of one word
  return (Words)_mm512_mask_blend_epi32(0xAAAA, (__m512i)low, (__m512i)(high << 32));
}

#elif defined(__AVX2__)

constexpr int width = 4;
using Words = uint64_t __attribute__((vector_size(32)));

inline Words product(Words a, Words b) { return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

inline Words low_halves(Words low, Words high) {
  return (Words)_mm256_blend_epi32((__m256i)low, (__m256i)(high << 32), 0xAA);
}

#else

constexpr int width = 1;
using Words = uint64_t;

#endif

// a * multiplier, all 128 bits.
#if defined(__AVX2__)

inline void multiply(Words a, uint64_t multiplier, Words* low, Words* high) {
  const Words m0 = Words{} + (multiplier & 0xFFFFFFFFu), m1 = Words{} + (multiplier >> 32);
  const Words a1 = a >> 32;
  const Words p00 = product(a, m0), p01 = product(a, m1), p10 = product(a1, m0);
  const Words t = p10 + (p00 >> 32);
  const Words u = p01 + (t & 0xFFFFFFFFu);
  *high = product(a1, m1) + (t >> 32) + (u >> 32);
  *low = low_halves(p00, u);
}

#else

inline void multiply(Words a, uint64_t multiplier, Words* low, Words* high) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * multiplier;
  *low = static_cast<uint64_t>(product);
  *high = static_cast<uint64_t>(product >> 64);
}

#endif

// `width` blocks, side by side, to where their words belong.
inline void store(const Words c[4], uint64_t* words) {
#if defined(__AVX2__)
  for (int half = 0; half < width; half += 4) {
    __m256i side[4];
    for (int k = 0; k < 4; ++k) {
      side[k] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
          reinterpret_cast<const char*>(c + k) + half * 8));
    }
    const __m256i a = _mm256_unpacklo_epi64(side[0], side[1]);
    const __m256i b = _mm256_unpackhi_epi64(side[0], side[1]);
    const __m256i d = _mm256_unpacklo_epi64(side[2], side[3]);
    const __m256i e = _mm256_unpackhi_epi64(side[2], side[3]);
    __m256i* to = reinterpret_cast<__m256i*>(words + 4 * half);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(a, d, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(b, e, 0x20));
    _mm256_storeu_si256(to + 2, _mm256_permute2x128_si256(a, d, 0x31));
    _mm256_storeu_si256(to + 3, _mm256_permute2x128_si256(b, e, 0x31));
  }
#else
  for (int k = 0; k < 4; ++k) words[k] = c[k];
#endif
}

// Several registers at once, since each waits long for its products.
constexpr int registers = width == 1 ? 1 : 3;
constexpr int blocks_at_once = registers * width;

// The words of consecutive blocks.
inline void draw(const Start& start, uint64_t block, uint64_t* words) {
  Words c[registers][4];
  for (int r = 0; r < registers; ++r) {
    uint64_t counter[width];
    for (int k = 0; k < width; ++k) counter[k] = block + 1 + static_cast<uint64_t>(r * width + k);
    std::memcpy(&c[r][0], counter, sizeof counter);
    c[r][1] = Words{};
    c[r][2] = Words{} + start.stream;
    c[r][3] = Words{} + start.step;
  }
  uint64_t key_0 = start.seed, key_1 = 0;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    for (int r = 0; r < registers; ++r) {
      Words low_0, high_0, low_1, high_1;
      multiply(c[r][0], multiplier_0, &low_0, &high_0);
      multiply(c[r][2], multiplier_1, &low_1, &high_1);
      c[r][0] = high_1 ^ c[r][1] ^ key_0;
      c[r][1] = low_1;
      c[r][2] = high_0 ^ c[r][3] ^ key_1;
      c[r][3] = low_0;
    }
    key_0 += key_step_0;
    key_1 += key_step_1;
  }
  for (int r = 0; r < registers; ++r) store(c[r], words + 4 * r * width);
}

// What becomes of random bits: a number, or whether it is at least the threshold.
struct Number {
  void put(uint32_t bits, float* y) const {
    *y = static_cast<float>(static_cast<int32_t>(bits >> 8)) * 0x1p-24f;
  }
  void put(uint64_t bits, double* y) const {
    *y = static_cast<double>(static_cast<int64_t>(bits >> 11)) * 0x1p-53;
  }
};

struct AtLeast {
  uint64_t threshold;
  void put(uint32_t bits, uint8_t* y) const {
    *y = static_cast<int32_t>(bits >> 8) >= static_cast<int32_t>(threshold);
  }
  void put(uint64_t bits, uint8_t* y) const { *y = bits >> 11 >= threshold; }
};

// Some numbers of a stream, from a multiple of `random_unit` on. `Bits` of 32 are the halves of a
// word, the low one first.
template <typename Bits, typename T, typename Rule>
void fill(const Start& start, Range mine, const Rule& rule, T* y) {
  constexpr int64_t words_at_once = 96, per_word = 8 / sizeof(Bits);
  constexpr int64_t at_once = words_at_once * per_word;
  using Aliased __attribute__((may_alias)) = Bits;
  static_assert(words_at_once % (4 * blocks_at_once) == 0);
  alignas(64) uint64_t words[words_at_once];
  const Aliased* bits = reinterpret_cast<const Aliased*>(words);
  for (int64_t begin = mine.begin; begin < mine.end; begin += at_once) {
    const int64_t count = mine.end - begin < at_once ? mine.end - begin : at_once;
    const int64_t first = begin / per_word, needed = (count + per_word - 1) / per_word;
    for (int64_t i = 0; i < needed; i += 4 * blocks_at_once) {
      draw(start, static_cast<uint64_t>(first + i) / 4, words + i);
    }
    T* to = y + begin;
    if (count == at_once) {
      for (int64_t i = 0; i < at_once; ++i) rule.put(bits[i], to + i);
    } else {
      for (int64_t i = 0; i < count; ++i) rule.put(bits[i], to + i);
    }
  }
}

}  // namespace philox

inline void run_random(const RandomTask& task, const Frame& frame) {
  const auto word = [&](int slot) {
    return *reinterpret_cast<const uint64_t*>(frame.slot[slot]);
  };
  const philox::Start start{word(task.seed), task.stream, word(task.step)};
  Range mine = share((task.count + random_unit - 1) / random_unit, frame.part, frame.parts);
  mine.begin *= random_unit;
  mine.end = mine.end * random_unit < task.count ? mine.end * random_unit : task.count;
  char* y = frame.slot[task.result];
  const philox::AtLeast at_least{task.threshold};
  if (task.mask) {
    uint8_t* mask = reinterpret_cast<uint8_t*>(y);
    if (task.wide) return philox::fill<uint64_t>(start, mine, at_least, mask);
    return philox::fill<uint32_t>(start, mine, at_least, mask);
  }
  const philox::Number number;
  if (task.wide) return philox::fill<uint64_t>(start, mine, number, reinterpret_cast<double*>(y));
  philox::fill<uint32_t>(start, mine, number, reinterpret_cast<float*>(y));
}

}  // namespace
}  // namespace glassgrad::GG_ISA
