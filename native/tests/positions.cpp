// Kernels of positions, random numbers and the gathering of batches against plain loops: any shapes,
// strides and numbers of parts, between forbidden pages, on every instruction set of this machine.
// `positions bench` prints times instead.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "arrays.h"
#include "prepare/index.h"
#include "prepare/random.h"

namespace glassgrad::tests {
namespace {

template <typename T>
std::vector<T> numbers(Random& random, int64_t count) {
  std::vector<T> found(static_cast<size_t>(count));
  for (T& number : found) {
    if constexpr (std::is_floating_point_v<T>) {
      // Few different ones, so that there are ties; zeros of both signs and some NaN.
      const int64_t drawn = random.between(-4, 40);
      number = drawn == 40 ? std::numeric_limits<T>::quiet_NaN()
               : drawn == 39 ? -std::numeric_limits<T>::infinity()
               : drawn == 0 ? T(-0.0)
                            : static_cast<T>(static_cast<double>(drawn % 7) * 0.37);
    } else {
      number = static_cast<T>(random.between(0, 9));
    }
  }
  return found;
}

std::vector<int64_t> positions_in(Random& random, int64_t size, int64_t count) {
  std::vector<int64_t> found(static_cast<size_t>(count));
  for (int64_t& position : found) position = random.below(size);
  return found;
}

// Logical numbers to write and to read back; the result is the last operand.
struct Case {
  Instruction in;
  std::vector<Array> arrays;

  template <typename T>
  void add(Random& random, const Sizes& shape, const std::vector<T>& values, bool plain) {
    arrays.push_back(laid_out(random, shape, values, plain));
    in.operands.push_back(arrays.back().operand(static_cast<int32_t>(arrays.size() - 1)));
  }
};

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(),
                                                           a.size() * sizeof(T)) == 0);
}

template <typename T>
void check(Case& c, const std::vector<T>& expected, const char* name) {
  Work work;
  const IndexTask task = prepare_index(c.in, &work);
  Array& result = c.arrays.back();
  // What lies between the numbers of the result must stay as it was.
  result.put(std::vector<T>(expected));
  const std::string whole(result.memory->data, static_cast<size_t>(result.bytes));
  for (const Table* table : tables()) {
    for (const int parts : {1, 2, 3, 7}) {
      result.put(std::vector<T>(expected.size(), T(77)));
      Run run;
      for (const Array& array : c.arrays) run.slots.push_back(array.address());
      run.all(table->index, task, work, parts);
      expect(!run.fault.found && same_bits(result.get<T>(), expected) &&
                 std::memcmp(result.memory->data, whole.data(), whole.size()) == 0,
             std::string(name) + " on " + table->name + ", parts " + std::to_string(parts));
    }
  }
}

Sizes some_shape(Random& random, int64_t least_rank, int64_t most_rank, int64_t least = 0) {
  Sizes shape(static_cast<size_t>(random.between(least_rank, most_rank)));
  for (int64_t& size : shape) {
    size = random.chance(20) ? 1 : random.chance(4) ? least : random.between(1, 7);
  }
  if (!shape.empty() && random.chance(20)) shape.back() = random.between(1, 90);
  return shape;
}

struct Split {  // a shape as what lies before, along and behind an axis
  int64_t before = 1, size, behind = 1;
  Split(const Sizes& shape, size_t axis) : size(shape[axis]) {
    for (size_t i = 0; i < axis; ++i) before *= shape[i];
    for (size_t i = axis + 1; i < shape.size(); ++i) behind *= shape[i];
  }
  size_t at(int64_t i, int64_t j, int64_t k, int64_t along) const {
    return static_cast<size_t>((i * along + j) * behind + k);
  }
};

