// What windows give back to images where they share pixels: pixel after pixel, the sum of what the windows that
// cover it have for it. Parts have pixels of their own, so that they never meet.
#pragma once

#include "kernels/narrow.h"
#include "kernels/pool_move.h"
#include "prepare/pool.h"

namespace glassgrad::GG_ISA {
namespace {

// What a window has for its pixel at a place, added to the sums of so many pixels.

template <class T>
struct AddToLargest {
  template <class P>
  static void add(T* sum, const T* d, const P* place, int64_t tap, int64_t, int64_t count) {
    constexpr int width = Vec<T>::width;
    int64_t i = 0;
    for (; i + width <= count; i += width) {
      const Vec<T> is = is_place<T>(widened<WholeOf<T>>(place + i), tap);
      fma(Vec<T>::load(d + i), is, Vec<T>::load(sum + i)).store(sum + i);
    }
    for (; i < count; ++i) sum[i] += d[i] * static_cast<T>(place[i] == static_cast<P>(tap));
  }
};

template <class T>
struct AddToAll {
  template <class P>
  static void add(T* sum, const T* d, const P*, int64_t, int64_t taps, int64_t count) {
    constexpr int width = Vec<T>::width;
    const T size = static_cast<T>(taps);
    int64_t i = 0;
    for (; i + width <= count; i += width) {
      (Vec<T>::load(sum + i) + Vec<T>::load(d + i) / Vec<T>::splat(size)).store(sum + i);
    }
    for (; i < count; ++i) sum[i] += d[i] / size;
  }
};

template <class T>
struct AddColumns {
  template <class P>
  static void add(T* sum, const T* d, const P*, int64_t, int64_t, int64_t count) {
    constexpr int width = Vec<T>::width;
    int64_t i = 0;
    for (; i + width <= count; i += width) (Vec<T>::load(sum + i) + Vec<T>::load(d + i)).store(sum + i);
    for (; i < count; ++i) sum[i] += d[i];
  }
};

// Along one axis the windows that cover a pixel, by ascending place: window, and place along the axis, of the
// first, and the steps to the next.
struct Cover {
  int64_t window, along, count;
};

struct CoverSteps {
  int64_t window, along;

  explicit CoverSteps(const PoolAxis& x) {
    int64_t a = x.stride, b = x.dilation;
    while (b != 0) {
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    window = x.dilation / a;
    along = x.stride / a;
  }

  Cover of(const PoolAxis& x, int64_t pixel) const {
    if (x.kernel == 1 && x.windows == x.pixels) return {pixel, 0, 1};
    int64_t k = 0;
    while (k < along && k < x.kernel && (pixel - k * x.dilation) % x.stride != 0) ++k;
    if (k == along || k == x.kernel) return {0, 0, 0};
    int64_t p = (pixel - k * x.dilation) / x.stride;
    if (p >= x.windows) {  // the first of them lie beyond the last window
      const int64_t skipped = (p - x.windows + window) / window;
      k += skipped * along;
      p -= skipped * window;
    }
    if (k >= x.kernel || p < 0) return {0, 0, 0};
    const int64_t by_kernel = (x.kernel - 1 - k) / along, by_window = p / window;
    return {p, k, 1 + (by_kernel < by_window ? by_kernel : by_window)};
  }
};

// Row after row along the last axis. Where windows slide along it, too, the sums of every `stride`th pixel lie
// together while they are made, so that the numbers of windows side by side are added at once.
template <class Work, class T, class P>
struct PixelRows {
  const PoolTask& t;
  const PoolAxis& last;
  T *image, *value, *sums, *value_room;
  P *place, *place_room;
  int64_t phase;  // pixels of a row that are `stride` apart

  // The row's windows that lie at these places along the other axes.
  void add(T* sum, int64_t tap, int64_t value_at, int64_t place_at) const {
    const int64_t *step = last.step, count = last.windows;
    T* d = value + value_at + tap * t.column;
    P* at = place ? place + place_at : nullptr;
    if (step[pool_operand::value] != 1) {
      move_in(d, value_room, Lie{0, step[pool_operand::value], 1, count});
      d = value_room;
    }
    if (at != nullptr && step[pool_operand::place] != 1) {
      move_in(at, place_room, Lie{0, step[pool_operand::place], 1, count});
      at = place_room;
    }
    Work::add(sum, d, at, tap, t.kernel_size, count);
  }

