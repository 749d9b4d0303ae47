// Convolutions and their derivatives against plain loops in long double, for any settings and strides,
// between forbidden pages; and the same bits on every instruction set, for any number of parts.
#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "prepare/conv.h"

namespace glassgrad::tests {
namespace {

using Exact = std::vector<long double>;

// A convolution: images (n, channels, *size), kernels (out, channels / groups, *window).
struct Problem {
  int spatial;
  int64_t n, channels, out, groups;
  Sizes size, window, stride, padding, dilation, places;

  Sizes images() const { return join(n, channels, size); }
  Sizes kernels() const { return join(out, channels / groups, window); }
  Sizes results() const { return join(n, out, places); }
  static Sizes join(int64_t a, int64_t b, const Sizes& rest) {
    Sizes found = {a, b};
    found.insert(found.end(), rest.begin(), rest.end());
    return found;
  }

  // Every product of the sum: act(index in images, in kernels, in results).
  void each(const std::function<void(int64_t, int64_t, int64_t)>& act) const {
    const int64_t in = channels / groups, of_group = out / groups;
    const int64_t taps = product(window), count = product(places);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t o = 0; o < out; ++o)
        for (int64_t place = 0; place < count; ++place)
          for (int64_t q = 0; q < in; ++q)
            for (int64_t tap = 0; tap < taps; ++tap) {
              int64_t x = 0, step = 1, p = place, k = tap;
              bool inside = true;
              for (size_t a = static_cast<size_t>(spatial); a-- > 0;) {
                const int64_t at = p % places[a] * stride[a] + k % window[a] * dilation[a] - padding[a];
                inside = inside && at >= 0 && at < size[a];
                x += at * step;
                step *= size[a];
                p /= places[a];
                k /= window[a];
              }
              if (!inside) continue;
              const int64_t channel = o / of_group * in + q;
              act((i * channels + channel) * step + x, (o * in + q) * taps + tap, (i * out + o) * count + place);
            }
  }

  std::vector<int64_t> ints(bool bias, bool relu, bool gate) const {
    std::vector<int64_t> found = {spatial};
    for (const Sizes* s : {&stride, &padding, &dilation}) found.insert(found.end(), s->begin(), s->end());
    found.insert(found.end(), {groups, bias, relu, gate});
    return found;
  }
};

Problem draw_problem(Random& random) {
  Problem p{};
  p.spatial = static_cast<int>(random.between(1, 3));
  p.n = random.chance(30) ? 1 : random.chance(30) ? random.between(15, 35) : random.between(0, 5);
  p.groups = random.chance(70) ? 1 : random.between(2, 20);
  const int64_t most = p.groups > 1 ? 2 : random.chance(30) ? 40 : 7;
  p.channels = p.groups * random.between(1, most);
  p.out = p.groups * random.between(1, most);
  const bool one = random.chance(25);  // one channel on one side at least, and larger images
  if (one) {
    (random.chance(50) ? p.channels : p.out) = p.groups = 1;
    p.n = std::min<int64_t>(p.n, 5);
  }
  for (int a = 0; a < p.spatial; ++a) {
    const int64_t window = random.between(1, 4), dilation = random.chance(70) ? 1 : random.between(2, 3);
    const int64_t padding = random.chance(50) ? 0 : random.between(1, 3), stride = random.chance(60) ? 1 : random.between(2, 3);
    const int64_t span = dilation * (window - 1) + 1;
    const int64_t more = p.spatial == 1 || (one && p.spatial == 2) ? 40 : p.spatial == 2 ? 12 : 4;
    const int64_t size = std::max<int64_t>(1, span - 2 * padding) + random.between(0, more);
    p.window.push_back(window), p.dilation.push_back(dilation), p.padding.push_back(padding);
    p.stride.push_back(stride), p.size.push_back(size);
    p.places.push_back((size + 2 * padding - span) / stride + 1);
  }
  return p;
}

template <typename T>
std::vector<T> reals(Random& random, int64_t count) {
  std::vector<T> found(static_cast<size_t>(count));
  for (T& number : found) number = static_cast<T>(random.real(-1, 1));
  return found;
}

// Images in one of the three orders, or in any.
Array image_array(Random& random, DType dtype, const Sizes& shape) {
  if (random.chance(25)) return lay_out(random, dtype, shape, false);
  Array a = lay_out(random, dtype, shape, true);
  const int64_t which = random.below(3);
  if (which == 0) return a;
  std::vector<size_t> order;
  if (which == 1) order.push_back(0);
  for (size_t i = which == 1 ? 2 : 1; i < shape.size(); ++i) order.push_back(i);
  order.push_back(which == 1 ? 1 : 0);
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0; step *= std::max<int64_t>(shape[order[i]], 1)) a.stride[order[i]] = step;
  return a;
}

