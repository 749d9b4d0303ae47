// Attention by plain loops, a query after the other: what kernels/attention.h must equal.
#pragma once

#include "kernels/lanes.h"
#include "kernels/math.h"
#include "kernels/reference/matmul.h"
#include "kernels/walk.h"
#include "prepare/attention.h"

namespace glassgrad::GG_ISA {
namespace {
namespace attending {

namespace op = attention_operand;

template <class T>
struct Batch {
  const AttentionTask& t;
  const Frame& frame;
  const Walk<op::count>& batch;

  template <class U = T>
  U& number(int which, int64_t i, int64_t j) const {
    return reinterpret_cast<U*>(frame.slot[t.slot[which]])[batch.offset[which] + i * t.row[which] + j * t.column[which]];
  }
  bool has(int which) const { return t.slot[which] >= 0; }
  T query(int64_t i, int64_t c) const { return number(op::q, i, c) / static_cast<T>(t.root); }

  // What a query makes of each key's score, in scratch, and their sum.
  T powers(int64_t i, T* power) const {
    const int64_t count = t.reach(i + 1);
    T largest = -static_cast<T>(__builtin_inf());
    for (int64_t j = 0; j < count; ++j) {
      T score = 0;
      for (int64_t c = 0; c < t.width; ++c) score = multiply_add(query(i, c), number(op::k, j, c), score);
      if (has(op::mask) && number<uint8_t>(op::mask, i, j) == 0) score = -static_cast<T>(__builtin_inf());
      power[j] = score;
      if (score > largest || score != score) largest = score;
    }
    if (largest == -static_cast<T>(__builtin_inf())) {
      for (int64_t j = 0; j < count; ++j) power[j] = 0;
      return 1;
    }
    for (int64_t j = 0; j < count; ++j) power[j] = exp(Vec<T>::splat(power[j] - largest))[0];
    return sum_of<T>(count, [&](const Lanes<T>& sum, int64_t at, int64_t left) {
      return sum + Lanes<T>::load(power + at, left);
    });
  }

  void forward(int64_t i) const {
    T* power = reinterpret_cast<T*>(frame.scratch);
    const T sum = powers(i, power);
    for (int64_t c = 0; c < t.values; ++c) {
      T result = 0;
      for (int64_t j = 0; j < t.reach(i + 1); ++j) result = multiply_add(power[j], number(op::v, j, c), result);
      number(op::y, i, c) = result / sum;
    }
  }

  void back() const {
    for (int64_t j = 0; j < t.keys; ++j) {
      for (int64_t c = 0; has(op::dk) && c < t.width; ++c) number(op::dk, j, c) = 0;
      for (int64_t c = 0; has(op::dv) && c < t.values; ++c) number(op::dv, j, c) = 0;
    }
    T* const weight = reinterpret_cast<T*>(frame.scratch);
    T* const d = weight + t.keys;
    for (int64_t i = 0; i < t.queries; ++i) {
      const int64_t count = t.reach(i + 1);
      const T share = 1 / powers(i, weight);
      for (int64_t j = 0; j < count; ++j) {
        weight[j] *= share;
        d[j] = 0;
        for (int64_t c = 0; c < t.values; ++c) d[j] = multiply_add(number(op::g, i, c), number(op::v, j, c), d[j]);
      }
      const T along = sum_of<T>(count, [&](const Lanes<T>& sum, int64_t at, int64_t left) {
        return fused(Lanes<T>::load(weight + at, left), Lanes<T>::load(d + at, left), sum);
      });
      for (int64_t j = 0; j < count; ++j) d[j] = weight[j] * (d[j] - along);
      for (int64_t j = 0; has(op::dv) && j < count; ++j)
        for (int64_t c = 0; c < t.values; ++c)
          number(op::dv, j, c) = multiply_add(weight[j], number(op::g, i, c), number(op::dv, j, c));
      for (int64_t j = 0; has(op::dk) && j < count; ++j)
        for (int64_t c = 0; c < t.width; ++c)
          number(op::dk, j, c) = multiply_add(d[j], query(i, c), number(op::dk, j, c));
      for (int64_t c = 0; has(op::dq) && c < t.width; ++c) {
        T result = 0;
        for (int64_t j = 0; j < count; ++j) result = multiply_add(d[j], number(op::k, j, c), result);
        number(op::dq, i, c) = result / static_cast<T>(t.root);
      }
    }
  }
};

template <class T>
void run(const AttentionTask& t, const Frame& frame) {
  const Range mine = share(t.units, frame.part, frame.parts);
  const bool back = t.slot[op::y] < 0;
  for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
    const Walk<op::count> at(t.batch, back ? unit : unit / t.blocks);
    const Batch<T> batch{t, frame, at};
    if (back) {
      batch.back();
      continue;
    }
    const int64_t begin = unit % t.blocks * t.block;
    for (int64_t i = begin; i < begin + t.block && i < t.queries; ++i) batch.forward(i);
  }
}

}  // namespace attending

inline void run_attention(const AttentionTask& t, const Frame& frame) {
  if (t.dtype == DType::f32) attending::run<float>(t, frame);
  else attending::run<double>(t, frame);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
