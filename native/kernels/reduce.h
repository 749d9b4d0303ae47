// Sums, products, the largest and the smallest, any and all. prepare/reduce.h says in which order.
#pragma once

#include "kernels/block.h"
#include "prepare/reduce.h"

namespace glassgrad::GG_ISA {
namespace {

template <class T> constexpr bool is_real = false;
template <> constexpr bool is_real<float> = true;
template <> constexpr bool is_real<double> = true;

// As registers do it.
template <class T> requires(is_real<T>) T maximum(T a, T b) { return a > b || a != a ? a : b; }
template <class T> requires(is_real<T>) T minimum(T a, T b) { return a < b || a != a ? a : b; }

// How two numbers become one, alike for registers and for single numbers, and the number that changes
// nothing: for sums -0, since 0 + -0 is not -0.
struct Sum {
  template <class T> static T nothing() { return T(-0.0); }
  template <class V> static V of(V a, V b) { return a + b; }
};
struct Prod {
  template <class T> static T nothing() { return T(1); }
  template <class V> static V of(V a, V b) { return a * b; }
};
struct Max {
  template <class T> static T nothing() { return T(-__builtin_inff()); }
  template <class V> static V of(V a, V b) { return maximum(a, b); }
};
struct Min {
  template <class T> static T nothing() { return T(__builtin_inff()); }
  template <class V> static V of(V a, V b) { return minimum(a, b); }
};

struct Any {
  template <class T> static T nothing() { return 0; }
  static uint8_t of(uint8_t a, uint8_t b) { return a | b; }
};
struct All {
  template <class T> static T nothing() { return 1; }
  static uint8_t of(uint8_t a, uint8_t b) { return a & b; }
};

// Of whole numbers: any order gives the same.
struct WholeSum : Add {
  template <class T> static T nothing() { return 0; }
};
struct WholeProd : Multiply {
  template <class T> static T nothing() { return 1; }
};
struct WholeMax : Maximum {
  template <class T> static T nothing() { return T(-1) < T(0) ? T(INT64_MIN) : T(0); }
};
struct WholeMin : Minimum {
  template <class T> static T nothing() { return T(-1) < T(0) ? T(INT64_MAX) : T(-1); }
};

// One number of a register's: the upper half goes to the lower one, and again.
template <class F, class T>
T fold_register(Vec<T> v) {
  if constexpr (Vec<T>::width == 16)
    v = F::of(v, Vec<T>{__builtin_shufflevector(v.v, v.v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)});
  if constexpr (Vec<T>::width == 16)
    v = F::of(v, Vec<T>{__builtin_shufflevector(v.v, v.v, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3)});
  else if constexpr (Vec<T>::width == 8)
    v = F::of(v, Vec<T>{__builtin_shufflevector(v.v, v.v, 4, 5, 6, 7, 0, 1, 2, 3)});
  T last[Vec<T>::width];
  v.store(last);
  if constexpr (Vec<T>::width >= 4)
    return F::of(F::of(last[0], last[2]), F::of(last[1], last[3]));
  else if constexpr (Vec<T>::width == 2)
    return F::of(last[0], last[1]);
  else
    return last[0];
}

// Sixteen lanes, in as many registers as that takes.
template <class T, class F>
struct LaneTotals {
  using V = Vec<T>;
  static constexpr int count = lanes / V::width;
  V lane[count];

  void begin() { for (V& v : lane) v = V::splat(F::template nothing<T>()); }
  void take(const T* p) {
    for (int i = 0; i < count; ++i) lane[i] = F::of(lane[i], V::load(p + i * V::width));
  }
  void take_first(const T* p, int64_t n) {
    for (int i = 0; i < count && n > 0; ++i, p += V::width, n -= V::width)
      lane[i] = F::of(lane[i], n >= V::width ? V::load(p) : V::load_first(p, n, F::template nothing<T>()));
  }
  T fold() {
    for (int half = count / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) lane[i] = F::of(lane[i], lane[i + half]);
    return fold_register<F>(lane[0]);
  }
};

// Results added as a binary tree, neighbours first, while they come one by one.
template <class T, class F>
struct TreeTotal {
  T level[48];
  int64_t count = 0;

