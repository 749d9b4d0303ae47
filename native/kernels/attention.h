// softmax(q k^T / root) v and its derivatives. For a block of queries the scores of all keys are made,
// become weights, and are used while they are in cache; the way back makes them again. Causal: keys that
// come after a whole block are not looked at.
//
// Products are chains of fused multiply-adds as everywhere: over the width for scores, over keys
// ascending for results and dq, over queries ascending for dk and dv. Sums of rows have 16 lanes.
#pragma once

#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/matmul.h"
#include "kernels/walk.h"
#include "prepare/attention.h"

namespace glassgrad::GG_ISA {
namespace {
namespace attending {

namespace op = attention_operand;

// Where an operand of a batch begins; nullptr: there is none.
template <class T>
T* begin_of(const AttentionTask& t, const Frame& frame, const Walk<op::count>& batch, int k) {
  return t.slot[k] < 0 ? nullptr : reinterpret_cast<T*>(frame.slot[t.slot[k]]) + batch.offset[k];
}

// The right operand of a product, in strips of columns: every strip is whole, what is not there is 0.
template <class T>
struct Strips {
  static constexpr int64_t columns = broad * Vec<T>::width;
  const T* from;
  int64_t row;    // from row to row of a strip
  int64_t strip;  // from strip to strip
};

// A copy in which the strips lie one after the other.
template <class T>
Strips<T> in_strips(T* to, const T* from, int64_t depth, int64_t columns, int64_t row, int64_t column) {
  constexpr int64_t strip = Strips<T>::columns;
  for (int64_t j = 0; j < columns; j += strip) {
    const int64_t count = columns - j < strip ? columns - j : strip;
    T* const part = to + j * depth;
    if (count < strip)
      for (int64_t i = 0; i < strip * depth; ++i) part[i] = 0;
    pack(part, strip, from + j * column, count, column, row, depth);
  }
  return {to, strip, strip * depth};
}

// A copy of some rows, each number divided, to rows of `to_row` numbers, of which the last are 0.
template <class T>
void rows_over(T* to, int64_t to_row, const T* from, int64_t rows, int64_t columns, int64_t row, int64_t column,
               T divisor) {
  for (int64_t i = 0; i < rows; ++i, to += to_row, from += row) {
    for (int64_t j = 0; j < columns; ++j) to[j] = from[j * column] / divisor;
    for (int64_t j = columns; j < to_row; ++j) to[j] = 0;
  }
}

// c = a b, or c + a b unless it is `first`. What lies in c behind the columns, up to whole vectors, is
// written, too.
template <class T>
void multiply(const T* a, int64_t a_row, int64_t a_column, const Strips<T>& b, T* c, int64_t c_row, int64_t rows,
              int64_t columns, int64_t depth, bool first) {
  if (rows == 0) return;
  Strip<T> s{};
  s.k = depth;
  s.a = a;
  s.a_row = a_row;
  s.a_column = a_column;
  s.b = b.from;
  s.b_row = b.row;
  s.c = c;
  s.c_row = c_row;
  s.c_column = 1;
  s.first = first;
  const Heights h(rows, rows_of(broad));
  for (int64_t j = 0; j < columns; j += Strips<T>::columns) {
    const int64_t left = columns - j;
    const int vectors =
        left < Strips<T>::columns ? static_cast<int>((left + Vec<T>::width - 1) / Vec<T>::width) : broad;
    s.columns = vectors * Vec<T>::width;
    fill_strip(s, vectors, h);
    s.b += b.strip;
    s.c += s.columns;
  }
}

template <class T>
GG_INLINE Lanes<T> powers(Lanes<T> x) {
  for (Vec<T>& r : x.r) r = exp(r);
  return x;
}

// Up to whole lanes.
constexpr int64_t in_lanes(int64_t count) { return (count + lanes - 1) / lanes * lanes; }

template <class T>
void fill(T* row, int64_t begin, int64_t end, T number) {
  for (int64_t j = begin; j < end; ++j) row[j] = number;
}

// The scores of a query become powers, those behind `count` up to `end` 0. Gives their sum; 1 where
// there are no keys at all. A row has room for whole lanes.
template <class T>
T powers_of_row(T* scores, int64_t count, int64_t end) {
  using L = Lanes<T>;
  const T none = -static_cast<T>(__builtin_inf());
  const int64_t whole = in_lanes(count);
  fill(scores, count, whole, none);  // whose power is 0
  L most = L::all(none);
  for (int64_t at = 0; at < whole; at += lanes)
    for (int k = 0; k < L::registers; ++k)
      most.r[k] = maximum(Vec<T>::load(scores + at + k * L::width), most.r[k]);
  const T largest = folded(most, [](Vec<T> a, Vec<T> b) GG_WITHIN { return maximum(a, b); });
  if (largest == none) {
    fill(scores, 0, end, T(0));
    return 1;
  }
  const L middle = L::all(largest);
  const T sum = sum_of<T>(whole, [&](const L& so_far, int64_t at, int64_t) GG_WITHIN {
    const L power = powers(L::load(scores + at) - middle);
    power.store(scores + at);
    return so_far + power;
  });
  fill(scores, whole, end, T(0));
  return sum;
}

template <class T>
void hide(T* scores, const uint8_t* allowed, int64_t step, int64_t count) {
  for (int64_t j = 0; j < count; ++j)
    scores[j] = allowed[j * step] ? scores[j] : -static_cast<T>(__builtin_inf());
}

// One batch: where its matrices begin, and what is copied of them.
template <class T>
struct Batch {
  const AttentionTask& t;
  T* scratch;
  const T *g, *q, *k, *v;
  const uint8_t* mask;
  T *y, *dq, *dk, *dv;
  Strips<T> keys_turned{}, values_turned{}, keys{}, values{};