template <typename T>
void rows_of_tables(Random& random, bool plain) {
  const Sizes shape = some_shape(random, 1, 4, 1), index_shape = some_shape(random, 0, 3);
  const Sizes tail(shape.begin() + 1, shape.end());
  Sizes rows = index_shape;
  rows.insert(rows.end(), tail.begin(), tail.end());
  const int64_t width = product(tail), count = product(index_shape);
  const auto x = numbers<T>(random, product(shape));
  const auto index = positions_in(random, shape[0], count);
  const auto cell = [&](int64_t row, int64_t j) { return static_cast<size_t>(row * width + j); };

  std::vector<T> taken(static_cast<size_t>(count * width));
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      taken[cell(i, j)] = x[cell(index[static_cast<size_t>(i)], j)];
    }
  }
  Case take{{Kernel::take, true, {}, {}, {}}, {}};
  take.add(random, shape, x, plain);
  take.add(random, index_shape, index, plain);
  take.add(random, rows, taken, plain);
  check(take, taken, "take");

  if constexpr (!std::is_same_v<T, uint8_t>) {
    const auto values = numbers<T>(random, count * width);
    std::vector<T> sums = x;
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        sums[cell(index[static_cast<size_t>(i)], j)] += values[cell(i, j)];
      }
    }
    Case add{{Kernel::add_at, true, {}, {}, {}}, {}};
    add.add(random, shape, x, plain);
    add.add(random, index_shape, index, plain);
    add.add(random, rows, values, plain);
    add.add(random, shape, sums, plain);
    check(add, sums, "add_at");
  }
}

template <typename T>
void one_of_each_row(Random& random, bool plain) {
  Sizes shape = some_shape(random, 1, 4);
  if (shape.back() == 0) shape.back() = 3;
  const Sizes outer(shape.begin(), shape.end() - 1);
  const int64_t rows = product(outer), size = shape.back();
  const auto x = numbers<T>(random, rows * size), values = numbers<T>(random, rows);
  const auto index = positions_in(random, size, rows);
  std::vector<T> picked(static_cast<size_t>(rows)), put(x.size(), T{}), less = x;
  for (int64_t i = 0; i < rows; ++i) {
    const size_t row = static_cast<size_t>(i);
    const size_t at = static_cast<size_t>(i * size + index[row]);
    picked[row] = x[at];
    put[at] = values[row];
    less[at] = static_cast<T>(less[at] - 1);
  }
  Case pick{{Kernel::pick, true, {}, {}, {}}, {}};
  pick.add(random, shape, x, plain);
  pick.add(random, outer, index, plain);
  pick.add(random, outer, picked, plain);
  check(pick, picked, "pick");
  Case puts{{Kernel::put_at, true, {}, {}, {}}, {}};
  puts.add(random, outer, index, plain);
  puts.add(random, outer, values, plain);
  puts.add(random, shape, put, plain);
  check(puts, put, "put_at");
  if constexpr (!std::is_same_v<T, uint8_t>) {
    Case subtract{{Kernel::subtract_one_at, true, {}, {}, {}}, {}};
    subtract.add(random, shape, x, plain);
    subtract.add(random, outer, index, plain);
    subtract.add(random, shape, less, plain);
    check(subtract, less, "subtract_one_at");
  }
}

