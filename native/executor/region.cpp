#include "region.h"

#include <algorithm>
#include <cstdlib>

namespace glassgrad {
namespace {

// The rest of a division, never negative.
int64_t within(int64_t a, int64_t b) {
  const int64_t rest = a % b;
  return rest < 0 ? rest + b : rest;
}

// Where a region lies within every `pitch` bytes: it begins there and has so many bytes. What moves it
// by whole pitches does not matter.
void fold(const Region& r, int64_t pitch, bool moves, int64_t* begin, int64_t* bytes) {
  const int64_t size = size_of(r.operand.dtype);
  int64_t low = r.offset, high = r.offset + size;
  const auto reach = [&](int64_t count, int64_t step) {
    if (count <= 1 || step % pitch == 0) return;
    (step < 0 ? low : high) += (count - 1) * step;
  };
  for (int axis = 0; axis < r.operand.rank; ++axis) {
    reach(r.operand.shape[axis], r.operand.stride[axis] * size);
  }
  if (moves) reach(r.rounds, r.step);
  *begin = within(low, pitch);
  *bytes = high - low;
}

bool apart_by(const Region& a, const Region& b, int64_t pitch, bool moves) {
  int64_t begin_a, bytes_a, begin_b, bytes_b;
  fold(a, pitch, moves, &begin_a, &bytes_a);
  fold(b, pitch, moves, &begin_b, &bytes_b);
  // Going round from where a begins: b comes after a has ended, and ends before a begins again.
  const int64_t behind = within(begin_b - begin_a, pitch);
  return bytes_a <= behind && behind + bytes_b <= pitch;
}

}  // namespace

int64_t Region::low() const {
  return offset + first + std::min<int64_t>(0, step * (rounds - 1));
}

int64_t Region::high() const {
  return offset + last + std::max<int64_t>(0, step * (rounds - 1));
}

bool apart(const Region& a, const Region& b, bool always) {
  if (a.base != b.base || a.first == a.last || b.first == b.last) return true;
  if (a.high() <= b.low() || b.high() <= a.low()) return true;
  const bool together = !always && a.loop == b.loop && a.step == b.step;
  if (together && (a.offset + a.last <= b.offset + b.first ||
                   b.offset + b.last <= a.offset + a.first)) {
    return true;
  }
  for (const Region* r : {&a, &b}) {
    for (int axis = 0; axis < r->operand.rank; ++axis) {
      const int64_t pitch = std::abs(r->operand.stride[axis]) * size_of(r->operand.dtype);
      if (r->operand.shape[axis] > 1 && pitch > 0 && apart_by(a, b, pitch, !together)) return true;
    }
  }
  return false;
}

bool same_parts(const Region& a, const Region& b) {
  if (a.base != b.base || a.rows == 0 || a.rows != b.rows || a.pitch != b.pitch) return false;
  const auto moves = [](const Region& r) { return r.rounds > 1 && r.step != 0; };
  if (moves(a) && moves(b) && a.step != b.step) return false;
  const int64_t step = moves(a) ? a.step : moves(b) ? b.step : 0;
  const int64_t least = moves(b) ? 1 - b.rounds : 0, most = moves(a) ? a.rounds - 1 : 0;
  if (most - least > 1 << 16) return false;
  const int64_t behind = (a.rows - 1) * a.pitch;  // from the first row to the last
  for (int64_t rounds = least; rounds <= most; ++rounds) {
    const int64_t apart = a.offset - b.offset + rounds * step;
    const int64_t first_a = apart + a.row_first, last_a = apart + a.row_last;
    if (first_a >= b.row_last + behind || last_a + behind <= b.row_first) continue;
    if (std::max(last_a, b.row_last) - std::min(first_a, b.row_first) > a.pitch) return false;
  }
  return true;
}

bool same(const Region& a, const Region& b) {
  const Operand &x = a.operand, &y = b.operand;
  if (a.base != b.base || a.offset != b.offset || a.loop != b.loop || a.step != b.step) return false;
  if (size_of(x.dtype) != size_of(y.dtype) || x.rank != y.rank) return false;
  for (int axis = 0; axis < x.rank; ++axis) {
    if (x.shape[axis] != y.shape[axis]) return false;
    if (x.shape[axis] > 1 && x.stride[axis] != y.stride[axis]) return false;
  }
  return true;
}

bool repeats(const Operand& x) {
  int64_t step[max_rank], count[max_rank];
  int axes = 0;
  for (int axis = 0; axis < x.rank; ++axis) {
    if (x.shape[axis] == 0) return false;
    if (x.shape[axis] == 1) continue;
    int at = axes++;  // the smallest step first
    const int64_t stride = std::abs(x.stride[axis]);
    for (; at > 0 && step[at - 1] > stride; --at) {
      step[at] = step[at - 1];
      count[at] = count[at - 1];
    }
    step[at] = stride;
    count[at] = x.shape[axis];
  }
  int64_t reach = 0;
  for (int axis = 0; axis < axes; ++axis) {
    if (step[axis] <= reach) return true;
    reach += step[axis] * (count[axis] - 1);
  }
  return false;
}

}  // namespace glassgrad