  Batch(const AttentionTask& task, const Frame& frame, const Walk<op::count>& at)
      : t(task),
        scratch(reinterpret_cast<T*>(frame.scratch)),
        g(begin_of<const T>(task, frame, at, op::g)),
        q(begin_of<const T>(task, frame, at, op::q)),
        k(begin_of<const T>(task, frame, at, op::k)),
        v(begin_of<const T>(task, frame, at, op::v)),
        mask(begin_of<const uint8_t>(task, frame, at, op::mask)),
        y(begin_of<T>(task, frame, at, op::y)),
        dq(begin_of<T>(task, frame, at, op::dq)),
        dk(begin_of<T>(task, frame, at, op::dk)),
        dv(begin_of<T>(task, frame, at, op::dv)) {
    keys_turned = in_strips(scratch + t.keys_turned, k, t.width, t.keys, t.column[op::k], t.row[op::k]);
    if (y != nullptr) {
      values = in_strips(scratch + t.values_as_are, v, t.keys, t.values, t.row[op::v], t.column[op::v]);
    } else {
      values_turned = in_strips(scratch + t.values_turned, v, t.values, t.keys, t.column[op::v], t.row[op::v]);
      keys = in_strips(scratch + t.keys_as_are, k, t.keys, t.width, t.row[op::k], t.column[op::k]);
    }
  }

  T* scores() const { return scratch + t.scores_at; }
  T* queries() const { return scratch + t.queries_at; }
  T* sums() const { return scratch + t.sums_at; }

  // Powers of the scores of some queries, and their sums.
  void weigh(int64_t begin, int64_t end) const {
    const int64_t rows = end - begin, reach = t.reach(end);
    rows_over(queries(), t.width_row, q + begin * t.row[op::q], rows, t.width, t.row[op::q], t.column[op::q],
              static_cast<T>(t.root));
    multiply(queries(), t.width_row, 1, keys_turned, scores(), t.scores_row, rows, reach, t.width, true);
    for (int64_t i = begin; i < end; ++i) {
      T* const row = scores() + (i - begin) * t.scores_row;
      const int64_t count = t.reach(i + 1);
      if (mask != nullptr) hide(row, mask + i * t.row[op::mask], t.column[op::mask], count);
      sums()[i - begin] = powers_of_row(row, count, reach);
    }
  }

  void forward(int64_t begin, int64_t end) const {
    weigh(begin, end);
    T* result = scratch + t.result_at;
    multiply(scores(), t.scores_row, 1, values, result, t.values_row, end - begin, t.values, t.reach(end), true);
    T* to = y + begin * t.row[op::y];
    for (int64_t i = 0; i < end - begin; ++i, result += t.values_row, to += t.row[op::y]) {
      const T sum = sums()[i];
      for (int64_t j = 0; j < t.values; ++j) to[j * t.column[op::y]] = result[j] / sum;
    }
  }

