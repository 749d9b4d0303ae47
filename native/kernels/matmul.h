// Products of matrices. Every output is one chain of fused multiply-adds from 0, k ascending, whatever
// the tile, the thread or the width of a register (but see Product::lanes); then bias, then relu.
#pragma once

#include "core/types.h"
#include "kernels/map.h"
#include "kernels/matmul_few.h"
#include "kernels/matmul_pack.h"
#include "kernels/matmul_tile.h"
#include "prepare/matmul.h"

namespace glassgrad::GG_ISA {
namespace {

// A part of the rows and columns of a product, and where its operands begin.
template <class T>
struct Area {
  int64_t rows, columns;
  const T* a;
  const T* b;
  T* c;
  int64_t c_row, c_column;
  const T* bias;
  const T* gate;
};

template <class T>
[[gnu::always_inline]] inline Strip<T> strip_of(const MatmulTask& t, const Area<T>& area) {
  Strip<T> s;
  s.k = t.k;
  s.a = area.a;
  s.a_row = t.a_row;
  s.a_column = t.a_column;
  s.b = area.b;
  s.b_row = t.b_row;
  s.c = area.c;
  s.c_row = area.c_row;
  s.c_column = area.c_column;
  s.first = true;
  s.last = true;
  s.relu = t.relu;
  s.bias = area.bias;
  s.bias_row = t.bias_row;
  s.bias_column = t.bias_column;
  s.gate = area.gate;
  s.gate_row = t.gate_row;
  return s;
}

// Rows in tiles of nearly the same height: `high` tiles of `height` rows, then `low` tiles of one less.
struct Heights {
  int height;
  int64_t high, low;

  Heights(int64_t rows, int most) {
    const int64_t tiles = (rows + most - 1) / most;
    const int64_t base = rows / tiles;
    high = rows - base * tiles;
    height = static_cast<int>(base) + 1;
    low = tiles - high;
  }
};

// All rows of one strip, where a is not copied.
template <class T>
void fill_strip(Strip<T>& s, int vectors, const Heights& h) {
  const bool tail = s.columns != vectors * Vec<T>::width;
  if (h.high) {
    s.a_tile = h.height * s.a_row;
    sweeps<T>.of[vectors][tail][h.height](s, h.high);
  }
  if (h.low) {
    const T* const a = s.a;
    T* const c = s.c;
    const T* const bias = s.bias;
    const T* const gate = s.gate;
    const int64_t done = h.high * h.height;
    s.a += done * s.a_row;
    s.c += done * s.c_row;
    if (s.bias) s.bias += done * s.bias_row;
    if (s.gate) s.gate += done * s.gate_row;
    s.a_tile = (h.height - 1) * s.a_row;
    sweeps<T>.of[vectors][tail][h.height - 1](s, h.low);
    s.a = a;
    s.c = c;
    s.bias = bias;
    s.gate = gate;
  }
}

template <class T>
void run_plain(const MatmulTask& t, const Area<T>& area) {
  constexpr int64_t width = Vec<T>::width;
  Strip<T> s = strip_of(t, area);
  const int64_t vectors = (area.columns + width - 1) / width;
  int64_t most = vectors_of(t.k == 1 ? 1 : area.rows);  // a product of two vectors is written row by row
  if (most > broad) {  // strips of nearly the same width
    const int64_t strips = (vectors + most - 1) / most;
    most = (vectors + strips - 1) / strips;
  }
  const Heights h(area.rows, rows_of(static_cast<int>(most < vectors ? most : vectors)));
  for (int64_t left = area.columns; left > 0;) {
    s.columns = left < most * width ? left : most * width;
    const int count = static_cast<int>((s.columns + width - 1) / width);
    if (count == most || s.columns == area.columns) fill_strip(s, count, h);
    else fill_strip(s, count, Heights(area.rows, rows_of(count)));
    left -= s.columns;
    s.b += s.columns;
    s.c += s.columns * s.c_column;
    if (s.bias) s.bias += s.columns * s.bias_column;
    if (s.gate) s.gate += s.columns;
  }
}

// How a large product is cut: `depth` of k at once, so that a strip of b stays in the first cache and
// a panel of a in the second. One depth of b is copied at a time, and all rows are taken through it; but
// where an epilogue follows and the rows are many panels, all of b is copied first, and each panel is
// finished while it is in cache.
constexpr int64_t most_depth = 256;

template <class T>
struct Packed {
  static constexpr int64_t strip = broad * Vec<T>::width;
  const MatmulTask& t;
  T* b;       // strips one after the other, for one depth after the other
  T* a;       // tiles of a panel, for one depth
  int64_t columns;
  int64_t depths;