template <typename T>
void compare(const std::vector<T>& found, const Exact& exact, const Exact& sizes, const std::string& name) {
  const long double eps = sizeof(T) == 4 ? 1e-6L : 1e-14L;
  for (size_t i = 0; i < found.size(); ++i)
    if (!(std::abs(static_cast<long double>(found[i]) - exact[i]) <= eps * (sizes[i] + 1)))
      return expect(false, name + ": number " + std::to_string(i) + " is " + std::to_string(found[i]) +
                               ", not " + std::to_string(static_cast<double>(exact[i])));
}

// All instruction sets and parts give the same bits in the last array, which are near the exact numbers.
template <typename T>
std::vector<T> run(const Instruction& in, std::vector<Array>& arrays, const std::string& name) {
  Work work;
  const ConvTask task = prepare_conv(in, &work);
  std::vector<T> first;
  for (const Table* table : tables())
    for (const int parts : {1, 2, 5}) {
      Run one;
      Array& last = arrays.back();
      std::memset(last.memory->data, 0xA5, static_cast<size_t>(last.bytes));
      for (const Array& a : arrays) one.slots.push_back(a.address());
      one.all(table->conv, task, work, parts);
      const std::vector<T> found = last.get<T>();
      if (first.empty()) first = found;
      expect(found.size() == first.size() && (found.empty() || !std::memcmp(found.data(), first.data(), found.size() * sizeof(T))),
             name + ": other bits with " + table->name + ", " + std::to_string(parts) + " parts, " + work.name);
    }
  return first;
}

template <typename T>
void check(Random& random) {
  const Problem p = draw_problem(random);
  const auto x = reals<T>(random, product(p.images())), w = reals<T>(random, product(p.kernels()));
  const auto d = reals<T>(random, product(p.results())), b = reals<T>(random, p.out);
  const bool back = random.chance(50), bias = random.chance(50), relu = random.chance(50), gated = random.chance(30);
  const Sizes& shape = back ? p.images() : p.results();
  const auto gate = reals<T>(random, product(shape));
  const int64_t result_channels = back ? p.channels : p.out;
  const auto bias_numbers = reals<T>(random, result_channels);

  // conv or conv_dx, with what follows in registers.
  std::vector<Array> arrays;
  Instruction in{back ? Kernel::conv_dx : Kernel::conv, true, {}, p.ints(bias, relu, gated), {}};
  const auto add = [&](Array a, const std::vector<T>* numbers) {
    if (numbers) a.put(*numbers);
    in.operands.push_back(a.operand(static_cast<int32_t>(arrays.size())));
    arrays.push_back(std::move(a));
  };
  constexpr DType t = dtype_of<T>();
  add(image_array(random, t, back ? p.results() : p.images()), back ? &d : &x);
  add(lay_out(random, t, p.kernels(), random.chance(50)), &w);
  if (bias) add(lay_out(random, t, {result_channels}, false), &bias_numbers);
  if (gated) add(image_array(random, t, shape), &gate);
  add(image_array(random, t, shape), nullptr);
  Exact exact(static_cast<size_t>(product(shape))), sizes(exact.size());
  p.each([&](int64_t i, int64_t k, int64_t o) {
    const size_t to = static_cast<size_t>(back ? i : o);
    const long double term = static_cast<long double>(w[static_cast<size_t>(k)]) *
                             (back ? d[static_cast<size_t>(o)] : x[static_cast<size_t>(i)]);
    exact[to] += term, sizes[to] += std::abs(term);
  });
  const int64_t image = product(shape) / std::max<int64_t>(1, shape[0] * result_channels);
  for (size_t i = 0; i < exact.size(); ++i) {
    if (bias) exact[i] += bias_numbers[i / static_cast<size_t>(image) % static_cast<size_t>(result_channels)];
    if (relu) exact[i] = std::max(exact[i], 0.0L);
    if (gated && gate[i] <= 0) exact[i] = 0;
  }
  const std::string name = back ? "conv_dx" : "conv";
  compare(run<T>(in, arrays, name), exact, sizes, name);

  // conv_dw: partial sums of chunks, which must add up.
  const Array g = image_array(random, t, p.results());
  const int64_t chunks = random.between(1, 4);
  Sizes partial = p.kernels();
  partial.insert(partial.begin(), chunks);
  Array sums = lay_out(random, t, partial, true);
  const auto next_to_each_other = [&](size_t axis) { return g.stride[axis] == 1 && g.shape[axis] > 1; };
  const bool lanewise = next_to_each_other(0) || (!next_to_each_other(1) && p.stride.back() == 1);
  if (!lanewise || random.chance(20)) {  // (chunks, *window, in, out)
    int64_t step = 1;
    sums.stride[1] = step, step *= partial[1];
    sums.stride[2] = step, step *= partial[2];
    for (size_t a = partial.size(); a-- > 3; step *= partial[a]) sums.stride[a] = step;
    sums.stride[0] = step;
  }
  in = {Kernel::conv_dw, true, {}, p.ints(false, false, false), {}};
  arrays.clear();
  Array moved = image_array(random, t, p.images());
  Array given{g.dtype, g.shape, g.stride, g.bytes, g.origin, std::make_unique<Guarded>(g.bytes, true)};
  add(std::move(given), &d);
  add(std::move(moved), &x);
  add(std::move(sums), nullptr);
  exact.assign(static_cast<size_t>(product(p.kernels())), 0), sizes = exact;
  p.each([&](int64_t i, int64_t k, int64_t o) {
    const long double term = static_cast<long double>(x[static_cast<size_t>(i)]) * d[static_cast<size_t>(o)];
    exact[static_cast<size_t>(k)] += term, sizes[static_cast<size_t>(k)] += std::abs(term);
  });
  const std::vector<T> found = run<T>(in, arrays, "conv_dw");
  std::vector<T> total(exact.size());
  for (size_t i = 0; i < found.size(); ++i) total[i % total.size()] += found[i];
  compare(total, exact, sizes, "conv_dw");
}