  // All that cover a row, by ascending place in their window.
  void add_all(T* sum, const Cover* cover, const CoverSteps* steps) const {
    for (int a = 0; a < t.rank; ++a) {
      if (cover[a].count == 0) return;
    }
    int64_t next[pool_axes] = {};
    for (;;) {
      int64_t tap = 0, value_at = 0, place_at = 0, along = 0;
      for (int a = 0; a < t.rank; ++a) {
        const PoolAxis& x = t.axis[a];
        const int64_t k = cover[a].along + next[a] * steps[a].along;
        const int64_t p = cover[a].window - next[a] * steps[a].window;
        tap += k * x.weight;
        value_at += p * x.step[pool_operand::value];
        place_at += p * x.step[pool_operand::place];
        if (a == t.rank - 1) along = k * x.dilation;
      }
      add(sum + along % last.stride * phase + along / last.stride, tap, value_at, place_at);
      int i = t.rank - 1;
      for (; i >= 0; --i) {
        const int a = t.by_place[i];
        if (++next[a] < cover[a].count) break;
        next[a] = 0;
      }
      if (i < 0) return;
    }
  }

  void store(const T* sum, T* row) const {
    const int64_t step = last.step[pool_operand::image];
    const bool pairs = last.stride == 2 && step == 1 && last.pixels >= 2;
    if (pairs) join_pairs(sum, sum + phase, row, Lie{0, 0, 1, last.pixels / 2});
    for (int64_t begin = 0; begin < last.stride && begin < last.pixels; ++begin) {
      const int64_t count = (last.pixels - begin + last.stride - 1) / last.stride;
      const int64_t done = pairs ? last.pixels / 2 : 0;
      move_out(sum + begin * phase + done, row + (begin + done * last.stride) * step,
               Lie{0, last.stride * step, 1, count - done});
    }
  }

  void run(Range own) const {
    CoverSteps steps[pool_axes] = {CoverSteps(t.axis[0]), CoverSteps(t.axis[1]), CoverSteps(t.axis[2]),
                                   CoverSteps(t.axis[3]), CoverSteps(t.axis[4])};
    Cover cover[pool_axes];
    int64_t at[pool_axes] = {own.begin}, rows = own.end - own.begin;
    for (int a = 1; a < t.rank - 1; ++a) rows *= t.axis[a].pixels;
    // Along the last axis a row's windows are taken together, place by place.
    cover[t.rank - 1] = {0, 0, last.kernel};
    steps[t.rank - 1].along = 1;
    steps[t.rank - 1].window = 0;
    for (; rows > 0; --rows) {
      T* row = image;
      for (int a = 0; a < t.rank - 1; ++a) {
        cover[a] = steps[a].of(t.axis[a], at[a]);
        row += at[a] * t.axis[a].step[pool_operand::image];
      }
      T* sum = t.direct ? row : sums;
      const int64_t count = t.direct ? last.pixels : phase * last.stride;
      for (int64_t i = 0; i < count; ++i) sum[i] = 0;
      add_all(sum, cover, steps);
      if (!t.direct) store(sum, row);
      for (int a = t.rank - 2; a >= 0 && ++at[a] == t.axis[a].pixels && a > 0; --a) at[a] = 0;
    }
  }
};

template <class Work, class T, class P>
void all_pixels(const PoolTask& t, const Frame& f, Range own) {
  const auto at = [&](int k) { return t.slot[k] < 0 ? nullptr : f.slot[t.slot[k]]; };
  const PoolAxis& last = t.axis[t.rank - 1];
  PixelRows<Work, T, P>{
      t,
      last,
      reinterpret_cast<T*>(at(pool_operand::image)),
      reinterpret_cast<T*>(at(pool_operand::value)),
      reinterpret_cast<T*>(f.scratch + t.stage),
      reinterpret_cast<T*>(f.scratch + t.value_at),
      reinterpret_cast<P*>(at(pool_operand::place)),
      reinterpret_cast<P*>(f.scratch + t.place_at),
      (last.pixels + last.stride - 1) / last.stride,
  }
      .run(own);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
