// Convolutions: `conv`, `conv_dx` (its derivative in the images) and `conv_dw` (in the kernels). A plain
// struct for kernels/conv.h, made by conv.cpp.
#pragma once

#include "core/types.h"

namespace glassgrad {

struct Instruction;
struct Work;

constexpr int max_space = 3;  // axes of an image; missing ones stand in front, of size 1

// Which axis neighbours in memory: the vectors go along it. It decides the order of sums, too.
enum class Along : int32_t {
  batch,    // sums go over channels, then the window
  channel,  // sums go over the window, then channels
  row       // the last axis of the image; sums as with `batch`
};

// Images, or what has their strides: in elements.
struct Images {
  int32_t slot;  // -1: there is none
  int64_t n, channel, space[max_space];
};

// conv and conv_dx are one task: `source` is x or the derivative of y, `result` the other. conv_dw has
// them as they are in conv: `source` is x, `result` the derivative of y. Where `each` is set, there is one
// group of `out` channels, each of which meets its own channel of the source only; `in` is 1.
struct ConvTask {
  DType dtype;
  bool back;    // conv_dx
  Along along;
  bool each;    // a channel for each group (depthwise): groups are taken together, lane by lane
  bool copied;  // sources are copied, with a border of zeros and in the order in which they are read
  int64_t n, groups;
  int64_t in, out;                  // channels of the source and of the result, of one group
  int64_t channels;                 // of the source that are read together: `in`, or all where `each`
  int64_t source_size[max_space], result_size[max_space];
  int64_t window[max_space], stride[max_space], dilation[max_space], padding[max_space];
  int64_t before[max_space], after[max_space];  // the border that the copy has
  Images source, result, gate;
  bool relu;
  int32_t bias_slot;                // -1: none
  int64_t bias_step;
  int32_t weight_slot;              // of conv and conv_dx
  int64_t weight_in, weight_out, weight_space[max_space];
  // conv_dw: partial sums (chunks, out of all groups, in, *window), each of a part of the images.
  int32_t partial_slot;
  int64_t chunks, partial_chunk, partial_in, partial_out, partial_space[max_space];
  // Where in scratch what lies, in bytes.
  int64_t bias_at, weights_at, source_at, other_at, sums_at;

  int64_t taps() const { return window[0] * window[1] * window[2]; }
  int64_t places() const { return result_size[0] * result_size[1] * result_size[2]; }
};

ConvTask prepare_conv(const Instruction&, Work*);

// Samples that are taken together along the batch.
constexpr int64_t samples = lanes;

// One axis of the positions in a result that the same taps of the window reach: all of them, but where a
// derivative meets strides (conv_dx): there, those that have the same rest.
struct Reach {
  int64_t first, step, count;  // positions of the result
  int64_t source_step;         // how far the source moves from one to the next
  int64_t taps;
  int64_t tap, tap_step;       // of the window
  int64_t offset, offset_step; // of the source, from position 0: of a tap and of the next
};

// Reach number `rest` of an axis.
constexpr Reach reach(const ConvTask& t, int axis, int64_t rest) {
  const int64_t s = t.stride[axis], d = t.dilation[axis], p = t.padding[axis], size = t.result_size[axis];
  if (!t.back) return {0, 1, size, s, t.window[axis], 0, 1, -p, d};
  if (s == 1) return {0, 1, size, 1, t.window[axis], 0, 1, p, -d};  // as below, without its divisions
  // Position q = rest + s i meets tap k of place (q + p - d k) / s, where that is whole.
  Reach found{rest, s, rest < size ? (size - rest + s - 1) / s : 0, 1, 0, 0, 1, 0, 0};
  for (int64_t k = 0; k < t.window[axis]; ++k) {
    const int64_t above = rest + p - d * k;
    if (((above % s) + s) % s != 0) continue;
    const int64_t at = above >= 0 ? above / s : -(-above / s);
    if (found.taps == 0) found.tap = k, found.offset = at;
    if (found.taps == 1) found.tap_step = k - found.tap, found.offset_step = at - found.offset;
    ++found.taps;
  }
  return found;
}

// How many there are; further ones would have no position.
constexpr int64_t reaches(const ConvTask& t, int axis) {
  if (!t.back) return 1;
  return t.stride[axis] < t.result_size[axis] ? t.stride[axis] : t.result_size[axis];
}

}  // namespace glassgrad