  void add(T x) {
    int k = 0;
    for (int64_t n = count++; n & 1; n >>= 1) x = F::of(level[k++], x);
    level[k] = x;
  }
  T total() const {
    int k = 0;
    while (!(count >> k & 1)) ++k;
    T x = level[k];
    for (++k; count >> k; ++k)
      if (count >> k & 1) x = F::of(level[k], x);
    return x;
  }
};

template <class T, class F>
[[gnu::noinline]] T whole_total(const T* p, int64_t n) {
  T x = F::template nothing<T>();
  for (int64_t i = 0; i < n; ++i) x = F::of(x, p[i]);
  return x;
}

// What becomes of at most `chunk` numbers that follow each other.
template <class T, class F>
T chunk_total(const T* p, int64_t n) {
  if constexpr (!is_real<T>) {
    return whole_total<T, F>(p, n);
  } else {
    LaneTotals<T, F> sum;
    sum.begin();
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes) sum.take(p + i);
    if (i < n) sum.take_first(p + i, n - i);
    return sum.fold();
  }
}

// Some whole chunks side by side, so that no sum waits for another.
template <int side, class T, class F>
void chunk_totals(const T* p, T* total) {
  LaneTotals<T, F> sum[side];
  for (auto& s : sum) s.begin();
  for (int64_t i = 0; i < chunk; i += lanes)
    for (int k = 0; k < side; ++k) sum[k].take(p + k * chunk + i);
  for (int k = 0; k < side; ++k) total[k] = sum[k].fold();
}

// A row, or a piece of one that begins where a chunk does.
template <class T, class F>
[[gnu::noinline]] void add_row(TreeTotal<T, F>& tree, const T* p, int64_t n) {
  if constexpr (is_real<T>) {
    constexpr int side = LaneTotals<T, F>::count < 8 ? 8 / LaneTotals<T, F>::count : 1;
    for (; n >= side * chunk; n -= side * chunk, p += side * chunk) {
      T total[side];
      chunk_totals<side, T, F>(p, total);
      for (const T x : total) tree.add(x);
    }
  }
  for (; n > 0; n -= chunk, p += chunk) tree.add(chunk_total<T, F>(p, n < chunk ? n : chunk));
}

// Where results go: one number for each, divided where a mean is wanted.
template <class T>
class Results {
 public:
  Results(const ReduceTask& t, const Frame& f) : task_(t), to_(reinterpret_cast<T*>(f.slot[t.result])) {}

  void store(int64_t index, T x) const {
    int64_t offset = 0;
    for (int k = task_.result_rank - 1; k > 0; --k) {
      const int64_t above = index / task_.result_size[k];
      offset += (index - above * task_.result_size[k]) * task_.result_stride[k];
      index = above;
    }
    if (task_.result_rank > 0) offset += index * task_.result_stride[0];
    if constexpr (is_real<T>) {
      if (task_.divisor != 1) x /= static_cast<T>(task_.divisor);
    }
    to_[offset] = x;
  }
  [[gnu::noinline]] void store(int64_t index, const T* x, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) store(index + i, x[i]);
  }

 private:
  const ReduceTask& task_;
  T* to_;
};

template <class T, class F>
void reduce_rows(const ReduceTask& t, const Frame& f, Range mine) {
  const Results<T> results(t, f);
  const int64_t n = t.length, first = mine.begin * t.rows, last = mine.end * t.rows;
  TreeTotal<T, F> tree;
  int64_t out = mine.begin, row = 0;
  const auto row_done = [&] {
    if (++row < t.rows) return;
    results.store(out++, tree.total());
    tree.count = row = 0;
  };
  const auto take_rows = [&](const T* from, int64_t count) {
    if (t.rows == 1 && n <= chunk) {  // a row is a chunk, and a result
      for (int64_t k = 0; k < count; ++k, from += n) results.store(out++, chunk_total<T, F>(from, n));
    } else {
      for (int64_t k = 0; k < count; ++k, from += n) add_row(tree, from, n), row_done();
    }
  };
  if (t.in_place) {
    const T* p = reinterpret_cast<const T*>(f.slot[t.space.place[0].slot]);
    return take_rows(p + first * n, last - first);
  }
  Blocks blocks(t.program, t.space, f);
  const int64_t block = t.space.block;
  for (int64_t i = first; i < last;) {
    if (n <= block) {  // some rows at once
      int64_t rows = block / n < last - i ? block / n : last - i;
      if (t.space.row > 0) {
        const int64_t left = (t.space.row - i * n % t.space.row) / n;
        if (left < rows) rows = left;
      }
      blocks.run(i * n, rows * n);
      take_rows(reinterpret_cast<const T*>(blocks.value(t.program.output[0])), rows);
      i += rows;
    } else {
      const int64_t piece = block / chunk * chunk;
      for (int64_t at = 0; at < n; at += piece) {
        const int64_t count = n - at < piece ? n - at : piece;
        blocks.run(i * n + at, count);
        add_row(tree, reinterpret_cast<const T*>(blocks.value(t.program.output[0])), count);
      }
      row_done();
      ++i;
    }
  }
}

