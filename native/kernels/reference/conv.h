// Convolutions by plain loops, number by number: what kernels/conv.h must equal.
#pragma once

#include "core/types.h"
#include "kernels/reference/matmul.h"
#include "prepare/conv.h"

namespace glassgrad::GG_ISA {
namespace {

template <class T>
struct PlainConv {
  const ConvTask& t;
  const Frame& frame;

  T* images(const Images& i, int64_t n, int64_t channel, const int64_t* at) const {
    return reinterpret_cast<T*>(frame.slot[i.slot]) + n * i.n + channel * i.channel + at[0] * i.space[0] +
           at[1] * i.space[1] + at[2] * i.space[2];
  }

  // What a tap of the window meets at a place of the result: a number of the source, or 0 beside it.
  // False where it meets none, between the strides.
  bool meets(const int64_t* place, const int64_t* tap, int64_t* at, bool* inside) const {
    *inside = true;
    for (int a = 0; a < max_space; ++a) {
      at[a] = t.back ? place[a] + t.padding[a] - tap[a] * t.dilation[a]
                     : place[a] * t.stride[a] + tap[a] * t.dilation[a] - t.padding[a];
      if (t.back && at[a] % t.stride[a] != 0) return false;
      if (t.back) at[a] /= t.stride[a];
      *inside = *inside && at[a] >= 0 && at[a] < t.source_size[a];
    }
    return true;
  }

  // fma(number of the source, w, sum); q counts the channels of all groups
  int64_t channel_of(int64_t group, int64_t o, int64_t q) const { return t.each ? o : group * t.in + q; }

  void add(T* sum, int64_t n, int64_t q, const int64_t* place, const int64_t* tap, T w) const {
    int64_t at[max_space];
    bool inside;
    if (!meets(place, tap, at, &inside)) return;
    const T x = inside ? *images(t.source, n, q, at) : T(0);
    *sum = multiply_add(w, x, *sum);
  }

  template <class Do>
  static void each(const int64_t* size, Do&& act) {
    int64_t at[max_space];
    for (at[0] = 0; at[0] < size[0]; ++at[0])
      for (at[1] = 0; at[1] < size[1]; ++at[1])
        for (at[2] = 0; at[2] < size[2]; ++at[2]) act(at);
  }

  T sum_of(int64_t n, int64_t group, int64_t o, const int64_t* place) const {
    T sum = 0;
    const auto weight = [&](int64_t q, const int64_t* tap) {
      const int64_t group_at = group * (t.back ? t.in * t.weight_in : t.out * t.weight_out);
      return reinterpret_cast<const T*>(frame.slot[t.weight_slot])[group_at + o * t.weight_out + q * t.weight_in +
                                                                   tap[0] * t.weight_space[0] + tap[1] * t.weight_space[1] +
                                                                   tap[2] * t.weight_space[2]];
    };
    if (t.along == Along::channel)
      each(t.window, [&](const int64_t* tap) {
        for (int64_t q = 0; q < t.in; ++q) add(&sum, n, channel_of(group, o, q), place, tap, weight(q, tap));
      });
    else
      for (int64_t q = 0; q < t.in; ++q)
        each(t.window, [&](const int64_t* tap) {
          add(&sum, n, channel_of(group, o, q), place, tap, weight(q, tap));
        });
    return sum;
  }

  void forward() const {
    const int64_t block = t.along == Along::batch ? samples : 1, units = (t.n + block - 1) / block;
    const Range mine = share(t.groups * units, frame.part, frame.parts);
    for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
      const int64_t group = unit / units, begin = unit % units * block;
      for (int64_t n = begin; n < t.n && n < begin + block; ++n)
        for (int64_t o = 0; o < t.out; ++o)
          each(t.result_size, [&](const int64_t* place) {
            const int64_t channel = group * t.out + o;
            T x = sum_of(n, group, o, place);
            if (t.bias_slot >= 0) x += reinterpret_cast<const T*>(frame.slot[t.bias_slot])[channel * t.bias_step];
            if (t.relu) x = x <= 0 ? T(0) : x;
            if (t.gate.slot >= 0) x *= *images(t.gate, n, channel, place) > 0 ? T(1) : T(0);
            *images(t.result, n, channel, place) = x;
          });
    }
  }

  // One number of a chunk of the kernels' derivative.
  T weight_sum(int64_t chunk, int64_t group, int64_t o, int64_t q, const int64_t* tap) const {
    const int64_t block = t.along == Along::batch ? samples : 1, blocks = (t.n + block - 1) / block;
    const Range mine = share(blocks, static_cast<int>(chunk), static_cast<int>(t.chunks));
    T lane[lanes] = {};
    const auto take = [&](int64_t n, const int64_t* place, int l) {
      add(lane + l, n, channel_of(group, o, q), place, tap, *images(t.result, n, group * t.out + o, place));
    };
    for (int64_t b = mine.begin; b < mine.end; ++b)
      each(t.result_size, [&](const int64_t* place) {
        if (t.along == Along::batch)
          for (int l = 0; l < lanes && b * block + l < t.n; ++l) take(b * block + l, place, l);
        else
          take(b, place, t.along == Along::row ? static_cast<int>(place[2] % lanes) : 0);
      });
    if (t.along == Along::channel) return lane[0];
    for (int apart = lanes / 2; apart > 0; apart /= 2)
      for (int l = 0; l < apart; ++l) lane[l] += lane[l + apart];
    return lane[0];
  }

  void weights() const {
    const Range mine = share(t.groups * t.chunks, frame.part, frame.parts);
    for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
      const int64_t chunk = unit % t.chunks, group = unit / t.chunks;
      T* to = reinterpret_cast<T*>(frame.slot[t.partial_slot]) + chunk * t.partial_chunk;
      for (int64_t o = 0; o < t.out; ++o)
        for (int64_t q = 0; q < t.in; ++q)
          each(t.window, [&](const int64_t* tap) {
            to[(group * t.out + o) * t.partial_out + q * t.partial_in + tap[0] * t.partial_space[0] +
               tap[1] * t.partial_space[1] + tap[2] * t.partial_space[2]] = weight_sum(chunk, group, o, q, tap);
          });
    }
  }
};

inline void run_conv(const ConvTask& t, const Frame& frame) {
  const bool weights = t.partial_slot >= 0;
  if (t.dtype == DType::f32) weights ? PlainConv<float>{t, frame}.weights() : PlainConv<float>{t, frame}.forward();
  else weights ? PlainConv<double>{t, frame}.weights() : PlainConv<double>{t, frame}.forward();
}

}  // namespace
}  // namespace glassgrad::GG_ISA