// Numbers that do not fit are refused, never followed.
void refuses(Random& random) {
  const Problem p = draw_problem(random);
  const Kernel kernel = random.chance(33) ? Kernel::conv : random.chance(50) ? Kernel::conv_dx : Kernel::conv_dw;
  Sizes partial = p.kernels();
  partial.insert(partial.begin(), 2);
  std::vector<Sizes> shapes = kernel == Kernel::conv      ? std::vector<Sizes>{p.images(), p.kernels(), p.results()}
                              : kernel == Kernel::conv_dx ? std::vector<Sizes>{p.results(), p.kernels(), p.images()}
                                                          : std::vector<Sizes>{p.results(), p.images(), partial};
  Instruction in{kernel, true, {}, p.ints(false, false, false), {}};
  for (size_t i = 0; i < shapes.size(); ++i)
    in.operands.push_back(lay_out(random, DType::f32, shapes[i], true).operand(static_cast<int32_t>(i)));
  const size_t which = static_cast<size_t>(random.below(static_cast<int64_t>(in.operands.size())));
  Operand& o = in.operands[which];
  const int64_t wild[] = {0, -1, 1, 7, 1 << 20, int64_t{1} << 40, INT64_MAX, INT64_MIN};
  const int64_t number = wild[random.below(8)];
  switch (random.below(5)) {
    case 0: in.ints[static_cast<size_t>(random.below(static_cast<int64_t>(in.ints.size())))] = number; break;
    case 1: o.shape[random.below(o.rank)] = number; break;
    case 2: o.rank = static_cast<int>(random.below(max_rank)); break;
    case 3: in.ints.pop_back(); break;
    default: in.operands.pop_back();
  }
  Work work;
  try {
    prepare_conv(in, &work);
    expect(work.scratch >= 0, "scratch below 0");
  } catch (const PlanError&) {
  }
}

}  // namespace
}  // namespace glassgrad::tests

int main(int argc, char** argv) {
  using namespace glassgrad::tests;
  const int count = argc > 1 ? std::atoi(argv[1]) : 400;
  for (int i = 0; i < count; ++i) {
    Random random(static_cast<uint64_t>(i) + (argc > 2 ? static_cast<uint64_t>(std::atoll(argv[2])) : 0));
    if (i % 2) check<float>(random);
    else check<double>(random);
    for (int k = 0; k < 20; ++k) refuses(random);
  }
  std::printf("%d problems, %d failures\n", count, failures);
  return failures != 0;
}