template <typename T>
void along_an_axis(Random& random, bool plain) {
  Sizes shape = some_shape(random, 1, 4);
  const size_t axis = static_cast<size_t>(random.below(static_cast<int64_t>(shape.size())));
  if (shape[axis] == 0) shape[axis] = 2;
  Sizes wanted = shape;
  wanted[axis] = random.between(0, 9);
  const Split split(shape, axis);
  const int64_t count = wanted[axis], size = split.size;
  const auto x = numbers<T>(random, product(shape)), values = numbers<T>(random, product(wanted));
  const auto index = positions_in(random, size, product(wanted));
  std::vector<T> taken(values.size()), added(x.size(), T{}), running = x;
  std::vector<int64_t> most, least, order(x.size()), falling(x.size());
  for (int64_t i = 0; i < split.before; ++i) {
    for (int64_t k = 0; k < split.behind; ++k) {
      const auto number = [&](int64_t j) { return x[split.at(i, j, k, size)]; };
      for (int64_t j = 0; j < count; ++j) {
        const size_t here = split.at(i, j, k, count);
        taken[here] = number(index[here]);
        T& sum = added[split.at(i, index[here], k, size)];
        sum = static_cast<T>(sum + values[here]);
      }
      for (int64_t j = 1; j < size; ++j) {
        T& sum = running[split.at(i, j, k, size)];
        sum = static_cast<T>(running[split.at(i, j - 1, k, size)] + sum);
      }
      const auto nan = [&](int64_t j) { return number(j) != number(j); };
      std::vector<int64_t> all(static_cast<size_t>(size));
      std::iota(all.begin(), all.end(), 0);
      const auto first_nan = std::find_if(all.begin(), all.end(), nan);
      const auto largest = std::max_element(all.begin(), all.end(), [&](int64_t a, int64_t b) {
        return number(a) < number(b);
      });
      const auto smallest = std::min_element(all.begin(), all.end(), [&](int64_t a, int64_t b) {
        return number(a) < number(b);
      });
      most.push_back(first_nan != all.end() ? *first_nan : *largest);
      least.push_back(first_nan != all.end() ? *first_nan : *smallest);
      for (const bool down : {false, true}) {
        std::vector<int64_t> sorted = all;
        std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) {
          if (nan(a) || nan(b)) return !nan(a) && nan(b);
          return down ? number(a) > number(b) : number(a) < number(b);
        });
        for (int64_t j = 0; j < size; ++j) {
          (down ? falling : order)[split.at(i, j, k, size)] = sorted[static_cast<size_t>(j)];
        }
      }
    }
  }
  const int64_t at = static_cast<int64_t>(axis);
  Sizes without = shape;
  without.erase(without.begin() + at);
  const auto one = [&](Kernel kernel, std::vector<int64_t> ints, const Sizes& result,
                       const auto& expected, const char* name) {
    Case c{{kernel, true, {}, std::move(ints), {}}, {}};
    c.add(random, shape, x, plain);
    c.add(random, result, expected, plain);
    check(c, expected, name);
  };
  one(Kernel::argmax, {at}, without, most, "argmax");
  one(Kernel::argmin, {at}, without, least, "argmin");
  one(Kernel::argsort, {at, 0}, shape, order, "argsort");
  one(Kernel::argsort, {at, 1}, shape, falling, "argsort, falling");
  Case take{{Kernel::take_along_axis, true, {}, {at}, {}}, {}};
  take.add(random, shape, x, plain);
  take.add(random, wanted, index, plain);
  take.add(random, wanted, taken, plain);
  check(take, taken, "take_along_axis");
  if constexpr (!std::is_same_v<T, uint8_t>) {
    one(Kernel::cumsum, {at}, shape, running, "cumsum");
    Case add{{Kernel::add_along_axis, true, {}, {at}, {}}, {}};
    add.add(random, wanted, index, plain);
    add.add(random, wanted, values, plain);
    add.add(random, shape, added, plain);
    check(add, added, "add_along_axis");
  }
}

void long_sorts(Random& random) {
  for (const int64_t count : {0, 1, 16, 17, 1000, 4097}) {
    std::vector<double> x(static_cast<size_t>(count));
    for (double& number : x) number = random.real(-5, 5);
    std::vector<int64_t> order(x.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return x[static_cast<size_t>(a)] < x[static_cast<size_t>(b)];
    });
    Case c{{Kernel::argsort, true, {}, {0, 0}, {}}, {}};
    c.add(random, {count}, x, true);
    c.add(random, {count}, order, true);
    check(c, order, "argsort of many");
  }
}

// A position outside stops every kernel that follows positions, and nothing outside is touched.
void outside(Random& random) {
  const std::vector<float> x(12, 1.0f), three(3, 1.0f), rows(9, 1.0f);
  for (const int64_t wrong : {int64_t{-1}, int64_t{4}, std::numeric_limits<int64_t>::min(),
                              std::numeric_limits<int64_t>::max()}) {
    const std::vector<int64_t> index{1, wrong, 0};
    const std::vector<int64_t> columns{1, wrong, 0};
    const auto fails = [&](Kernel kernel, auto&&... operands) {
      Case c{{kernel, true, {}, {}, {}}, {}};
      (operands(c), ...);
      if (kernel == Kernel::take_along_axis || kernel == Kernel::add_along_axis) c.in.ints = {0};
      Work work;
      const IndexTask task = prepare_index(c.in, &work);
      for (const Table* table : tables()) {
        Run run;
        for (const Array& array : c.arrays) run.slots.push_back(array.address());
        run.all(table->index, task, work, 2);
        expect(run.fault.found && run.fault.position == wrong && run.fault.size == 4,
               "a position outside, kernel " + std::to_string(static_cast<int>(kernel)));
      }
    };
    const auto reals = [&](Sizes shape, const std::vector<float>& values) {
      return [&random, shape, values](Case& c) { c.add(random, shape, values, true); };
    };
    const auto at = [&](Sizes shape) {
      return [&random, shape, index](Case& c) { c.add(random, shape, index, true); };
    };
    fails(Kernel::take, reals({4, 3}, x), at({3}), reals({3, 3}, rows));
    fails(Kernel::add_at, reals({4, 3}, x), at({3}), reals({3, 3}, rows), reals({4, 3}, x));
    fails(Kernel::pick, reals({3, 4}, x), at({3}), reals({3}, three));
    fails(Kernel::put_at, at({3}), reals({3}, three), reals({3, 4}, x));
    fails(Kernel::subtract_one_at, reals({3, 4}, x), at({3}), reals({3, 4}, x));
    const std::vector<float> four(4, 1.0f);
    fails(Kernel::take_along_axis, reals({4}, four), at({3}), reals({3}, three));
    fails(Kernel::add_along_axis, at({3}), reals({3}, three), reals({4}, four));
  }
}