  int64_t strips() const { return (columns + strip - 1) / strip; }
  Range depth(int64_t i) const { return share(t.k, static_cast<int>(i), static_cast<int>(depths)); }

  // One depth of b, to where it will be read.
  void pack_b(const T* from, T* to, const Range& d) const {
    const int64_t k = d.end - d.begin;
    from += d.begin * t.b_row;
    for (int64_t j = 0; j < strips(); ++j) {
      const int64_t left = columns - j * strip;
      pack(to + j * strip * k, strip, from + j * strip * t.b_column, left < strip ? left : strip,
           t.b_column, t.b_row, k);
    }
  }

  // One depth of some rows.
  void run_depth(const Area<T>& area, const T* packed_b, const Range& d) const {
    const Heights h(area.rows, rows_of(broad));
    const int64_t k = d.end - d.begin;
    Strip<T> s = strip_of(t, area);
    s.k = k;
    s.a += d.begin * t.a_column;
    s.first = d.begin == 0;
    s.last = d.end == t.k;
    s.b_row = strip;
    if (t.pack_a) {
      T* to = a;
      for (int64_t tile = 0, row = 0; tile < h.high + h.low; ++tile) {
        const int height = tile < h.high ? h.height : h.height - 1;
        pack(to, height, s.a + row * t.a_row, height, t.a_row, t.a_column, k);
        row += height;
        to += height * k;
      }
    }
    for (int64_t j = 0; j < strips(); ++j) {
      const int64_t left = columns - j * strip;
      s.b = packed_b + j * strip * k;
      s.a_ahead = j == 0 && !t.pack_a && t.a_column == 1;  // later strips find them in the cache
      s.c = area.c + j * strip * area.c_column;
      s.columns = left < strip ? left : strip;
      if (area.bias) s.bias = area.bias + j * strip * t.bias_column;
      if (area.gate) s.gate = area.gate + j * strip;
      const int64_t bytes = strip * k * static_cast<int64_t>(sizeof(T));
      s.ahead = reinterpret_cast<const char*>(s.b) + bytes;
      s.ahead_tile = j + 1 < strips() ? bytes / (h.high + h.low) / 64 * 64 : 0;
      const int vectors = static_cast<int>((s.columns + Vec<T>::width - 1) / Vec<T>::width);
      if (!t.pack_a) {
        fill_strip(s, vectors, h);
        continue;
      }
      const bool tail = s.columns != vectors * Vec<T>::width;
      Strip<T> tiles = s;
      tiles.a_row = 1;
      if (h.high) {
        tiles.a = a;
        tiles.a_column = h.height;
        tiles.a_tile = h.height * k;
        sweeps<T>.of[vectors][tail][h.height](tiles, h.high);
      }
      if (h.low) {
        const int64_t done = h.high * h.height;
        tiles.a = a + done * k;
        tiles.c += done * area.c_row;
        if (tiles.bias) tiles.bias += done * t.bias_row;
        if (tiles.gate) tiles.gate += done * t.gate_row;
        tiles.a_column = h.height - 1;
        tiles.a_tile = (h.height - 1) * k;
        sweeps<T>.of[vectors][tail][h.height - 1](tiles, h.low);
      }
    }
  }

  // The rows of a panel, from beginning to end; all of b was copied.
  void run_panel(const Area<T>& area) const {
    for (int64_t i = 0; i < depths; ++i) {
      const Range d = depth(i);
      run_depth(area, b + strips() * strip * d.begin, d);
    }
  }

