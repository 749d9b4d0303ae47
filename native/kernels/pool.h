// Windows over images. Vectors go along the axis on which the result lies together, whichever it is. Where the
// other operands do not lie so, pieces of them are moved together first, the pixels of each place in a window
// apart, so that the same loops work on them.
//
// Every sum is over a window's places, or over those of the windows that cover a pixel, in ascending order.
// What windows that share pixels give back is in pool_pixels.h.
#pragma once

#include "kernels/pool_move.h"
#include "kernels/pool_pixels.h"
#include "kernels/walk.h"

namespace glassgrad::GG_ISA {
namespace {

// -- windows ------------------------------------------------------------------------------------------

// Windows side by side: rows of them, and where the pixels of each lie from its first one on.
template <class T, class P>
struct Windows {
  T* image;
  T* value;
  P* place;
  int64_t image_row, value_row, place_row;
  int64_t rows, length;
  int64_t over;  // rows of less than a register that may run over into the next ones
  const int64_t* tap;
  int64_t taps;
};

// A register full of numbers, or fewer.
template <class T>
struct Full {
  static Vec<T> load(const T* p) { return Vec<T>::load(p); }
  static void store(Vec<T> v, T* p) { v.store(p); }
  template <class P> static Vec<WholeOf<T>> places(const P* p) { return widened<WholeOf<T>>(p); }
  template <class P> static void store_places(Vec<WholeOf<T>> v, P* p) { narrowed(v, p); }
};

template <class T>
struct Some {
  int64_t count;
  Vec<T> load(const T* p) const { return Vec<T>::load_first(p, count); }
  void store(Vec<T> v, T* p) const { v.store_first(p, count); }
  template <class P> Vec<WholeOf<T>> places(const P* p) const {
    P all[Vec<T>::width] = {};
    for (int64_t k = 0; k < count; ++k) all[k] = p[k];
    return widened<WholeOf<T>>(all);
  }
  template <class P> void store_places(Vec<WholeOf<T>> v, P* p) const {
    P all[Vec<T>::width];
    narrowed(v, all);
    for (int64_t k = 0; k < count; ++k) p[k] = all[k];
  }
};

// What is done for as many windows as a register has numbers: their first pixels, values and places are at
// the pointers. Full<T> or Some<T> says how many there are.
enum class Use { none, read, written };

template <class T, bool keeps_places>
struct TakeLargest {
  static constexpr Use image = Use::read, value = Use::written;
  static constexpr Use place = keeps_places ? Use::written : Use::none;
  T least;  // of what has a place

  template <class Count, class P>
  [[gnu::always_inline]] void operator()(Count n, const T* x, T* y, [[maybe_unused]] P* at,
                                         const int64_t* tap, int64_t taps) const {
    using I = WholeOf<T>;
    Vec<T> best = n.load(x + tap[0]);
    Vec<I> first = Vec<I>::splat(0);
    for (int64_t k = 1; k < taps; ++k) {
      const Vec<T> other = n.load(x + tap[k]);
      if constexpr (keeps_places) {
        first = select(Mask<I>{(other > best).m}, Vec<I>::splat(static_cast<I>(k)), first);
      }
      best = maximum(other, best);
    }
    n.store(best, y);
    if constexpr (keeps_places) {
      const Mask<T> has = best >= Vec<T>::splat(least);
      n.store_places(select(Mask<I>{has.m}, first, Vec<I>::splat(-1)), at);
    }
  }
};

template <class T>
struct FindLargest {
  static constexpr Use image = Use::read, value = Use::read, place = Use::written;
  T least;

  template <class Count, class P>
  [[gnu::always_inline]] void operator()(Count n, const T* x, const T* y, P* at, const int64_t* tap,
                                         int64_t taps) const {
    using I = WholeOf<T>;
    const Vec<T> best = n.load(y);
    Vec<I> first = Vec<I>::splat(-1);
    for (int64_t k = taps; k-- > 0;) {
      const Mask<T> here = n.load(x + tap[k]) == best;
      first = select(Mask<I>{here.m}, Vec<I>::splat(static_cast<I>(k)), first);
    }
    const Mask<T> has = best >= Vec<T>::splat(least);
    n.store_places(select(Mask<I>{has.m}, first, Vec<I>::splat(-1)), at);
  }
};

template <class T>
struct PickLargest {
  static constexpr Use image = Use::read, value = Use::written, place = Use::read;