// -- random numbers -----------------------------------------------------------------------------

// One block, written as Random123's paper has it, 32 bits at a time.
void philox(const uint64_t counter[4], const uint64_t key[2], uint64_t out[4]) {
  uint64_t c[4], k[2] = {key[0], key[1]};
  std::copy(counter, counter + 4, c);
  const auto high = [](uint64_t a, uint64_t b) {
    const uint64_t al = a & 0xFFFFFFFF, ah = a >> 32, bl = b & 0xFFFFFFFF, bh = b >> 32;
    const uint64_t middle = ah * bl + (al * bl >> 32), other = al * bh + (middle & 0xFFFFFFFF);
    return ah * bh + (middle >> 32) + (other >> 32);
  };
  const uint64_t m0 = 0xD2E7470EE14C6C93u, m1 = 0xCA5A826395121157u;
  for (int round = 0; round < 10; ++round) {
    const uint64_t next[4] = {high(m1, c[2]) ^ c[1] ^ k[0], m1 * c[2],
                              high(m0, c[0]) ^ c[3] ^ k[1], m0 * c[0]};
    std::copy(next, next + 4, c);
    k[0] += 0x9E3779B97F4A7C15u;
    k[1] += 0xBB67AE8584CAA73Bu;
  }
  std::copy(c, c + 4, out);
}

// Random123's published answers (kat_vectors, philox4x64 10).
void published() {
  const uint64_t ones = ~uint64_t{0};
  const uint64_t zero[4] = {0, 0, 0, 0}, full[4] = {ones, ones, ones, ones};
  const uint64_t pi[6] = {0x243f6a8885a308d3u, 0x13198a2e03707344u, 0xa4093822299f31d0u,
                          0x082efa98ec4e6c89u, 0x452821e638d01377u, 0xbe5466cf34e90c6cu};
  const uint64_t expected[3][4] = {
      {0x16554d9eca36314cu, 0xdb20fe9d672d0fdcu, 0xd7e772cee186176bu, 0x7e68b68aec7ba23bu},
      {0x87b092c3013fe90bu, 0x438c3c67be8d0224u, 0x9cc7d7c69cd777b6u, 0xa09caebf594f0ba0u},
      {0xa528f45403e61d95u, 0x38c72dbd566e9788u, 0xa5a1610e72fd18b5u, 0x57bd43b5e52b7fe6u}};
  uint64_t found[3][4];
  philox(zero, zero, found[0]);
  philox(full, full, found[1]);
  philox(pi, pi + 4, found[2]);
  expect(std::memcmp(found, expected, sizeof found) == 0, "Random123's published answers");

  // numpy.random.Philox(key=12345678901234567890, counter=[0, 0, 0xfedcba9876543210, 41])
  // .random_raw(5)
  const uint64_t numpy[5] = {0xbe1a8caf1159ff2u, 0xc34d6eed7606bb0au, 0x222c9d47025ed724u,
                             0x82afe3efb87edb46u, 0xfaae28e3c7bacf0bu};
  uint64_t seed = 12345678901234567890u, step = 41;
  double drawn[5];
  char* slots[] = {reinterpret_cast<char*>(&seed), reinterpret_cast<char*>(&step),
                   reinterpret_cast<char*>(drawn)};
  const RandomTask task{0, 1, 2, 0xfedcba9876543210u, 5, true, false, 0};
  for (const Table* table : tables()) {
    table->random(task, Frame{slots, 0, 1, nullptr, nullptr});
    for (int i = 0; i < 5; ++i) {
      expect(drawn[i] == static_cast<double>(numpy[i] >> 11) * 0x1p-53, "NumPy's own Philox");
    }
  }
}