// to = to (+) rows that are `step` apart; the first row begins it where it is `fresh`.
template <class T, class F>
[[gnu::noinline]] void add_rows(T* to, const T* p, int64_t step, int64_t rows, int64_t width, bool fresh) {
  if constexpr (is_real<T>) {
    using V = Vec<T>;
    constexpr int64_t w = V::width;
    constexpr int group = 4;
    int64_t c = 0;
    for (; c + group * w <= width; c += group * w) {
      V sum[group];
      const T* q = p + c;
      int64_t i = 0;
      if (fresh) {
        for (int k = 0; k < group; ++k) sum[k] = V::load(q + k * w);
        q += step, ++i;
      } else {
        for (int k = 0; k < group; ++k) sum[k] = V::load(to + c + k * w);
      }
      for (; i < rows; ++i, q += step) {
        for (int k = 0; k < group; ++k) sum[k] = F::of(sum[k], V::load(q + k * w));
        __builtin_prefetch(q + rows * step);  // of the rows that come next
        __builtin_prefetch(q + rows * step + (group * w - 1));
      }
      for (int k = 0; k < group; ++k) sum[k].store(to + c + k * w);
    }
    for (; c < width; c += w) {
      const int64_t left = width - c;
      const T* q = p + c;
      const auto read = [&](const T* at) { return left >= w ? V::load(at) : V::load_first(at, left); };
      V sum = fresh ? read(q) : V::load(to + c);
      for (int64_t i = fresh; i < rows; ++i) sum = F::of(sum, read(q + i * step));
      sum.store(to + c);
    }
  } else {
    for (int64_t i = 0; i < rows; ++i, p += step)
      for (int64_t c = 0; c < width; ++c) to[c] = fresh && i == 0 ? p[c] : F::of(to[c], p[c]);
  }
}

// One piece of the columns of one group: source(row, &rows) says where some rows are, and may say fewer.
// The tree of the chunks' sums is that of `TreeTotal`, of whole rows in buffers that change hands.
template <class T, class F, class Source>
const T* reduce_piece(int64_t rows, int64_t width, int64_t step, int64_t at_once, T* scratch,
                      Source source) {
  const int64_t room = (width + lanes) / lanes * lanes;
  T* level[48] = {};
  T* sum = scratch;
  int64_t used = 1, chunks = 0;
  const auto join = [&](int k) {
    add_rows<T, F>(level[k], sum, 0, 1, width, false);
    T* const free = sum;
    sum = level[k];
    level[k] = free;
  };
  for (int64_t begin = 0; begin < rows; begin += chunk_rows) {
    const int64_t end = rows - begin < chunk_rows ? rows : begin + chunk_rows;
    for (int64_t i = begin; i < end;) {
      int64_t some = end - i < at_once ? end - i : at_once;
      const T* p = source(i, &some);
      add_rows<T, F>(sum, p, step, some, width, i == begin);
      i += some;
    }
    int k = 0;
    for (int64_t n = chunks++; n & 1; n >>= 1) join(k++);
    if (end == rows) {
      for (const int64_t n = chunks; n >> ++k;)
        if (n >> k & 1) join(k);
      break;
    }
    T* const free = level[k] ? level[k] : scratch + room * used++;
    level[k] = sum;
    sum = free;
  }
  return sum;
}