  // All rows, panel after panel through each depth.
  void run_all(const Area<T>& area) const {
    for (int64_t i = 0; i < depths; ++i) {
      const Range d = depth(i);
      pack_b(area.b, b, d);
      for (int64_t row = 0; row < area.rows; row += t.panel) {
        Area<T> panel = area;
        panel.rows = area.rows - row < t.panel ? area.rows - row : t.panel;
        panel.a += row * t.a_row;
        panel.c += row * area.c_row;
        if (panel.bias) panel.bias += row * t.bias_row;
        if (panel.gate) panel.gate += row * t.gate_row;
        run_depth(panel, b, d);
      }
    }
  }
};

// `room` holds a copy of b, where b is not dense.
template <class T>
void run_area(const MatmulTask& t, const Area<T>& area, T* room) {
  Strip<T> s = strip_of(t, area);
  if (t.product == Product::plain) return run_plain(t, area);
  if (t.product == Product::lanes) return run_lanes(s, area.rows, area.columns, t.b_column);
  if (area.rows < Vec<T>::width) return run_anyhow(s, area.rows, area.columns, t.b_column);
  if (t.b_row != area.columns || (t.b_column != 1 && area.columns > 1)) {
    pack(room, area.columns, area.b, area.columns, t.b_column, t.b_row, t.k);
    s.b = room;
  }
  run_narrow(s, area.rows, area.columns);
}

template <class T>
void run_product(const MatmulTask& t, const Frame& frame) {
  // Rows and columns as they are in the result.
  const int64_t rows = t.turned ? t.n : t.m, columns = t.turned ? t.m : t.n;
  Range all_rows{0, t.batches * rows}, across{0, columns};
  if (frame.parts > 1) {
    Range& shared = t.columns_split ? across : all_rows;
    shared = share_rows(shared.end, frame.part, frame.parts);
  }
  if (across.begin == across.end) return;
  char* scratch = frame.scratch + t.panel_bytes;
  Packed<T> packed{t, reinterpret_cast<T*>(scratch), nullptr, across.end - across.begin, 0};
  if (t.product == Product::packed) {
    packed.depths = (t.k + most_depth - 1) / most_depth;
    packed.a = packed.b + packed.strips() * Packed<T>::strip * t.packed_depth;
  }
  Frame epilogue = frame;
  epilogue.scratch += t.rest_at;
  const T* packed_from = nullptr;
  for (int64_t row = all_rows.begin; row < all_rows.end;) {
    const int64_t batch = t.batches == 1 ? 0 : row / rows;
    const int64_t first = row - batch * rows;
    int64_t count = rows - first < all_rows.end - row ? rows - first : all_rows.end - row;
    if (t.by_panels && count > t.panel) count = t.panel;
    int64_t a_at = 0, b_at = 0, c_at = 0, left = batch;
    for (int i = t.batch_rank - 1; i >= 0; --i) {
      const int64_t index = left % t.batch_size[i];
      left /= t.batch_size[i];
      a_at += index * t.a_batch[i];
      b_at += index * t.b_batch[i];
      c_at += index * t.c_batch[i];
    }
    const Range m = t.turned ? across : Range{first, first + count};
    const Range n = t.turned ? Range{first, first + count} : across;
    Area<T> area;
    area.rows = m.end - m.begin;
    area.columns = n.end - n.begin;
    area.a = reinterpret_cast<const T*>(frame.slot[t.a_slot]) + a_at + m.begin * t.a_row;
    area.b = reinterpret_cast<const T*>(frame.slot[t.b_slot]) + b_at + n.begin * t.b_column;
    if (t.stored) {
      area.c = reinterpret_cast<T*>(frame.slot[t.c_slot]) + c_at + m.begin * t.c_row + n.begin * t.c_column;
      area.c_row = t.c_row;
      area.c_column = t.c_column;
    } else {
      area.c = reinterpret_cast<T*>(frame.scratch);
      area.c_row = t.turned ? 1 : across.end - across.begin;
      area.c_column = t.turned ? across.end - across.begin : 1;
    }
    area.bias = nullptr;
    if (t.bias_slot >= 0)
      area.bias = reinterpret_cast<const T*>(frame.slot[t.bias_slot]) + m.begin * t.bias_row +
                  n.begin * t.bias_column;
    area.gate = nullptr;
    if (t.gated)
      area.gate = reinterpret_cast<const T*>(frame.slot[t.gate_slot]) + m.begin * t.gate_row + n.begin;
    if (t.product == Product::packed) {
      if (!t.by_panels) {
        packed.run_all(area);
      } else {
        for (int64_t i = 0; i < packed.depths && packed_from != area.b; ++i) {
          const Range d = packed.depth(i);
          packed.pack_b(area.b, packed.b + packed.strips() * Packed<T>::strip * d.begin, d);
        }
        packed_from = area.b;
        packed.run_panel(area);
      }
    } else {
      run_area(t, area, packed.b);
    }
    if (t.has_epilogue)
      run_rows(t.rest, epilogue, 0, row, count, across.begin, across.end - across.begin,
               reinterpret_cast<char*>(area.c), t.turned ? area.c_column : area.c_row);
    row += count;
  }
}

// Small products are most of a small network's: no searching for what there is but one of.
template <class T>
void run_whole(const MatmulTask& t, const Frame& frame) {
  Area<T> area;
  area.rows = t.m;
  area.columns = t.n;
  area.a = reinterpret_cast<const T*>(frame.slot[t.a_slot]);
  area.b = reinterpret_cast<const T*>(frame.slot[t.b_slot]);
  area.c = reinterpret_cast<T*>(frame.slot[t.c_slot]);
  area.c_row = t.c_row;
  area.c_column = t.c_column;
  area.bias = t.bias_slot < 0 ? nullptr : reinterpret_cast<const T*>(frame.slot[t.bias_slot]);
  area.gate = t.gated ? reinterpret_cast<const T*>(frame.slot[t.gate_slot]) : nullptr;
  run_plain(t, area);
}

// w - rate * (a b) in place of w, where a is a column and b a row: the roundings are those of the product and of
// the step that follows it, but neither lies in memory between them. The last vector of a row goes over some
// numbers twice, so it is read before the first is written.
template <class T>
void run_update(const MatmulTask& t, const Frame& frame) {
  using W = Vec<T>;
  constexpr int64_t width = W::width;
  const Range rows = share_rows(t.m, frame.part, frame.parts);
  const T* const a = reinterpret_cast<const T*>(frame.slot[t.a_slot]);
  const T* const b = reinterpret_cast<const T*>(frame.slot[t.b_slot]);
  T* w = reinterpret_cast<T*>(frame.slot[t.update.slot]) + rows.begin * t.update.row;
  const W rate = W::splat(*reinterpret_cast<const T*>(frame.slot[t.update.rate_slot])), zero = W::splat(0);
  const int64_t n = t.n, last = n - width;
  for (int64_t row = rows.begin; row < rows.end; ++row, w += t.update.row) {
    const W x = W::splat(a[row * t.a_row]);
    const auto updated = [&](W of, W y) { return of - rate * fma(x, y, zero); };
    if (last < 0) {
      updated(W::load_first(w, n), W::load_first(b, n)).store_first(w, n);
      continue;
    }
    const W end = updated(W::load(w + last), W::load(b + last));
    int64_t j = 0;
    for (; j + 4 * width <= last; j += 4 * width)
#pragma GCC unroll 4
      for (int64_t v = j; v < j + 4 * width; v += width) updated(W::load(w + v), W::load(b + v)).store(w + v);
    for (; j < last; j += width) updated(W::load(w + j), W::load(b + j)).store(w + j);
    end.store(w + last);
  }
}

inline void run_matmul(const MatmulTask& t, const Frame& frame) {
  if (t.updates) return t.dtype == DType::f32 ? run_update<float>(t, frame) : run_update<double>(t, frame);
  const bool whole = t.product == Product::plain && t.batches == 1 && t.stored && !t.has_epilogue &&
                     frame.parts == 1 && t.m > 0 && t.n > 0;
  if (t.dtype == DType::f32) {
    if (whole) run_whole<float>(t, frame);
    else run_product<float>(t, frame);
  } else {
    if (whole) run_whole<double>(t, frame);
    else run_product<double>(t, frame);
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
