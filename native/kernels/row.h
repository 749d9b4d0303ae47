// Softmax and cross-entropy of rows: the largest number first, so that no power overflows, and each
// power computed once.
#pragma once

#include "kernels/lanes.h"
#include "kernels/normalise.h"
#include "kernels/row_math.h"
#include "kernels/walk.h"
#include "prepare/row.h"

namespace glassgrad::GG_ISA {
namespace {
namespace softmaxes {

// The sum of losses that come one after the other, by the rule of all sums.
template <typename T>
struct Losses {
  T lane[lanes] = {};
  int64_t count = 0;
  Tree<T> tree;

  void add(T loss) {
    lane[count % lanes] += loss;
    if (++count % sum_chunk == 0) close();
  }
  void close() {
    tree.add(fold(Lanes<T>::load(lane)));
    for (T& sum : lane) sum = 0;
  }
  T total() {
    if (count % sum_chunk != 0) close();
    return count > 0 ? tree.total() : T(0);
  }
};

// What all rows share: addresses, and the numbers a row's share and loss are made of.
template <typename T>
struct Rows {
  const RowTask& task;
  const Frame& frame;
  const T* x;                 // of softmax, or the scores
  T* y;                       // softmax, or the derivative of the loss; nullptr: not asked for
  T* loss;                    // nullptr: not asked for
  const int64_t* target;      // nullptr: softmax
  int in, out;                // which operands x and y are
  T sure, even;               // of the target: what the right class has, what every class has
  T counted = 0;              // rows that are not ignored
  T factor = 1;               // of the derivative
  Losses<T> losses;

  template <typename U>
  U* address(int k) const {
    return task.slot[k] < 0 ? nullptr : reinterpret_cast<U*>(frame.slot[task.slot[k]]);
  }

  Rows(const RowTask& t, const Frame& f) : task(t), frame(f) {
    const bool entropy = task.kernel == Kernel::cross_entropy;
    in = entropy ? int{entropy_operand::z} : int{softmax_operand::x};
    out = entropy ? int{entropy_operand::d} : int{softmax_operand::y};
    x = address<const T>(in);
    y = address<T>(out);
    loss = entropy ? address<T>(entropy_operand::loss) : nullptr;
    target = entropy ? address<const int64_t>(entropy_operand::target) : nullptr;
    sure = T(1) - T(task.smoothing);
    even = T(task.smoothing) / T(task.size);
    if (entropy && (task.mean || task.shared)) {
      counted = T(count_rows());
      if (task.shared) factor = T(1) / counted;
    }
  }

  int64_t count_rows() const {
    if (!task.ignores) return task.outer.count;
    int64_t count = 0;
    Walk<row_operands> row(task.outer, 0);
    for (int64_t i = 0; i < task.outer.count; ++i, row.next()) {
      count += target[row.offset[entropy_operand::target]] != task.ignored;
    }
    return count;
  }

  // The class of a row, -1 where the row is ignored; false for a class that is not there.
  bool class_of(int64_t offset, int64_t* found) const {
    *found = target[offset];
    if (task.ignores && *found == task.ignored) {
      *found = -1;
      return true;
    }
    if (*found >= 0 && *found < task.size) return true;
    *frame.fault = {true, *found, task.size};
    return false;
  }

  // The loss of a row: the logarithm of its sum of powers, its right score and its mean score, the
  // scores less the largest.
  void put_loss(int64_t offset, bool ignored, T log_sum, T right, T mean) {
    T found = log_sum - right;
    if (task.smoothing > 0) found = sure * found + T(task.smoothing) * (log_sum - mean);
    if (ignored) found = 0;
    if (task.mean) {
      losses.add(found);
    } else {
      loss[offset] = found;
    }
  }

