#include "prepare/conv.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

#include "core/instruction.h"
#include "prepare/places.h"

namespace glassgrad {
namespace {

void need(bool holds, const char* what) {
  if (!holds) throw PlanError(std::string("conv: ") + what);
}

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

// Sizes or strides of the image's axes; axes that are missing stand in front.
void space_of(const int64_t* from, int spatial, int64_t fill, int64_t* to) {
  for (int i = 0; i < max_space; ++i)
    to[i] = i < max_space - spatial ? fill : from[i - (max_space - spatial)];
}

Images images_of(const Operand& o, int spatial) {
  Images found{o.slot, o.shape[0] > 1 ? o.stride[0] : 0, o.shape[1] > 1 ? o.stride[1] : 0, {}};
  space_of(o.stride + 2, spatial, 0, found.space);
  for (int i = 0; i < max_space; ++i) {
    const int axis = i - (max_space - spatial);
    if (axis >= 0 && o.shape[2 + axis] <= 1) found.space[i] = 0;
  }
  return found;
}

// The border that the source needs, so that every tap of every place finds a number.
void find_border(ConvTask* t) {
  for (int axis = 0; axis < max_space; ++axis) {
    const int64_t s = t->stride[axis], p = t->padding[axis], last = t->result_size[axis] - 1;
    const int64_t span = t->dilation[axis] * (t->window[axis] - 1);
    const int64_t low = t->back ? (span > p ? (p - span) / s : 0) : -p;
    const int64_t high = t->back ? (last + p) / s : last * s + span - p;
    t->before[axis] = std::max<int64_t>(0, -low);
    t->after[axis] = std::max<int64_t>(0, high - (t->source_size[axis] - 1));
  }
}

int64_t times(std::initializer_list<int64_t> numbers) {
  int64_t found = 1;
  for (const int64_t x : numbers)
    need(!__builtin_mul_overflow(found, x, &found) && found < int64_t{1} << 40, "images that are too large");
  return found;
}

int64_t reach_of(const ConvTask& t) {
  int64_t last = std::abs(t.source.channel) * std::max<int64_t>(t.channels - 1, 0);
  for (int a = 0; a < max_space; ++a)
    last += std::abs(t.source.space[a]) * std::max<int64_t>(t.source_size[a] - 1, 0);
  return last;
}

}  // namespace

ConvTask prepare_conv(const Instruction& in, Work* work) {
  const bool weights = in.kernel == Kernel::conv_dw;
  need(in.operands.size() >= 3 && !in.ints.empty(), "too few operands");
  const int64_t spatial64 = in.ints[0];
  need(spatial64 >= 1 && spatial64 <= max_space, "images have one to three axes");
  const int spatial = static_cast<int>(spatial64);
  need(in.ints.size() == static_cast<size_t>(3 * spatial + 5), "too few or too many whole numbers");
  ConvTask t{};
  t.back = in.kernel == Kernel::conv_dx;
  const int64_t* at = in.ints.data() + 1;
  space_of(at, spatial, 1, t.stride);
  space_of(at + spatial, spatial, 0, t.padding);
  space_of(at + 2 * spatial, spatial, 1, t.dilation);
  at += 3 * spatial;
  t.groups = *at++;
  const bool bias = *at++ != 0;
  t.relu = *at++ != 0;
  const bool gated = *at++ != 0;
  constexpr int64_t limit = int64_t{1} << 31;
  for (int a = 0; a < max_space; ++a)
    need(t.stride[a] >= 1 && t.stride[a] < limit && t.dilation[a] >= 1 && t.dilation[a] < limit &&
             t.padding[a] >= 0 && t.padding[a] < limit,
         "strides and the like out of range");
  need(t.groups >= 1, "no groups");
  need(!weights || (!bias && !t.relu && !gated), "kernels have no bias");
  need(in.operands.size() == static_cast<size_t>(3 + bias + gated), "too few or too many operands");

  const size_t last = in.operands.size() - 1;
  // x, the kernels, and what the convolution gives.
  const Operand& x = in.operands[weights ? 1 : t.back ? last : 0];
  const Operand& w = in.operands[weights ? 2 : 1];
  const Operand& y = in.operands[weights ? 0 : t.back ? 0 : last];
  const int rank = spatial + 2;
  need(x.rank == rank && y.rank == rank && w.rank == rank + weights, "an operand of another rank");
  t.dtype = x.dtype;
  need(t.dtype == DType::f32 || t.dtype == DType::f64, "numbers that are not real");
  for (int a = 0; a < w.rank; ++a) need(w.shape[a] <= 1 || w.stride[a] != 0, "kernels that are stretched");
  for (const Operand& o : in.operands) {
    need(o.dtype == t.dtype, "two kinds of numbers");
    for (int a = 0; a < o.rank; ++a) need(o.shape[a] >= 0 && o.shape[a] < limit, "a size out of range");
  }
  const int64_t* kernel = w.shape + weights;
  need(x.shape[0] == y.shape[0], "another number of images");
  need(kernel[1] >= 1 && kernel[0] >= 0 && kernel[0] % t.groups == 0, "groups do not fit");
  need(x.shape[1] == kernel[1] * t.groups && y.shape[1] == kernel[0], "channels do not fit");
  t.n = x.shape[0];
  int64_t image[max_space], places[max_space];
  space_of(kernel + 2, spatial, 1, t.window);
  space_of(x.shape + 2, spatial, 1, image);
  space_of(y.shape + 2, spatial, 1, places);
  for (int a = 0; a < max_space; ++a) {
    need(t.window[a] >= 1, "an empty window");
    const int64_t room = image[a] + 2 * t.padding[a] - t.dilation[a] * (t.window[a] - 1) - 1;
    need(places[a] == (room < 0 ? 0 : room / t.stride[a] + 1), "sizes do not fit");
  }
  const Operand& source = t.back ? y : x;
  const Operand& result = t.back ? x : y;
  std::copy(t.back ? places : image, (t.back ? places : image) + max_space, t.source_size);
  std::copy(t.back ? image : places, (t.back ? image : places) + max_space, t.result_size);
  t.in = t.back ? kernel[0] / t.groups : kernel[1];
  t.out = t.back ? kernel[1] : kernel[0] / t.groups;
  t.source = images_of(source, spatial);
  t.result = images_of(result, spatial);
  t.gate.slot = t.bias_slot = t.partial_slot = t.weight_slot = -1;
  if (bias) {
    const Operand& b = in.operands[2];
    need(b.rank == 1 && b.shape[0] == t.out * t.groups, "a bias of another size");
    t.bias_slot = b.slot;
    t.bias_step = b.stride[0];
  }
  if (gated) {
    const Operand& gate = in.operands[static_cast<size_t>(2 + bias)];
    need(same_shape(gate, result), "a gate of another shape");
    t.gate = images_of(gate, spatial);
  }
  const Operand& written = in.operands[last];
  require_writable(written);
  for (size_t i = 0; i < last; ++i)
    need(in.operands[i].slot != written.slot, "a result in place of an operand");
  work->written = {static_cast<int>(last)};

  const bool by_row = t.stride[2] == 1;
  if (weights) {
    t.partial_slot = w.slot;
    t.chunks = w.shape[0];
    t.partial_chunk = w.stride[0];
    t.partial_out = w.shape[1] > 1 ? w.stride[1] : 1;
    t.partial_in = w.stride[2];
    space_of(w.stride + 3, spatial, 0, t.partial_space);
    need(t.chunks >= 1, "no chunks");
    t.along = (t.partial_out == 1 && w.shape[1] > 1) || !(by_row || t.result.n == 1) ? Along::channel
              : t.result.n == 1                                                     ? Along::batch
                                                                                    : Along::row;
    need(t.along != Along::channel || t.partial_out == 1, "sums whose channels are apart");
  } else {
    t.weight_slot = w.slot;
    t.weight_out = w.stride[t.back ? 1 : 0];
    t.weight_in = w.stride[t.back ? 0 : 1];
    space_of(w.stride + 2, spatial, 0, t.weight_space);
    t.along = t.result.n == 1                            ? Along::batch
              : t.result.channel == 1                    ? Along::channel
              : t.result.space[2] == 1 && by_row         ? Along::row
                                                         : Along::channel;
  }
  t.channels = t.in;
  if (t.along == Along::channel && t.groups > 1 && t.in == 1 && t.out == 1 &&
      (!weights || t.partial_out == 1) && (weights || t.result.channel == 1) &&
      (t.gate.slot < 0 || t.gate.channel == 1)) {
    t.each = true;
    t.out = t.channels = t.groups;
    if (t.back) t.weight_out = t.weight_in;
    t.groups = 1;
  }
  find_border(&t);
  const bool border = std::any_of(t.before, t.before + max_space, [](int64_t b) { return b > 0; }) ||
                      std::any_of(t.after, t.after + max_space, [](int64_t b) { return b > 0; });
  t.copied = border || reach_of(t) >= limit;
  if (t.along == Along::channel) t.copied = t.copied || (t.source.channel != 1 && t.channels > 1);
  else if (t.along == Along::batch) t.copied = t.copied || weights || t.source.n != 1 || t.n > samples;
  else t.copied = t.copied || (t.source.space[2] != 1 && t.source_size[2] > 1);

  // What it takes.
  const int64_t size = size_of(t.dtype), k = times({t.in, t.window[0], t.window[1], t.window[2]});
  int64_t copy = times({t.channels, t.along == Along::batch ? samples : 1});
  for (int a = 0; a < max_space; ++a) copy = times({copy, t.before[a] + t.source_size[a] + t.after[a]});
  need(!t.copied || copy < limit, "images that are too large");
  const int64_t steps =
      weights && t.along == Along::channel ? times({t.result_size[0], t.result_size[1], t.result_size[2]}) : k;
  t.bias_at = round_up(4 * steps, 64);
  t.weights_at = t.bias_at + (bias ? round_up(t.out * size, 64) : 0);
  const int64_t strips = t.along == Along::channel ? round_up(t.out, 2 * 64 / size) : t.out;
  t.source_at = t.weights_at + (weights ? 0 : round_up(times({k, strips, size}), 64));
  t.other_at = t.source_at + (t.copied ? round_up(copy * size, 64) : 0);
  t.sums_at = t.other_at;
  if (weights) {
    const int64_t rows = t.result_size[0] * t.result_size[1], row = t.result_size[2];
    const int64_t wide = t.along == Along::batch ? row * lanes : row;
    t.sums_at += round_up(times({t.out, rows, wide, size}), 64);
  }
  work->scratch = t.sums_at + (weights && t.along != Along::channel ? times({t.out, k, lanes, size}) : 0);
  const int64_t units = weights ? t.chunks : t.along == Along::batch ? (t.n + samples - 1) / samples : t.n;
  work->units = std::max<int64_t>(1, t.groups * units);
  const double n = static_cast<double>(t.n), groups = static_cast<double>(t.groups);
  const double places_of_y = static_cast<double>(places[0] * places[1] * places[2]);
  work->flop = 2 * n * groups * places_of_y * static_cast<double>(k * t.out);
  const double of_source = static_cast<double>(t.source_size[0] * t.source_size[1] * t.source_size[2] * t.channels);
  work->bytes = n * groups * static_cast<double>(size) * (of_source + static_cast<double>(t.places() * t.out));
  static const char* const name[] = {"by samples", "by channels", "by rows"};
  work->name = std::string("conv, ") + name[static_cast<int>(t.along)];
  if (t.each) work->name += " each";
  if (bias) work->name += " + bias";
  if (t.relu) work->name += " + relu";
  if (gated) work->name += " + gate";
  return t;
}

}  // namespace glassgrad
