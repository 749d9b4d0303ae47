// Fused multiply-adds on registers alone, in as many independent chains as hide their latency: what
// the machine can do, and what a product's share is counted of.
#pragma once

#include "kernels/vec.h"

namespace glassgrad::GG_ISA {
namespace {

// Flop done; `sink` is written so that the work is not left out.
template <class T>
int64_t run_peak(int64_t rounds, T* sink) {
  constexpr int chains = 12;
  Vec<T> sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = Vec<T>::splat(static_cast<T>(c));
  const Vec<T> factor = Vec<T>::splat(static_cast<T>(0.5)), term = Vec<T>::splat(1);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = fma(sums[c], factor, term);
  }
  for (int c = 1; c < chains; ++c) sums[0] = sums[0] + sums[c];
  *sink = sums[0][0];
  return rounds * chains * Vec<T>::width * 2;
}

}  // namespace
}  // namespace glassgrad::GG_ISA