  void close() {
    if (loss != nullptr && task.mean) *loss = losses.total() / counted;
  }
};

// -- one row after the other --------------------------------------------------------------------

template <typename T>
T largest(const T* x, int64_t count) {
  Lanes<T> best = Lanes<T>::all(x[0]);
  int64_t at = 0;
  for (; at + lanes <= count; at += lanes) best = larger(best, Lanes<T>::load(x + at));
  if (at < count) best = larger(best, Lanes<T>::load(x + at, count - at, x[0]));
  T lane[lanes];
  best.store(lane);
  T found = lane[0];
  for (int l = 1; l < lanes; ++l) found = lane[l] > found ? lane[l] : found;
  return found;
}

template <typename T>
T plain_sum(const T* x, int64_t count) {
  return sum_of<T>(count, [&](const Lanes<T>& sum, int64_t at, int64_t n) {
    return sum + Lanes<T>::load(x + at, n);
  });
}

// A row in one piece: what is asked for into y, unless that is nullptr. `right` is the class.
template <typename T>
void one_row(Rows<T>& rows, const T* x, T* y, T* powers, int64_t loss_at, int64_t right) {
  const int64_t size = rows.task.size;
  const T top = largest(x, size);
  for (int64_t j = 0; j < size; ++j) powers[j] = x[j] - top;
  T score = 0, mean = 0;
  if (rows.loss != nullptr && right >= 0) {
    score = powers[right];
    if (rows.task.smoothing > 0) mean = plain_sum(powers, size) / T(size);
  }
  exp_all(powers, size);
  const T sum = plain_sum(powers, size);
  T log_sum = sum;
  if (rows.loss != nullptr || rows.task.kernel == Kernel::log_softmax) log_all(&log_sum, 1);
  if (rows.loss != nullptr) rows.put_loss(loss_at, right < 0, log_sum, score, mean);
  if (y == nullptr) return;
  if (rows.task.kernel == Kernel::log_softmax) {
    for (int64_t j = 0; j < size; ++j) y[j] = (x[j] - top) - log_sum;
    return;
  }
  const T share = T(1) / sum;
  if (rows.target == nullptr) {
    for (int64_t j = 0; j < size; ++j) y[j] = powers[j] * share;
  } else if (right < 0) {
    for (int64_t j = 0; j < size; ++j) y[j] = T(0) * rows.factor;
  } else {
    for (int64_t j = 0; j < size; ++j) {
      const T p = powers[j] * share - rows.even;
      y[j] = (j == right ? p - rows.sure : p) * rows.factor;
    }
  }
}

template <typename T>
void each_row(Rows<T>& rows, Range mine) {
  const RowTask& task = rows.task;
  const int64_t size = task.size;
  T* powers = reinterpret_cast<T*>(rows.frame.scratch);
  T *copy = powers + size + lanes, *result = copy + size + lanes;
  const bool gathered = task.way == RowWay::gathered;
  const int64_t step_in = task.row.stride[0][rows.in], step_out = task.row.stride[0][rows.out];
  Walk<row_operands> row(task.outer, mine.begin);
  for (int64_t i = mine.begin; i < mine.end; ++i, row.next()) {
    int64_t right = -1;
    if (rows.target != nullptr &&
        !rows.class_of(row.offset[entropy_operand::target], &right)) {
      return;
    }
    const T* x = rows.x + row.offset[rows.in];
    T* y = rows.y == nullptr ? nullptr : rows.y + row.offset[rows.out];
    const int64_t loss_at = rows.target == nullptr ? 0 : row.offset[entropy_operand::loss];
    if (!gathered) {
      one_row(rows, x, y, powers, loss_at, right);
      continue;
    }
    for (int64_t j = 0; j < size; ++j) copy[j] = x[j * step_in];
    one_row(rows, copy, y == nullptr ? nullptr : result, powers, loss_at, right);
    if (y == nullptr) continue;
    for (int64_t j = 0; j < size; ++j) y[j * step_out] = result[j];
  }
}

// -- short rows side by side --------------------------------------------------------------------

// The sum of each of `wide` rows, number c of row i at [c * wide + i], in the order in which
// `fold` would add them.
template <typename T>
void sum_beside(const T* numbers, int64_t size, int64_t wide, T* sums) {
  int64_t half = lanes / 2;
  while (half >= size && half > 1) half /= 2;
  const T* from = numbers;
  T folded[lanes / 2 * rows_at_once];
  for (; half > 0; half /= 2) {
    for (int64_t c = 0; c < half && c < size; ++c) {
      T* to = half == 1 ? sums : folded + c * wide;
      const T* a = from + c * wide;
      const T* b = c + half < size ? a + half * wide : nullptr;
      for (int64_t i = 0; i < wide; i += lanes) {
        const Lanes<T> first = Lanes<T>::load(a + i);
        (b == nullptr ? first : first + Lanes<T>::load(b + i)).store(to + i);
      }
    }
    from = folded;
    if (size > half) size = half;
  }
}

template <typename T>
struct Block {
  T shifted[lanes * rows_at_once];
  T powers[lanes * rows_at_once];
  T sums[rows_at_once], logs[rows_at_once], means[rows_at_once], tops[rows_at_once];
  int64_t in[rows_at_once], out[rows_at_once], loss[rows_at_once], right[rows_at_once];
};

// So many rows; `block` knows where they lie.
template <typename T>
void rows_beside(Rows<T>& rows, Block<T>& block, int64_t count) {
  const RowTask& task = rows.task;
  const int64_t size = task.size, wide = (count + lanes - 1) / lanes * lanes;
  const int64_t step_in = task.row.stride[0][rows.in], step_out = task.row.stride[0][rows.out];
  for (int64_t c = 0; c < size; ++c) {
    T* to = block.shifted + c * wide;
    for (int64_t i = 0; i < count; ++i) to[i] = rows.x[block.in[i] + c * step_in];
    for (int64_t i = count; i < wide; ++i) to[i] = 0;
  }
  for (int64_t i = 0; i < wide; i += lanes) {
    T* at = block.shifted + i;
    Lanes<T> top = Lanes<T>::load(at);
    for (int64_t c = 1; c < size; ++c) top = larger(Lanes<T>::load(at + c * wide), top);
    for (int64_t c = 0; c < size; ++c) {
      const Lanes<T> less = Lanes<T>::load(at + c * wide) - top;
      less.store(at + c * wide);
      less.store(block.powers + c * wide + i);
    }
  }
  exp_all(block.powers, size * wide);
  sum_beside(block.powers, size, wide, block.sums);
  if (rows.loss != nullptr || task.kernel == Kernel::log_softmax) {
    std::memcpy(block.logs, block.sums, static_cast<size_t>(wide) * sizeof(T));
    log_all(block.logs, wide);
  }
  if (rows.loss != nullptr) {
    if (task.smoothing > 0) sum_beside(block.shifted, size, wide, block.means);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t right = block.right[i];
      rows.put_loss(block.loss[i], right < 0, block.logs[i],
                    block.shifted[(right < 0 ? 0 : right) * wide + i],
                    task.smoothing > 0 ? block.means[i] / T(size) : T(0));
    }
  }
  if (rows.y == nullptr) return;
  T* result = task.kernel == Kernel::log_softmax ? block.shifted : block.powers;
  const Lanes<T> one = Lanes<T>::all(1), even = Lanes<T>::all(rows.even);
  for (int64_t i = 0; i < wide; i += lanes) {
    const Lanes<T> share = one / Lanes<T>::load(block.sums + i);
    for (int64_t c = 0; c < size; ++c) {
      T* at = result + c * wide + i;
      Lanes<T> number = Lanes<T>::load(at);
      if (task.kernel == Kernel::log_softmax) {
        number = number - Lanes<T>::load(block.logs + i);
      } else if (rows.target == nullptr) {
        number = number * share;
      } else {
        number = number * share - even;
      }
      number.store(at);
    }
  }
  if (rows.target != nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      if (block.right[i] >= 0) result[block.right[i] * wide + i] -= rows.sure;
    }
    const Lanes<T> factor = Lanes<T>::all(rows.factor);
    for (int64_t k = 0; k < size * wide; k += lanes) {
      (Lanes<T>::load(result + k) * factor).store(result + k);
    }
    for (int64_t i = 0; task.ignores && i < count; ++i) {
      for (int64_t c = 0; block.right[i] < 0 && c < size; ++c) {
        result[c * wide + i] = T(0) * rows.factor;
      }
    }
  }
  for (int64_t c = 0; c < size; ++c) {
    const T* from = result + c * wide;
    for (int64_t i = 0; i < count; ++i) rows.y[block.out[i] + c * step_out] = from[i];
  }
}

template <typename T>
void short_rows(Rows<T>& rows, Range mine) {
  Block<T> block;
  Walk<row_operands> row(rows.task.outer, mine.begin);
  for (int64_t begin = mine.begin; begin < mine.end; begin += rows_at_once) {
    const int64_t count = mine.end - begin < rows_at_once ? mine.end - begin : rows_at_once;
    for (int64_t i = 0; i < count; ++i, row.next()) {
      block.in[i] = row.offset[rows.in];
      block.out[i] = row.offset[rows.out];
      if (rows.target == nullptr) continue;
      block.loss[i] = row.offset[entropy_operand::loss];
      if (!rows.class_of(row.offset[entropy_operand::target], &block.right[i])) return;
    }
    rows_beside(rows, block, count);
  }
}

template <typename T>
void run(const RowTask& task, const Frame& frame, Range mine) {
  if (mine.begin == mine.end) return;  // nothing to do, or another part's single loss
  if (task.mean) mine = {0, task.outer.count};
  Rows<T> rows(task, frame);
  if (task.size > 0) {
    if (task.way == RowWay::beside) {
      short_rows(rows, mine);
    } else {
      each_row(rows, mine);
    }
  }
  if (!frame.fault->found) rows.close();
}

}  // namespace softmaxes

inline void run_row(const RowTask& task, const Frame& frame) {
  const Range mine = share_rows(task.units, frame.part, frame.parts);
  const bool single = task.dtype == DType::f32;
  if (task.kernel == Kernel::normalise || task.kernel == Kernel::normalise_back) {
    if (single) return normalising::run<float>(task, frame, mine);
    return normalising::run<double>(task, frame, mine);
  }
  if (single) return softmaxes::run<float>(task, frame, mine);
  softmaxes::run<double>(task, frame, mine);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
