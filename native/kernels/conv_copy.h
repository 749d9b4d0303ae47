// Images copied into the order in which a convolution reads them, with a border of zeros.
#pragma once

#include <cstring>

#include "core/types.h"
#include "kernels/matmul_pack.h"
#include "kernels/vec.h"
#include "prepare/conv.h"

namespace glassgrad::GG_ISA {
namespace {

// Images of one sample or block: where position 0 lies, and steps in numbers.
template <class T>
struct Grid {
  const T* at;
  int64_t channel, space[max_space];
};

// The order of a copy: (z, y, x, channel), (channel, z, y, x, sample) or (channel, z, y, x).
template <class T>
Grid<T> grid_of(const ConvTask& t, const T* copy) {
  int64_t size[max_space], total = 1;
  for (int a = 0; a < max_space; ++a) total *= size[a] = t.before[a] + t.source_size[a] + t.after[a];
  const int64_t step = t.along == Along::channel ? t.channels : t.along == Along::batch ? samples : 1;
  Grid<T> g{copy, t.along == Along::channel ? 1 : total * step, {size[1] * size[2] * step, size[2] * step, step}};
  for (int a = 0; a < max_space; ++a) g.at += t.before[a] * g.space[a];
  return g;
}

inline int64_t copy_numbers(const ConvTask& t) {
  int64_t total = t.channels * (t.along == Along::batch ? samples : 1);
  for (int a = 0; a < max_space; ++a) total *= t.before[a] + t.source_size[a] + t.after[a];
  return total;
}

// A row of an image: most are so short that a call would take longer than the copy.
template <class T>
[[gnu::always_inline]] inline void copy_row(T* to, const T* from, int64_t step, int64_t count) {
  constexpr int64_t width = Vec<T>::width;
  if (step != 1 || count < width) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * step];
    return;
  }
  for (int64_t i = 0; i < count - width; i += width) Vec<T>::load(from + i).store(to + i);
  Vec<T>::load(from + count - width).store(to + count - width);  // may go over some numbers twice
}

// The border stays as it is while images come and go.
template <class T>
void clear_border(const ConvTask& t, T* copy) {
  if (t.copied) std::memset(copy, 0, static_cast<size_t>(copy_numbers(t)) * sizeof(T));
}

template <class T>
Grid<T> copied_source(const ConvTask& t, const T* from, int64_t n, T* copy) {
  const Grid<T> g = grid_of(t, static_cast<const T*>(copy));
  const int64_t count = t.n - n < samples ? t.n - n : samples, width = t.source_size[2];
  if (t.along == Along::batch && count < samples) clear_border(t, copy);  // of samples that are not there
  T* to = copy + (g.at - copy);
  for (int64_t channel = 0; channel < (t.along == Along::channel ? 1 : t.in); ++channel)
    for (int64_t z = 0; z < t.source_size[0]; ++z)
      for (int64_t y = 0; y < t.source_size[1]; ++y) {
        const T* row = from + channel * t.source.channel + z * t.source.space[0] + y * t.source.space[1];
        T* at = to + channel * g.channel + z * g.space[0] + y * g.space[1];
        const int64_t step = t.source.space[2];
        if (t.along == Along::channel) {
          if (t.source.channel == 1 && step == t.channels)
            std::memcpy(at, row, static_cast<size_t>(width * t.channels) * sizeof(T));
          else
            pack(at, t.channels, row, t.channels, t.source.channel, step, width);
        } else if (t.along == Along::batch) {
          pack(at, samples, row, count, t.source.n, step, width);
        } else {
          copy_row(at, row, step, width);
        }
      }
  return g;
}

// A group's derivatives as (place, channel).
template <class T>
void copy_places(const ConvTask& t, const T* from, T* to) {
  const int64_t width = t.result_size[2];
  for (int64_t z = 0; z < t.result_size[0]; ++z)
    for (int64_t y = 0; y < t.result_size[1]; ++y, to += width * t.out)
      pack(to, t.out, from + z * t.result.space[0] + y * t.result.space[1], t.out, t.result.channel,
           t.result.space[2], width);
}

// A group's derivatives as (channel, z, y, x, 16 samples), with zeros for samples that are not there, or as
// (channel, z, y, x).
template <class T>
void copy_lanes(const ConvTask& t, const T* from, int64_t n, T* to) {
  const int64_t count = t.n - n < samples ? t.n - n : samples, width = t.result_size[2];
  const int64_t row_numbers = t.along == Along::batch ? width * samples : width;
  if (t.along == Along::batch && count < samples)
    std::memset(to, 0, static_cast<size_t>(t.out * t.result_size[0] * t.result_size[1] * row_numbers) * sizeof(T));
  for (int64_t channel = 0; channel < t.out; ++channel)
    for (int64_t z = 0; z < t.result_size[0]; ++z)
      for (int64_t y = 0; y < t.result_size[1]; ++y, to += row_numbers) {
        const T* row = from + channel * t.result.channel + z * t.result.space[0] + y * t.result.space[1];
        if (t.along == Along::batch) pack(to, samples, row, count, t.result.n, t.result.space[2], width);
        else copy_row(to, row, t.result.space[2], width);
      }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