  template <class Count, class P>
  [[gnu::always_inline]] void operator()(Count n, const T* v, T* y, const P* at, const int64_t* tap,
                                         int64_t taps) const {
    const Vec<WholeOf<T>> first = n.places(at);
    Vec<T> sum = Vec<T>::splat(0);
    for (int64_t k = 0; k < taps; ++k) {
      sum = fma(n.load(v + tap[k]), is_place<T>(first, k), sum);  // a product with 0 or 1 is exact
    }
    n.store(sum, y);
  }
};

template <class T>
struct TakeMean {
  static constexpr Use image = Use::read, value = Use::written, place = Use::none;

  template <class Count, class P>
  [[gnu::always_inline]] void operator()(Count n, const T* x, T* y, P*, const int64_t* tap,
                                         int64_t taps) const {
    Vec<T> sum = n.load(x + tap[0]);
    for (int64_t k = 1; k < taps; ++k) sum = sum + n.load(x + tap[k]);
    n.store(sum / Vec<T>::splat(static_cast<T>(taps)), y);
  }
};

template <class T>
struct GiveToLargest {
  static constexpr Use image = Use::written, value = Use::read, place = Use::read;

  template <class Count, class P>
  [[gnu::always_inline]] void operator()(Count n, T* dx, const T* d, const P* at, const int64_t* tap,
                                         int64_t taps) const {
    const Vec<T> all = n.load(d), zero = Vec<T>::splat(0);
    const Vec<WholeOf<T>> first = n.places(at);
    for (int64_t k = 0; k < taps; ++k) n.store(fma(all, is_place<T>(first, k), zero), dx + tap[k]);
  }
};

template <class T>
struct GiveToAll {
  static constexpr Use image = Use::written, value = Use::read, place = Use::none;

  template <class Count, class P>
  [[gnu::always_inline]] void operator()(Count n, T* dx, const T* d, P*, const int64_t* tap,
                                         int64_t taps) const {
    const Vec<T> share = Vec<T>::splat(0) + n.load(d) / Vec<T>::splat(static_cast<T>(taps));
    for (int64_t k = 0; k < taps; ++k) n.store(share, dx + tap[k]);
  }
};

// `known` pixels in a window, or 0 where the number is only known now.
template <int known, class T, class P, class Work>
void do_windows(const Windows<T, P>& w, const Work& work) {
  constexpr int width = Vec<T>::width;
  int64_t kept[known ? known : 1];
  for (int k = 0; k < known; ++k) kept[k] = w.tap[k];
  const int64_t* tap = known ? kept : w.tap;
  const int64_t taps = known ? known : w.taps;
  T *image = w.image, *value = w.value;
  P* place = w.place;
  const auto from = [](P* p, int64_t i) { return Work::place != Use::none ? p + i : p; };
  for (int64_t row = 0; row < w.rows; ++row) {
    int64_t i = 0;
    for (; i + width <= w.length; i += width) work(Full<T>{}, image + i, value + i, from(place, i), tap, taps);
    if (i < w.length) {
      if (w.length > width) {  // the last ones are done once more
        i = w.length - width;
        work(Full<T>{}, image + i, value + i, from(place, i), tap, taps);
      } else if (row < w.over) {
        work(Full<T>{}, image, value, place, tap, taps);
      } else {
        work(Some<T>{w.length}, image, value, place, tap, taps);
      }
    }
    image += w.image_row;
    value += w.value_row;
    place = from(place, w.place_row);
  }
}

template <class T, class P, class Work>
void do_windows(const Windows<T, P>& w, const Work& work) {
  if (w.taps == 4) return do_windows<4>(w, work);
  do_windows<0>(w, work);
}

// All windows of a part, as rows along the last axis; those of the axis before are taken together.
struct WindowRows {
  Places<pool_operand::count> outer{};
  int64_t rows = 1;
  int64_t row[pool_operand::count] = {};

  WindowRows(const PoolTask& t, Range own) {
    outer.count = 1;
    for (int a = 0; a < t.rank - 1; ++a) {
      const PoolAxis& x = t.axis[a];
      const int64_t size = a == 0 ? own.end - own.begin : x.windows;
      outer.count *= size;
      if (size == 1) continue;
      const int64_t step[] = {x.step[0] * x.stride, x.step[1], x.step[2]};
      bool merges = outer.rank > 0;
      for (int k = 0; k < pool_operand::count; ++k) {
        merges = merges && outer.stride[outer.rank - 1][k] == step[k] * size;
      }
      const int to = merges ? outer.rank - 1 : outer.rank++;
      outer.size[to] = (merges ? outer.size[to] : 1) * size;
      for (int k = 0; k < pool_operand::count; ++k) outer.stride[to][k] = step[k];
    }
    if (outer.rank == 0 || outer.count == 0) return;
    --outer.rank;
    rows = outer.size[outer.rank];
    outer.count /= rows;
    for (int k = 0; k < pool_operand::count; ++k) row[k] = outer.stride[outer.rank][k];
  }
};

template <class T, class P>
struct Pool {
  const PoolTask& t;
  T *image, *value;
  P* place;
  char* scratch;