template <typename T>
void random_numbers(Random& random) {
  constexpr bool wide = std::is_same_v<T, double>;
  constexpr int bits = wide ? 53 : 24;
  for (const int64_t count : {0, 1, 2, 7, 8, 9, 255, 256, 257, 1000, 19200}) {
    const uint64_t seed = random.engine(), stream = random.engine(), step = random.engine() >> 40;
    const double p = random.chance(20) ? 0.0 : random.chance(20) ? 0.5 : random.real(0, 1);
    std::vector<T> expected;
    std::vector<uint8_t> kept;
    for (uint64_t block = 0; static_cast<int64_t>(expected.size()) < count; ++block) {
      const uint64_t counter[4] = {block + 1, 0, stream, step}, key[2] = {seed, 0};
      uint64_t words[4];
      philox(counter, key, words);
      for (int i = 0; i < (wide ? 4 : 8) && static_cast<int64_t>(expected.size()) < count; ++i) {
        const uint64_t drawn = wide ? words[i] >> 11 : (words[i / 2] >> (32 * (i % 2)) & 0xFFFFFFFF) >> 8;
        expected.push_back(static_cast<T>(std::ldexp(static_cast<double>(drawn), -bits)));
        kept.push_back(expected.back() >= static_cast<T>(p));
      }
    }
    for (const bool mask : {false, true}) {
      Array y = mask ? laid_out(random, {count}, kept, true) : laid_out(random, {count}, expected, true);
      if (mask) y.dtype = DType::b8;
      Operand word{0, DType::i64, 0, {}, {}}, second{1, DType::i64, 0, {}, {}};
      Instruction in{Kernel::uniform, true, {word, second, y.operand(2)},
                     {static_cast<int64_t>(stream), static_cast<int64_t>(dtype_of<T>())}, {}};
      if (mask) in.reals = {p};
      Work work;
      const RandomTask task = prepare_random(in, &work);
      for (const Table* table : tables()) {
        for (const int parts : {1, 2, 3}) {
          std::memset(y.memory->data, 0xA5, static_cast<size_t>(y.bytes));
          uint64_t words[2] = {seed, step};
          Run run;
          run.slots = {reinterpret_cast<char*>(words), reinterpret_cast<char*>(words + 1), y.address()};
          run.all(table->random, task, work, parts);
          const bool same = mask ? same_bits(y.get<uint8_t>(), kept) : same_bits(y.get<T>(), expected);
          expect(same, std::string(mask ? "mask" : "uniform") + " of " + std::to_string(count) +
                           " on " + table->name);
        }
      }
    }
  }
}

// -- batches ------------------------------------------------------------------------------------

void gathering(Random& random) {
  for (int64_t size = 0; size < 100; ++size) {
    const int64_t rows = random.between(1, 40), batch = random.between(0, 50);
    const auto data = numbers<uint8_t>(random, rows * size);
    const auto order = positions_in(random, rows, batch);
    std::vector<uint8_t> expected;
    for (const int64_t row : order) {
      expected.insert(expected.end(), data.begin() + row * size, data.begin() + (row + 1) * size);
    }
    const Array from = laid_out(random, {rows, size}, data, true);
    const Array at = laid_out(random, {batch}, order, true);
    const auto* place = reinterpret_cast<const int64_t*>(at.address());
    const auto* bytes = reinterpret_cast<const uint8_t*>(from.address());
    for (const Table* table : tables()) {
      Array to = lay_out(random, DType::u8, {batch, size}, true);
      table->gather_rows(to.address(), from.address(), place, batch, size);
      expect(same_bits(to.get<uint8_t>(), expected), "rows gathered");
      Array single = lay_out(random, DType::f32, {batch, size}, true);
      Array twice = lay_out(random, DType::f64, {batch, size}, true);
      table->gather_bytes_f32(reinterpret_cast<float*>(single.address()), bytes, place, batch, size, 0.3f);
      table->gather_bytes_f64(reinterpret_cast<double*>(twice.address()), bytes, place, batch, size, 0.3);
      const auto floats = single.get<float>();
      const auto doubles = twice.get<double>();
      for (size_t i = 0; i < expected.size(); ++i) {
        expect(floats[i] == static_cast<float>(expected[i]) * 0.3f && doubles[i] == expected[i] * 0.3,
               "bytes made numbers");
      }
    }
  }
}

