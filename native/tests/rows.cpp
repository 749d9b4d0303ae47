// Kernels of rows against plain loops in long double: any shapes, strides and numbers of parts,
// between forbidden pages; and the same bits on every instruction set, for any strides and parts.
// `rows bench` prints times instead.
#include <algorithm>
#include <cmath>
#include <map>

#include "arrays.h"
#include "prepare/row.h"

namespace glassgrad::tests {
namespace {

using Exact = std::vector<long double>;

template <typename T>
std::vector<T> reals(Random& random, int64_t count, double spread = 3) {
  std::vector<T> found(static_cast<size_t>(count));
  for (T& number : found) number = static_cast<T>(random.real(-spread, spread));
  return found;
}

// Which operands there are: numbers to read, or what should be written there.
template <typename T>
struct Operands {
  struct One {
    Sizes shape;
    std::vector<T> read;        // empty where it is written
    Exact written;
    std::vector<int64_t> positions;
    int kind;                   // 0 read, 1 written, 2 positions
    bool stretched[max_rank];   // axes on which the same numbers stand
  };
  std::vector<One> all;

  void read(const Sizes& shape, std::vector<T> numbers) {
    all.push_back({shape, std::move(numbers), {}, {}, 0, {}});
  }
  void written(const Sizes& shape, Exact numbers) {
    all.push_back({shape, {}, std::move(numbers), {}, 1, {}});
  }
  void positions(const Sizes& shape, std::vector<int64_t> at) {
    all.push_back({shape, {}, {}, std::move(at), 2, {}});
  }
};

// Runs a kernel with several layouts, instruction sets and parts. All give the same bits, and these
// are near the exact numbers.
template <typename T>
void check(Random& random, Kernel kernel, const Operands<T>& operands, std::vector<int64_t> ints,
           std::vector<double> numbers, const std::string& name) {
  std::map<size_t, std::vector<T>> first;
  for (int layout = 0; layout < 3; ++layout) {
    const bool plain = layout == 0;
    std::vector<Array> arrays;
    Instruction in{kernel, true, {}, ints, numbers};
    for (const auto& one : operands.all) {
      // Stretched axes are laid out once.
      Sizes stored = one.shape;
      for (size_t axis = 0; axis < stored.size(); ++axis) {
        if (one.stretched[axis]) stored[axis] = 1;
      }
      const int32_t slot = static_cast<int32_t>(arrays.size());
      if (one.kind == 2) {
        arrays.push_back(laid_out(random, stored, one.positions, plain));
      } else if (one.kind == 1) {
        arrays.push_back(lay_out(random, dtype_of<T>(), stored, plain));
      } else {
        arrays.push_back(laid_out(random, stored, one.read, plain));
      }
      Operand operand = arrays.back().operand(slot);
      for (size_t axis = 0; axis < stored.size(); ++axis) {
        if (!one.stretched[axis]) continue;
        operand.shape[axis] = one.shape[axis];
        operand.stride[axis] = 0;
      }
      in.operands.push_back(operand);
    }
    Work work;
    const RowTask task = prepare_row(in, &work);
    for (const Table* table : tables()) {
      for (const int parts : {1, 2, 5}) {
        Run run;
        for (size_t k = 0; k < arrays.size(); ++k) {
          if (operands.all[k].kind == 1) {
            std::memset(arrays[k].memory->data, 0xA5, static_cast<size_t>(arrays[k].bytes));
          }
          run.slots.push_back(arrays[k].address());
        }
        run.all(table->row, task, work, parts);
        expect(!run.fault.found, name + ": a fault");
        for (size_t k = 0; k < arrays.size(); ++k) {
          if (operands.all[k].kind != 1) continue;
          const std::vector<T> found = arrays[k].template get<T>();
          const std::string where = name + ", operand " + std::to_string(k) + ", " + work.name +
                                    " on " + table->name + ", parts " + std::to_string(parts);
          if (!first.count(k)) {
            first[k] = found;
            const Exact& exact = operands.all[k].written;
            for (size_t i = 0; i < found.size(); ++i) {
              const long double eps = sizeof(T) == 4 ? 4e-6L : 1e-14L;
              const long double error = std::fabs(found[i] - exact[i]);
              const bool both_nan = std::isnan(found[i]) && std::isnan(exact[i]);
              expect(both_nan || error <= eps * (1 + std::fabs(exact[i])), where + ": the value");
            }
          }
          expect(found.size() == first[k].size() &&
                     (found.empty() || std::memcmp(found.data(), first[k].data(),
                                                   found.size() * sizeof(T)) == 0),
                 where + ": the bits");
          // Between the numbers nothing was written.
          Array& array = arrays[k];
          const std::string after(array.memory->data, static_cast<size_t>(array.bytes));
          array.put(found);
          expect(std::memcmp(after.data(), array.memory->data, after.size()) == 0,
                 where + ": the gaps");
        }
      }
    }
  }
}

int64_t some_size(Random& random) {
  return random.chance(60)   ? random.between(1, 17)
         : random.chance(80) ? random.between(18, 100)
                             : random.between(1000, 3100);
}

// An array as [before][size][behind] around an axis.
template <typename T>
void softmax(Random& random) {
  const int64_t before = random.between(0, 90), size = some_size(random);
  const int64_t behind = random.chance(50) ? 1 : random.between(1, 6);
  const Sizes shape{before, size, behind};
  const auto x = reals<T>(random, product(shape), random.chance(20) ? 80 : 3);
  Exact shares(x.size()), logs(x.size());
  for (int64_t i = 0; i < before; ++i) {
    for (int64_t k = 0; k < behind; ++k) {
      const auto at = [&](int64_t j) { return static_cast<size_t>((i * size + j) * behind + k); };
      long double top = x[at(0)], sum = 0;
      for (int64_t j = 1; j < size; ++j) top = std::max<long double>(top, x[at(j)]);
      for (int64_t j = 0; j < size; ++j) sum += std::exp(x[at(j)] - top);
      for (int64_t j = 0; j < size; ++j) {
        shares[at(j)] = std::exp(x[at(j)] - top) / sum;
        logs[at(j)] = x[at(j)] - top - std::log(sum);
      }
    }
  }
  Operands<T> operands;
  operands.read(shape, x);
  operands.written(shape, shares);
  check(random, Kernel::softmax, operands, {1}, {}, "softmax");
  operands.all[1].written = logs;
  check(random, Kernel::log_softmax, operands, {1}, {}, "log_softmax");
}

template <typename T>
void cross_entropy(Random& random) {
  const int64_t rows = random.chance(10) ? random.between(1000, 3000) : random.between(1, 150);
  const int64_t size = rows > 999 ? random.between(2, 20) : some_size(random);
  const auto z = reals<T>(random, rows * size);
  const bool ignores = random.chance(40);
  const int64_t ignored = random.chance(50) ? -100 : 0;
  const double smoothing = random.chance(60) ? 0 : random.real(0, 1);
  std::vector<int64_t> target(static_cast<size_t>(rows));
  for (int64_t& at : target) at = ignores && random.chance(30) ? ignored : random.below(size);
  long double counted = 0, total = 0;
  for (const int64_t at : target) counted += !(ignores && at == ignored);
  Exact losses, d, shared;
  const long double smooth = static_cast<T>(smoothing);
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = z.data() + i * size;
    const int64_t right = target[static_cast<size_t>(i)];
    const bool kept = !(ignores && right == ignored);
    long double sum = 0, mean = 0;
    for (int64_t j = 0; j < size; ++j) sum += std::exp(static_cast<long double>(row[j]));
    for (int64_t j = 0; j < size; ++j) mean += std::log(sum) - row[j];
    mean /= static_cast<long double>(size);
    losses.push_back(kept ? (1 - smooth) * (std::log(sum) - row[right]) + smooth * mean : 0);
    total += losses.back();
    for (int64_t j = 0; j < size; ++j) {
      const long double wanted = (1 - smooth) * (j == right) + smooth / static_cast<long double>(size);
      d.push_back(kept ? std::exp(static_cast<long double>(row[j])) / sum - wanted : 0);
    }
  }
  for (const long double number : d) shared.push_back(number / counted);
  if (counted == 0) std::fill(shared.begin(), shared.end(), std::nanl(""));
  for (int64_t loss = 0; loss <= 2; ++loss) {
    for (int64_t back = 0; back <= 2; ++back) {
      if (loss + back == 0) continue;
      Operands<T> operands;
      operands.read({rows, size}, z);
      operands.positions({rows}, target);
      if (loss == 1) operands.written({rows}, losses);
      if (loss == 2) operands.written({}, {total / counted});
      if (back > 0) operands.written({rows, size}, back == 1 ? d : shared);
      check(random, Kernel::cross_entropy, operands, {loss, back, ignores, ignored}, {smoothing},
            "cross_entropy " + std::to_string(loss) + std::to_string(back));
    }
  }
}

template <typename T>
void normalising(Random& random) {
  Sizes shape(static_cast<size_t>(random.between(1, 4)));
  for (int64_t& size : shape) size = random.between(1, 8);
  if (random.chance(50)) shape[0] = some_size(random) % 300 + 1;
  if (random.chance(50)) shape.back() = some_size(random);
  if (product(shape) > 30000) shape.resize(1);
  const size_t rank = shape.size();
  std::vector<int64_t> axes;
  std::vector<bool> reduced(rank);
  const int64_t kind = random.below(3);  // the last axes, the first, any
  for (size_t axis = 0; axis < rank; ++axis) {
    reduced[axis] = kind == 0 ? axis + 1 >= rank : kind == 1 ? axis == 0 : random.chance(50);
  }
  if (std::find(reduced.begin(), reduced.end(), true) == reduced.end()) reduced[0] = true;
  Sizes kept = shape;
  for (size_t axis = 0; axis < rank; ++axis) {
    if (!reduced[axis]) continue;
    axes.push_back(static_cast<int64_t>(axis));
    kept[axis] = 1;
  }
  const size_t count = static_cast<size_t>(product(shape));
  // Position i of the whole, among numbers that are stretched along some axes.
  const auto at = [&](size_t i, const Sizes& sizes) {
    size_t found = 0, step = 1;
    for (size_t axis = rank; axis-- > 0;) {
      const size_t size = static_cast<size_t>(shape[axis]);
      if (sizes[axis] > 1) found += i % size * step;
      step *= static_cast<size_t>(sizes[axis]);
      i /= size;
    }
    return found;
  };
  const auto x = reals<T>(random, static_cast<int64_t>(count));
  auto d = reals<T>(random, static_cast<int64_t>(count));
  const double eps = 0.01;
  const size_t rows = static_cast<size_t>(product(kept));
  Exact mean(rows), variance(rows), std(rows), normal(count), result(count), dx(count);
  const long double size = static_cast<long double>(count) / static_cast<long double>(rows);
  const bool centred = random.chance(75);
  for (size_t i = 0; centred && i < count; ++i) mean[at(i, kept)] += x[i] / size;
  for (size_t i = 0; i < count; ++i) {
    const long double number = x[i] - mean[at(i, kept)];
    variance[at(i, kept)] += number * number / size;
  }
  for (size_t k = 0; k < rows; ++k) std[k] = std::sqrt(variance[k] + eps);
  for (size_t i = 0; i < count; ++i) normal[i] = (x[i] - mean[at(i, kept)]) / std[at(i, kept)];

  const bool scaled = random.chance(60), shifted = random.chance(50);
  Sizes stored[2] = {shape, shape};  // of scale and shift
  for (Sizes& sizes : stored) {
    const int64_t how = random.below(3);
    for (size_t axis = 0; axis < rank; ++axis) {
      const bool stretched = how == 0 ? reduced[axis] : how == 1 ? !reduced[axis] : random.chance(30);
      if (stretched) sizes[axis] = 1;
    }
  }
  const auto scale = reals<T>(random, product(stored[0])), shift = reals<T>(random, product(stored[1]));
  for (size_t i = 0; i < count; ++i) {
    result[i] = normal[i] * (scaled ? scale[at(i, stored[0])] : T(1)) +
                (shifted ? shift[at(i, stored[1])] : T(0));
  }
  std::vector<int64_t> ints{static_cast<int64_t>(axes.size())};
  ints.insert(ints.end(), axes.begin(), axes.end());

  Operands<T> forward;
  const auto stretch = [&](Operands<T>& operands, const Sizes& sizes) {
    for (size_t axis = 0; axis < rank; ++axis) {
      operands.all.back().stretched[axis] = sizes[axis] == 1 && shape[axis] != 1;
    }
  };
  int64_t which = (scaled ? 1 : 0) | (shifted ? 2 : 0);
  forward.read(shape, x);
  if (scaled) forward.read(shape, scale), stretch(forward, stored[0]);
  if (shifted) forward.read(shape, shift), stretch(forward, stored[1]);
  int64_t results = random.between(1, 31);
  if (which == 0) results &= ~2;
  if (!centred) results &= ~4;
  if (results == 0) results = 1;
  if (results & 1) forward.written(shape, normal);
  if (results & 2) forward.written(shape, result);
  if (results & 4) forward.written(kept, mean);
  if (results & 8) forward.written(kept, variance);
  if (results & 16) forward.written(kept, std);
  which |= results << 2;
  std::vector<int64_t> more = ints;
  more.push_back(which);
  more.push_back(centred);
  check(random, Kernel::normalise, forward, more, {eps}, "normalise " + std::to_string(which));

  // The derivative takes the rounded numbers as they are.
  std::vector<T> normal_read(count), std_read(rows);
  std::transform(normal.begin(), normal.end(), normal_read.begin(), [](long double v) { return T(v); });
  std::transform(std.begin(), std.end(), std_read.begin(), [](long double v) { return T(v); });
  Exact g(count), mean_g(rows), along(rows);
  for (size_t i = 0; i < count; ++i) {
    g[i] = static_cast<long double>(d[i]) * (scaled ? scale[at(i, stored[0])] : T(1));
    mean_g[at(i, kept)] += g[i] / size;
    along[at(i, kept)] += g[i] * normal_read[i] / size;
  }
  for (size_t i = 0; i < count; ++i) {
    const size_t row = at(i, kept);
    dx[i] = (g[i] - (centred ? mean_g[row] : 0) - normal_read[i] * along[row]) / std_read[row];
  }
  Operands<T> back;
  back.read(shape, d);
  if (scaled) back.read(shape, scale), stretch(back, stored[0]);
  back.read(shape, normal_read);
  back.read(kept, std_read);
  back.written(shape, dx);
  more = ints;
  more.push_back(scaled);
  more.push_back(centred);
  // What eps 0.01 lets grow tenfold may be off by as much.
  for (auto& one : back.all) {
    if (one.kind == 1) one.written = dx;
  }
  check(random, Kernel::normalise_back, back, more, {}, "normalise_back");
}

// A class that is not there stops cross-entropy.
void outside() {
  Random random(3);
  for (const int64_t size : {4, 40}) {
    for (const int64_t wrong : {int64_t{-1}, size}) {
      std::vector<int64_t> target(70, 1);
      target[65] = wrong;
      std::vector<Array> arrays;
      arrays.push_back(laid_out(random, {70, size}, reals<float>(random, 70 * size), true));
      arrays.push_back(laid_out(random, {70}, target, true));
      arrays.push_back(lay_out(random, DType::f32, {}, true));
      Instruction in{Kernel::cross_entropy, true, {}, {2, 0, 1, -100}, {0.0}};
      Run run;
      for (size_t k = 0; k < 3; ++k) {
        in.operands.push_back(arrays[k].operand(static_cast<int32_t>(k)));
        run.slots.push_back(arrays[k].address());
      }
      Work work;
      const RowTask task = prepare_row(in, &work);
      for (const Table* table : tables()) {
        run.fault = {};
        run.all(table->row, task, work, 2);
        expect(run.fault.found && run.fault.position == wrong && run.fault.size == size,
               "a class that is not there");
      }
    }
  }
}

// Results on top of what they are made from.
template <typename T>
void in_place(Random& random) {
  for (const int64_t size : {3, 40}) {
    const Sizes shape{70, size};
    const auto x = reals<T>(random, product(shape));
    for (const Kernel kernel : {Kernel::softmax, Kernel::log_softmax, Kernel::normalise}) {
      const bool norm = kernel == Kernel::normalise;
      for (const int64_t axis : {0, 1}) {
        Array a = laid_out(random, shape, x, true), b = lay_out(random, dtype_of<T>(), shape, true);
        Instruction in{kernel, true, {a.operand(0), b.operand(1)},
                       norm ? std::vector<int64_t>{1, axis, 4, 1} : std::vector<int64_t>{axis},
                       norm ? std::vector<double>{1e-5} : std::vector<double>{}};
        for (const Table* table : tables()) {
          a.put(x);
          Run run;
          run.slots = {a.address(), b.address()};
          in.operands[1].slot = 1;
          Work work;
          run.all(table->row, prepare_row(in, &work), work, 1);
          in.operands[1] = in.operands[0];
          run.all(table->row, prepare_row(in, &work), work, 2);
          expect(a.get<T>() == b.get<T>(), "in place");
          in.operands[1] = b.operand(1);
        }
      }
    }
  }
}

void bench() {
  Random random(1);
  for (const Table* table : tables()) {
    std::printf("%s\n", table->name);
    const auto time = [&](Kernel kernel, const std::vector<Sizes>& shapes, std::vector<int64_t> ints,
                          std::vector<double> numbers, const char* what, std::vector<std::vector<int>> zero = {}) {
      std::vector<Array> arrays;
      Instruction in{kernel, true, {}, std::move(ints), std::move(numbers)};
      std::vector<char*> slots;
      for (size_t k = 0; k < shapes.size(); ++k) {
        const bool target = kernel == Kernel::cross_entropy && k == 1;
        if (target) {
          std::vector<int64_t> at(static_cast<size_t>(product(shapes[k])));
          for (int64_t& position : at) position = random.below(shapes[0].back());
          arrays.push_back(laid_out(random, shapes[k], at, true));
        } else {
          auto values = reals<float>(random, product(shapes[k]));
          for (float& v : values) v = v < 0 ? 1 - v : 1 + v;
          arrays.push_back(laid_out(random, shapes[k], values, true));
        }
        Operand operand = arrays.back().operand(static_cast<int32_t>(k));
        if (k < zero.size()) {
          for (const int axis : zero[k]) operand.stride[axis] = 0;
        }
        in.operands.push_back(operand);
        slots.push_back(arrays.back().address());
      }
      Work work;
      const RowTask task = prepare_row(in, &work);
      std::vector<char> scratch(static_cast<size_t>(work.scratch) + 64);
      Fault fault{};
      const Frame frame{slots.data(), 0, 1, scratch.data(), &fault};
      std::printf("  %-44s %-9s %9.2f us\n", what, work.name.c_str(),
                  microseconds([&] { table->row(task, frame); }));
    };
    for (const Sizes& shape : {Sizes{300, 3}, Sizes{128, 10}, Sizes{32, 16}, Sizes{32, 65}, Sizes{256, 256}, Sizes{1, 10}}) {
      const std::string size = std::to_string(shape[0]) + " x " + std::to_string(shape[1]);
      time(Kernel::softmax, {shape, shape}, {1}, {}, ("softmax " + size).c_str());
      time(Kernel::log_softmax, {shape, shape}, {1}, {}, ("log_softmax " + size).c_str());
      time(Kernel::cross_entropy, {shape, {shape[0]}, {}, shape}, {2, 2, 0, 0}, {0.0}, ("cross_entropy, mean and d " + size).c_str());
    }
    for (const Sizes& shape : {Sizes{300, 64}, Sizes{32, 512}, Sizes{2048, 64}}) {
      const std::string size = std::to_string(shape[0]) + " x " + std::to_string(shape[1]);
      const Sizes row{shape[0], 1}, column{1, shape[1]};
      time(Kernel::normalise, {shape, shape, shape, shape, shape, row}, {1, 1, 3 | 4 | 8 | 64, 1}, {1e-5}, ("layer norm " + size).c_str(), {{}, {0}, {0}});
      time(Kernel::normalise_back, {shape, shape, shape, row, shape}, {1, 1, 1, 1}, {}, ("layer norm back " + size).c_str(), {{}, {0}});
      time(Kernel::normalise, {shape, shape, shape, shape, shape, column}, {1, 0, 3 | 4 | 8 | 64, 1}, {1e-5}, ("batch norm " + size).c_str(), {{}, {0}, {0}});
      time(Kernel::normalise_back, {shape, shape, shape, column, shape}, {1, 0, 1, 1}, {}, ("batch norm back " + size).c_str(), {{}, {0}});
    }
  }
}

void all() {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    softmax<float>(random);
    softmax<double>(random);
    cross_entropy<float>(random);
    cross_entropy<double>(random);
    normalising<float>(random);
    normalising<double>(random);
  }
  Random random(1);
  in_place<float>(random);
  in_place<double>(random);
  outside();
}

}  // namespace
}  // namespace glassgrad::tests

int main(int count, char** arguments) {
  using namespace glassgrad::tests;
  if (count > 1 && std::string(arguments[1]) == "bench") {
    bench();
    return 0;
  }
  all();
  std::printf("rows: %d failures\n", failures);
  return failures != 0;
}