  Pool(const PoolTask& task, const Frame& f) : t(task), scratch(f.scratch) {
    const auto at = [&](int k) { return t.slot[k] < 0 ? nullptr : f.slot[t.slot[k]]; };
    image = reinterpret_cast<T*>(at(pool_operand::image));
    value = reinterpret_cast<T*>(at(pool_operand::value));
    place = reinterpret_cast<P*>(at(pool_operand::place));
  }

  const PoolAxis& last() const { return t.axis[t.rank - 1]; }

  // Where the pixels of a window lie, from its first one on.
  void find_taps(int64_t* tap) const {
    for (int64_t k = 0; k < t.kernel_size; ++k) {
      tap[k] = 0;
      for (int a = 0; a < t.rank; ++a) {
        const PoolAxis& x = t.axis[a];
        tap[k] += k / x.weight % x.kernel * x.step[pool_operand::image];
      }
    }
  }

  // Rows of fewer numbers than a register has may run over into what comes next, if that is written later.
  int64_t rows_that_run_over(const WindowRows& rows, bool writes_image) const {
    const PoolAxis& x = t.axis[t.rank - 2];
    const int64_t length = last().windows, beyond = Vec<T>::width - length;
    if (beyond <= 0 || rows.row[pool_operand::value] != length) return 0;
    if (place != nullptr && rows.row[pool_operand::place] != length) return 0;
    if (x.step[pool_operand::image] != length || rows.row[pool_operand::image] != length * x.stride) return 0;
    if (writes_image && x.kernel != x.stride) return 0;
    const int64_t masked = (beyond + length - 1) / length;
    return rows.rows > masked ? rows.rows - masked : 0;
  }

  template <class Work>
  void all_windows(Range own, const Work& work) const {
    constexpr bool gives = Work::image == Use::written;
    if (gives && !t.covered) clear_pixels(own);
    int64_t* tap = reinterpret_cast<int64_t*>(scratch);
    find_taps(tap);
    const WindowRows rows(t, own);
    const PoolAxis& first = t.axis[0];
    T* const image_begin = image + own.begin * first.stride * first.step[pool_operand::image];
    T* const value_begin = value + own.begin * first.step[pool_operand::value];
    P* const place_begin = place ? place + own.begin * first.step[pool_operand::place] : nullptr;
    Walk<pool_operand::count> walk(rows.outer, 0);
    for (int64_t i = 0; i < rows.outer.count; ++i, walk.next()) {
      Windows<T, P> w{
          image_begin + walk.offset[pool_operand::image],
          value_begin + walk.offset[pool_operand::value],
          place ? place_begin + walk.offset[pool_operand::place] : nullptr,
          rows.row[pool_operand::image],
          rows.row[pool_operand::value],
          rows.row[pool_operand::place],
          rows.rows,
          last().windows,
          0,
          tap,
          t.kernel_size};
      if (t.direct) {
        w.over = rows_that_run_over(rows, gives);
        do_windows(w, work);
      } else {
        move_windows(w, work);
      }
    }
  }

  // As many windows at a time as fit into scratch: the pixels at each place in a window one after the other.
  template <class Work>
  void move_windows(const Windows<T, P>& all, const Work& work) const {
    const int64_t* step = last().step;
    const int64_t image_step = last().stride * step[pool_operand::image];
    for (int64_t row = 0; row < all.rows; row += t.rows) {
      const int64_t rows = all.rows - row < t.rows ? all.rows - row : t.rows;
      for (int64_t at = 0; at < all.length; at += t.length) {
        const int64_t length = all.length - at < t.length ? all.length - at : t.length;
        const Lie of_image{all.image_row, image_step, rows, length};
        const Lie of_value{all.value_row, step[pool_operand::value], rows, length};
        const Lie of_place{all.place_row, step[pool_operand::place], rows, length};
        T* const image_at = all.image + row * all.image_row + at * image_step;
        T* const value_at = all.value + row * all.value_row + at * of_value.step;
        P* const place_at = all.place ? all.place + row * all.place_row + at * of_place.step : nullptr;
        const bool value_there = of_value.together(), place_there = !all.place || of_place.together();
        Windows<T, P> w{};
        w.image = reinterpret_cast<T*>(scratch + t.stage);
        w.value = value_there ? value_at : reinterpret_cast<T*>(scratch + t.value_at);
        w.place = place_there ? place_at : reinterpret_cast<P*>(scratch + t.place_at);
        w.rows = 1;
        w.length = rows * length;
        w.tap = moved_taps(rows * length);
        w.taps = all.taps;
        if (Work::image == Use::read) move_pixels<false>(image_at, w, all.tap, of_image);
        if (Work::value == Use::read && !value_there) move_in(value_at, w.value, of_value);
        if (Work::place == Use::read && !place_there) move_in(place_at, w.place, of_place);
        do_windows(w, work);
        if (Work::image == Use::written) move_pixels<true>(image_at, w, all.tap, of_image);
        if (Work::value == Use::written && !value_there) move_out(w.value, value_at, of_value);
        if (Work::place == Use::written && !place_there) move_out(w.place, place_at, of_place);
      }
    }
  }