  // Back through the softmax of a row: powers become weights, the derivatives of weights those of scores.
  void slope(T* powers, T* d, T sum, int64_t count, int64_t end) const {
    using L = Lanes<T>;
    const int64_t whole = in_lanes(count);
    const L share = L::all(1 / sum);
    fill(powers, count, whole, T(0));
    fill(d, count, whole, T(0));
    const T along = sum_of<T>(whole, [&](const L& so_far, int64_t at, int64_t) GG_WITHIN {
      const L weight = L::load(powers + at) * share;
      weight.store(powers + at);
      return fused(weight, L::load(d + at), so_far);
    });
    const L middle = L::all(along);
    for (int64_t at = 0; at < whole; at += lanes)
      (L::load(powers + at) * (L::load(d + at) - middle)).store(d + at);
    fill(d, whole, end, T(0));
  }

  void back(int64_t begin, int64_t end) const {
    const int64_t rows = end - begin, reach = t.reach(end);
    T* const d = scratch + t.d_scores_at;
    T* const slopes = scratch + t.g_at;
    const Strips<T> slopes_as_are{slopes, t.values_row, Strips<T>::columns};
    weigh(begin, end);
    rows_over(slopes, t.values_row, g + begin * t.row[op::g], rows, t.values, t.row[op::g], t.column[op::g], T(1));
    multiply(slopes, t.values_row, 1, values_turned, d, t.scores_row, rows, reach, t.values, true);
    for (int64_t i = 0; i < rows; ++i)
      slope(scores() + i * t.scores_row, d + i * t.scores_row, sums()[i], t.reach(begin + i + 1), reach);
    if (dv != nullptr)
      multiply(scores(), 1, t.scores_row, slopes_as_are, scratch + t.dv_at, t.values_row, reach, t.values, rows, false);
    if (dk != nullptr) {
      const Strips<T> queries_as_are{queries(), t.width_row, Strips<T>::columns};
      multiply(d, 1, t.scores_row, queries_as_are, scratch + t.dk_at, t.width_row, reach, t.width, rows, false);
    }
    if (dq != nullptr) {
      T* const result = scratch + t.result_at;
      multiply(d, t.scores_row, 1, keys, result, t.width_row, rows, t.width, reach, true);
      out(dq + begin * t.row[op::dq], op::dq, result, rows, t.width, t.width_row, static_cast<T>(t.root));
    }
  }

  void out(T* to, int which, const T* from, int64_t rows, int64_t columns, int64_t from_row, T divisor) const {
    for (int64_t i = 0; i < rows; ++i, from += from_row, to += t.row[which])
      for (int64_t j = 0; j < columns; ++j) to[j * t.column[which]] = from[j] / divisor;
  }

  // All queries, one block after the other.
  void back() const {
    T *const dk_sums = scratch + t.dk_at, *const dv_sums = scratch + t.dv_at;
    for (int64_t i = 0; i < t.keys * t.width_row; ++i) dk_sums[i] = 0;
    for (int64_t i = 0; i < t.keys * t.values_row; ++i) dv_sums[i] = 0;
    for (int64_t begin = 0; begin < t.queries; begin += t.block)
      back(begin, begin + t.block < t.queries ? begin + t.block : t.queries);
    if (dk != nullptr) out(dk, op::dk, dk_sums, t.keys, t.width, t.width_row, T(1));
    if (dv != nullptr) out(dv, op::dv, dv_sums, t.keys, t.values, t.values_row, T(1));
  }
};

template <class T>
void run(const AttentionTask& t, const Frame& frame) {
  const Range mine = share(t.units, frame.part, frame.parts);
  if (mine.begin == mine.end) return;
  if (t.slot[op::y] < 0) {
    Walk<op::count> at(t.batch, mine.begin);
    for (int64_t i = mine.begin; i < mine.end; ++i, at.next()) Batch<T>(t, frame, at).back();
    return;
  }
  Walk<op::count> at(t.batch, mine.begin / t.blocks);
  for (int64_t unit = mine.begin; unit < mine.end; at.next()) {
    const Batch<T> batch(t, frame, at);
    const int64_t end = (unit / t.blocks + 1) * t.blocks;
    for (; unit < mine.end && unit < end; ++unit) {
      const int64_t begin = unit % t.blocks * t.block;
      batch.forward(begin, begin + t.block < t.queries ? begin + t.block : t.queries);
    }
  }
}

}  // namespace attending

inline void run_attention(const AttentionTask& t, const Frame& frame) {
  if (t.dtype == DType::f32) attending::run<float>(t, frame);
  else attending::run<double>(t, frame);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