template <class T, class F>
void reduce_columns(const ReduceTask& t, const Frame& f, Range mine) {
  const Results<T> results(t, f);
  T* scratch = reinterpret_cast<T*>(f.scratch + t.scratch_at);
  Range columns{0, t.length};
  if (t.over_columns) {
    columns = {mine.begin * lanes, mine.end * lanes < t.length ? mine.end * lanes : t.length};
    mine = {0, 1};
  }
  const auto finish = [&](int64_t group, int64_t column, const T* sum, int64_t width) {
    results.store(group * t.length + column, sum, width);
  };
  if (t.in_place) {
    const Place& x = t.space.place[0];
    const T* base = reinterpret_cast<const T*>(f.slot[x.slot]) + columns.begin;
    const int64_t width = columns.end - columns.begin;
    const int64_t fits = 16 * 1024 / (width * static_cast<int64_t>(sizeof(T)));
    for (int64_t g = mine.begin; g < mine.end; ++g) {
      const T* p = base + offset_of(t.space, x, g * t.rows * t.length);
      const T* sum = reduce_piece<T, F>(t.rows, width, t.row_step, fits < 8 ? 8 : fits, scratch,
                                        [&](int64_t row, int64_t*) { return p + row * t.row_step; });
      finish(g, columns.begin, sum, width);
    }
    return;
  }
  Blocks blocks(t.program, t.space, f);
  const bool whole = columns.end - columns.begin == t.length && t.length <= t.space.block;
  const int64_t piece = whole ? t.length : t.space.block;
  for (int64_t g = mine.begin; g < mine.end; ++g) {
    for (int64_t c = columns.begin; c < columns.end; c += piece) {
      const int64_t width = columns.end - c < piece ? columns.end - c : piece;
      const auto source = [&](int64_t row, int64_t* rows) {
        const int64_t at = (g * t.rows + row) * t.length + c;
        if (t.space.row > 0) {
          const int64_t left = (t.space.row - at % t.space.row + t.length - 1) / t.length;
          if (left < *rows) *rows = left;
        }
        blocks.run(at, (*rows - 1) * t.length + width);
        return reinterpret_cast<const T*>(blocks.value(t.program.output[0]));
      };
      const int64_t at_once = whole ? t.space.block / t.length : 1;
      finish(g, c, reduce_piece<T, F>(t.rows, width, t.length, at_once, scratch, source), width);
    }
  }
}

template <class T, class F>
void reduce_as(const ReduceTask& t, const Frame& f) {
  if (t.space.total == 0) {
    const T nothing = static_cast<T>(F::template nothing<T>() + T(0));  // a sum of nothing is 0, not -0
    const Results<T> results(t, f);
    for (int64_t i = 0; i < t.results && f.part == 0; ++i) results.store(i, nothing);
    return;
  }
  const Range mine = share(t.units, f.part, f.parts);
  if (mine.begin == mine.end) return;
  if (t.columns) reduce_columns<T, F>(t, f, mine);
  else reduce_rows<T, F>(t, f, mine);
}

template <class T, class S, class P, class M, class N>
void reduce_numbers(const ReduceTask& t, const Frame& f) {
  switch (t.kind) {
    case Reduction::sum: return reduce_as<T, S>(t, f);
    case Reduction::prod: return reduce_as<T, P>(t, f);
    case Reduction::max: return reduce_as<T, M>(t, f);
    default: return reduce_as<T, N>(t, f);
  }
}

void run_reduce(const ReduceTask& t, const Frame& f) {
  switch (t.dtype) {
    case DType::f32: return reduce_numbers<float, Sum, Prod, Max, Min>(t, f);
    case DType::f64: return reduce_numbers<double, Sum, Prod, Max, Min>(t, f);
    case DType::i64: return reduce_numbers<int64_t, WholeSum, WholeProd, WholeMax, WholeMin>(t, f);
    case DType::u32: return reduce_numbers<uint32_t, WholeSum, WholeProd, WholeMax, WholeMin>(t, f);
    case DType::u8: return reduce_numbers<uint8_t, WholeSum, WholeProd, WholeMax, WholeMin>(t, f);
    case DType::b8:
      if (t.kind == Reduction::any) return reduce_as<uint8_t, Any>(t, f);
      return reduce_as<uint8_t, All>(t, f);
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