  const int64_t* moved_taps(int64_t windows) const {
    int64_t* tap = reinterpret_cast<int64_t*>(scratch) + t.kernel_size;
    for (int64_t k = 0; k < t.kernel_size; ++k) tap[k] = k * windows;
    return tap;
  }

  // The pixels of windows to where they lie together, or back.
  template <bool back>
  void move_pixels(T* there, const Windows<T, P>& w, const int64_t* tap, const Lie& lie) const {
    const PoolAxis& x = last();
    const bool pairs = x.step[pool_operand::image] == 1 && x.stride == 2 && x.kernel > 1;
    for (int64_t k = 0; k < t.kernel_size; ++k) {
      const int64_t along = k / x.weight % x.kernel;
      T* here = w.image + w.tap[k];
      if (pairs && along % 2 == 1) continue;  // with the one before
      if (pairs && along + 1 < x.kernel) {
        T* next = w.image + w.tap[k + x.weight];
        back ? join_pairs(here, next, there + tap[k], lie) : part_pairs(there + tap[k], here, next, lie);
      } else {
        back ? move_out(here, there + tap[k], lie) : move_in(there + tap[k], here, lie);
      }
    }
  }

  // Zeros for the pixels of this part, of which some are in no window.
  void clear_pixels(Range own) const {
    const PoolAxis& first = t.axis[0];
    Places<1> rows{};
    rows.count = 1;
    const int64_t begin = own.begin * first.stride;
    const int64_t end = own.end == first.windows ? first.pixels : own.end * first.stride;
    for (int a = 0; a < t.rank - 1; ++a) {
      const int64_t size = a == 0 ? end - begin : t.axis[a].pixels;
      rows.count *= size;
      rows.size[rows.rank] = size;
      rows.stride[rows.rank++][0] = t.axis[a].step[pool_operand::image];
    }
    Walk<1> walk(rows, 0);
    for (int64_t i = 0; i < rows.count; ++i, walk.next()) {
      T* row = image + begin * first.step[pool_operand::image] + walk.offset[0];
      for (int64_t j = 0; j < last().pixels; ++j) row[j * last().step[pool_operand::image]] = 0;
    }
  }
};

// -- all of them ----------------------------------------------------------------------------------------

template <class T, class P>
void run_pool_as(const PoolTask& t, const Frame& f) {
  const bool by_pixels = t.way == PoolWay::pixels;
  const Range own = share_rows(by_pixels ? t.axis[0].pixels : t.axis[0].windows, f.part, f.parts);
  if (own.begin == own.end) return;
  const Pool<T, P> pool(t, f);
  // The least that is above 0, or that is a number at all.
  const T least = t.positive ? real(Vec<WholeOf<T>>::splat(1))[0] : -static_cast<T>(__builtin_inf());
  switch (t.kernel) {
    case Kernel::max_pool:
      if (t.slot[pool_operand::place] < 0) return pool.all_windows(own, TakeLargest<T, false>{least});
      return pool.all_windows(own, TakeLargest<T, true>{least});
    case Kernel::max_place: return pool.all_windows(own, FindLargest<T>{least});
    case Kernel::max_pick: return pool.all_windows(own, PickLargest<T>{});
    case Kernel::mean_pool: return pool.all_windows(own, TakeMean<T>{});
    case Kernel::max_unpool:
      if (by_pixels) return all_pixels<AddToLargest<T>, T, P>(t, f, own);
      return pool.all_windows(own, GiveToLargest<T>{});
    case Kernel::mean_unpool:
      if (by_pixels) return all_pixels<AddToAll<T>, T, P>(t, f, own);
      return pool.all_windows(own, GiveToAll<T>{});
    default: return all_pixels<AddColumns<T>, T, P>(t, f, own);
  }
}

inline void run_pool(const PoolTask& t, const Frame& f) {
  if (t.dtype == DType::f32) t.wide ? run_pool_as<float, uint32_t>(t, f) : run_pool_as<float, uint8_t>(t, f);
  else t.wide ? run_pool_as<double, uint32_t>(t, f) : run_pool_as<double, uint8_t>(t, f);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