void bench() {
  Random random(1);
  for (const Table* table : tables()) {
    std::printf("%s\n", table->name);
    const auto index_time = [&](Case& c, const char* what) {
      Work work;
      const IndexTask task = prepare_index(c.in, &work);
      Run run;
      for (const Array& array : c.arrays) run.slots.push_back(array.address());
      std::vector<char> scratch(static_cast<size_t>(work.scratch) + 64);
      Fault fault{};
      const Frame frame{run.slots.data(), 0, 1, scratch.data(), &fault};
      std::printf("  %-34s %9.2f us\n", what, microseconds([&] { table->index(task, frame); }, 500));
    };
    const auto along = [&](Kernel kernel, std::vector<int64_t> ints, Sizes shape, bool whole, const char* what) {
      std::vector<float> x(static_cast<size_t>(product(shape)));
      for (float& number : x) number = static_cast<float>(random.real(-1, 1));
      Case c{{kernel, true, {}, std::move(ints), {}}, {}};
      c.add(random, shape, x, true);
      if (kernel == Kernel::cumsum) {
        c.add(random, shape, x, true);
      } else {
        const Sizes result = whole ? shape : Sizes{shape[0]};
        c.add(random, result, std::vector<int64_t>(static_cast<size_t>(product(result))), true);
      }
      index_time(c, what);
    };
    along(Kernel::argmax, {1}, {300, 3}, false, "argmax 300 x 3");
    along(Kernel::argmax, {1}, {128, 10}, false, "argmax 128 x 10");
    along(Kernel::argsort, {1, 0}, {32, 64}, true, "argsort 32 x 64");
    along(Kernel::cumsum, {1}, {128, 100}, true, "cumsum 128 x 100");
    const auto index = positions_in(random, 10000, 4096);
    const std::vector<float> table_numbers(640000, 1.0f), rows(4096 * 64, 1.0f);
    Case take{{Kernel::take, true, {}, {}, {}}, {}};
    take.add(random, {10000, 64}, table_numbers, true);
    take.add(random, {4096}, index, true);
    take.add(random, {4096, 64}, rows, true);
    index_time(take, "take 4096 of 10000 x 64");
    Case add{{Kernel::add_at, true, {}, {}, {}}, {}};
    add.add(random, {10000, 64}, table_numbers, true);
    add.add(random, {4096}, index, true);
    add.add(random, {4096, 64}, rows, true);
    add.in.operands.push_back(add.in.operands[0]);
    index_time(add, "add_at 4096 to 10000 x 64, in place");

    uint64_t words[2] = {7, 3};
    std::vector<double> y(19200);
    char* slots[] = {reinterpret_cast<char*>(words), reinterpret_cast<char*>(words + 1), reinterpret_cast<char*>(y.data())};
    const Frame frame{slots, 0, 1, nullptr, nullptr};
    for (const bool wide : {false, true}) {
      for (const bool mask : {false, true}) {
        const RandomTask task{0, 1, 2, 5, 19200, wide, mask, uint64_t{1} << (wide ? 51 : 22)};
        std::printf("  %-34s %9.2f us\n", wide ? (mask ? "mask 300 x 64, f64" : "uniform 300 x 64, f64") : (mask ? "mask 300 x 64" : "uniform 300 x 64"),
                    microseconds([&] { table->random(task, frame); }));
      }
    }
    for (const int64_t size : {int64_t{8}, int64_t{64}, int64_t{784}, int64_t{3136}}) {
      const int64_t count = 10000;
      const auto order = positions_in(random, count, 128);
      std::vector<char> data(static_cast<size_t>(count * size), 1), to(static_cast<size_t>(128 * size) * 4);
      std::printf("  gather 128 rows of %4ld bytes        %9.2f us", static_cast<long>(size),
                  microseconds([&] { table->gather_rows(to.data(), data.data(), order.data(), 128, size); }));
      std::printf(", cast %9.2f us\n", microseconds([&] {
                    table->gather_bytes_f32(reinterpret_cast<float*>(to.data()), reinterpret_cast<const uint8_t*>(data.data()), order.data(), 128, size, 1.0f);
                  }));
    }
  }
}

void all() {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const bool plain = random.chance(30);
    rows_of_tables<float>(random, plain);
    rows_of_tables<double>(random, plain);
    rows_of_tables<int64_t>(random, plain);
    rows_of_tables<uint8_t>(random, plain);
    one_of_each_row<float>(random, plain);
    one_of_each_row<double>(random, plain);
    one_of_each_row<uint8_t>(random, plain);
    along_an_axis<float>(random, plain);
    along_an_axis<double>(random, plain);
    along_an_axis<int64_t>(random, plain);
    along_an_axis<uint8_t>(random, plain);
  }
  Random random(1);
  long_sorts(random);
  outside(random);
  published();
  random_numbers<float>(random);
  random_numbers<double>(random);
  gathering(random);
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
  std::printf("positions: %d failures\n", failures);
  return failures != 0;
}
