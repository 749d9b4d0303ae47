// Windows over images, number by number: what kernels/pool.h must equal, bit for bit.
#pragma once

#include "prepare/pool.h"

namespace glassgrad::GG_ISA {
namespace {

template <class T, class P>
struct PlainPool {
  const PoolTask& t;
  T* image;
  T* value;
  P* place;

  static constexpr P no_place = static_cast<P>(-1);

  int64_t along(int axis, int64_t tap) const {
    return tap / t.axis[axis].weight % t.axis[axis].kernel;
  }

  // The pixel of a window at a place in it.
  T& pixel(const int64_t* window, int64_t tap) const {
    int64_t at = 0;
    for (int a = 0; a < t.rank; ++a) {
      const PoolAxis& x = t.axis[a];
      at += (window[a] * x.stride + along(a, tap) * x.dilation) * x.step[pool_operand::image];
    }
    return image[at];
  }

  int64_t offset(const int64_t* window, int operand) const {
    int64_t at = 0;
    for (int a = 0; a < t.rank; ++a) at += window[a] * t.axis[a].step[operand];
    return at;
  }

  void one_window(const int64_t* window) const {
    T& y = value[offset(window, pool_operand::value)];
    P none = no_place;
    P& at = place ? place[offset(window, pool_operand::place)] : none;
    switch (t.kernel) {
      case Kernel::max_pool: {
        T best = pixel(window, 0);
        int64_t first = 0;
        for (int64_t tap = 1; tap < t.kernel_size; ++tap) {
          const T x = pixel(window, tap);
          if (x > best) first = tap;
          if (x > best || x != x) best = x;
        }
        y = best;
        at = (t.positive ? best > 0 : best == best) ? static_cast<P>(first) : no_place;
        return;
      }
      case Kernel::max_place:
        at = no_place;
        for (int64_t tap = t.kernel_size - 1; tap >= 0; --tap) {
          if (pixel(window, tap) == y && (y > 0 || !t.positive)) at = static_cast<P>(tap);
        }
        return;
      case Kernel::max_pick: {
        T sum = 0;
        for (int64_t tap = 0; tap < t.kernel_size; ++tap) sum += pixel(window, tap) * T(at == tap);
        y = sum;
        return;
      }
      default: {  // mean_pool
        T sum = pixel(window, 0);
        for (int64_t tap = 1; tap < t.kernel_size; ++tap) sum += pixel(window, tap);
        y = sum / static_cast<T>(t.kernel_size);
      }
    }
  }

  // What the windows that cover a pixel have for it, by its place in them.
  void one_pixel(const int64_t* at) const {
    T sum = 0;
    for (int64_t tap = 0; tap < t.kernel_size; ++tap) {
      int64_t window[pool_axes];
      bool covers = true;
      for (int a = 0; a < t.rank; ++a) {
        const PoolAxis& x = t.axis[a];
        const int64_t begin = at[a] - along(a, tap) * x.dilation;
        window[a] = begin / x.stride;
        covers = covers && begin >= 0 && begin % x.stride == 0 && window[a] < x.windows;
      }
      if (!covers) continue;
      const T d = value[offset(window, pool_operand::value) + tap * t.column];
      switch (t.kernel) {
        case Kernel::max_unpool: sum += d * T(place[offset(window, pool_operand::place)] == tap); break;
        case Kernel::mean_unpool: sum += d / static_cast<T>(t.kernel_size); break;
        default: sum += d;
      }
    }
    int64_t to = 0;
    for (int a = 0; a < t.rank; ++a) to += at[a] * t.axis[a].step[pool_operand::image];
    image[to] = sum;
  }

  void run(const Frame& f) const {
    const bool back = t.kernel == Kernel::max_unpool || t.kernel == Kernel::mean_unpool ||
                      t.kernel == Kernel::uncolumns;
    int64_t size[pool_axes], at[pool_axes] = {}, count = 1;
    for (int a = 0; a < t.rank; ++a) size[a] = back ? t.axis[a].pixels : t.axis[a].windows;
    const Range own = share_rows(size[0], f.part, f.parts);
    at[0] = own.begin;
    for (int a = 1; a < t.rank; ++a) count *= size[a];
    for (count *= own.end - own.begin; count > 0; --count) {
      back ? one_pixel(at) : one_window(at);
      for (int a = t.rank - 1; ++at[a] == size[a] && a > 0; --a) at[a] = 0;
    }
  }
};

template <class T, class P>
void run_pool_as(const PoolTask& t, const Frame& f) {
  const auto at = [&](int k) { return t.slot[k] < 0 ? nullptr : f.slot[t.slot[k]]; };
  PlainPool<T, P>{t, reinterpret_cast<T*>(at(pool_operand::image)),
                  reinterpret_cast<T*>(at(pool_operand::value)),
                  reinterpret_cast<P*>(at(pool_operand::place))}
      .run(f);
}

inline void run_pool(const PoolTask& t, const Frame& f) {
  if (t.dtype == DType::f32) t.wide ? run_pool_as<float, uint32_t>(t, f) : run_pool_as<float, uint8_t>(t, f);
  else t.wide ? run_pool_as<double, uint32_t>(t, f) : run_pool_as<double, uint8_t>(t, f);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
