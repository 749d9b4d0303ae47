// Moving numbers between an operand that lies in any way and a block where they lie one after the other.
#pragma once

#include <cstring>

#include "prepare/space.h"

namespace glassgrad::GG_ISA {
namespace {

// Numbers that are only moved: of any kind, by their size.
struct __attribute__((may_alias)) Bytes1 { uint8_t bits; };
struct __attribute__((may_alias)) Bytes4 { uint32_t bits; };
struct __attribute__((may_alias)) Bytes8 { uint64_t bits; };

// `count` numbers from, and to, places `step` apart.
template <class T>
void copy_run(T* to, int64_t to_step, const T* from, int64_t from_step, int64_t count) {
  if (to_step == 1 && from_step == 1) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  } else if (to_step == 1 && from_step == 0) {
    const T x = *from;
    for (int64_t i = 0; i < count; ++i) to[i] = x;
  } else if (to_step == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * from_step];
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * from_step];
  }
}

// How far from its first number an operand's number at a position of the space is.
[[gnu::noinline]] inline int64_t offset_of(const Space& s, const Place& p, int64_t position) {
  int64_t offset = 0;
  for (int k = s.rank - 1; k > 0; --k) {
    const int64_t above = position / s.size[k];
    offset += (position - above * s.size[k]) * p.stride[k];
    position = above;
  }
  return offset + position * p.stride[0];
}

// Calls run(offsets, length) for each piece, within a row, of so many numbers of a space from a position on:
// an offset for each of the operands whose strides are given.
template <int operands, class Run>
void for_runs(const Space& s, const int64_t* const (&stride)[operands], int64_t position,
              int64_t count, Run run) {
  int64_t index[max_rank];
  int64_t offset[operands] = {};
  for (int k = s.rank - 1; k >= 0; --k) {
    const int64_t above = k > 0 ? position / s.size[k] : 0;
    index[k] = position - above * s.size[k];
    position = above;
    for (int i = 0; i < operands; ++i) offset[i] += index[k] * stride[i][k];
  }
  const int last = s.rank - 1;
  while (count > 0) {
    const int64_t left = s.size[last] - index[last];
    const int64_t length = left < count ? left : count;
    run(offset, length);
    count -= length;
    for (int i = 0; i < operands; ++i) offset[i] -= index[last] * stride[i][last];
    index[last] = 0;
    for (int k = last - 1; k >= 0 && count > 0; --k) {
      for (int i = 0; i < operands; ++i) offset[i] += stride[i][k];
      if (++index[k] < s.size[k]) break;
      for (int i = 0; i < operands; ++i) offset[i] -= s.size[k] * stride[i][k];
      index[k] = 0;
    }
  }
}

template <class T>
void gather_as(const Space& s, const Place& p, const char* from, char* to, int64_t position,
               int64_t count) {
  const int64_t step = p.stride[s.rank - 1];
  T* out = reinterpret_cast<T*>(to);
  for_runs<1>(s, {p.stride}, position, count, [&](const int64_t* offset, int64_t length) {
    copy_run(out, 1, reinterpret_cast<const T*>(from) + offset[0], step, length);
    out += length;
  });
}

template <class T>
void scatter_as(const Space& s, const Place& p, char* to, const char* from, int64_t position,
                int64_t count) {
  const int64_t step = p.stride[s.rank - 1];
  const T* in = reinterpret_cast<const T*>(from);
  for_runs<1>(s, {p.stride}, position, count, [&](const int64_t* offset, int64_t length) {
    copy_run(reinterpret_cast<T*>(to) + offset[0], step, in, 1, length);
    in += length;
  });
}

// So many numbers of an operand, from a position of the space on, one after the other.
[[gnu::noinline]] inline void gather(const Space& s, const Place& p, const char* from, char* to, int64_t position,
                   int64_t count) {
  if (p.size == 4) gather_as<Bytes4>(s, p, from, to, position, count);
  else if (p.size == 8) gather_as<Bytes8>(s, p, from, to, position, count);
  else gather_as<Bytes1>(s, p, from, to, position, count);
}

[[gnu::noinline]] inline void scatter(const Space& s, const Place& p, char* to, const char* from, int64_t position,
                    int64_t count) {
  if (p.size == 4) scatter_as<Bytes4>(s, p, to, from, position, count);
  else if (p.size == 8) scatter_as<Bytes8>(s, p, to, from, position, count);
  else scatter_as<Bytes1>(s, p, to, from, position, count);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
