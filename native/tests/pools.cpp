// Windows over images against plain loops that go the other way: window after window, adding to pixels, in
// the order of their places. Any shapes, strides and numbers of parts, between forbidden pages; the same bits
// on every instruction set. `pools bench` prints times instead.
#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "prepare/pool.h"

namespace glassgrad::tests {
namespace {

constexpr int64_t no_place = -1;

// Images, and windows over them.
struct Form {
  Sizes images, kernel, stride, dilation;

  int space() const { return static_cast<int>(kernel.size()); }
  Sizes windows() const {
    Sizes found{images[0], images[1]};
    for (size_t a = 0; a < kernel.size(); ++a) {
      found.push_back((images[a + 2] - dilation[a] * (kernel[a] - 1) - 1) / stride[a] + 1);
    }
    return found;
  }
  int64_t places() const { return product(kernel); }
  std::string text() const {
    std::string found;
    for (const Sizes* part : {&images, &kernel, &stride, &dilation}) {
      found += " [";
      for (const int64_t n : *part) found += std::to_string(n) + " ";
      found += "]";
    }
    return found;
  }
  std::vector<int64_t> ints() const {
    std::vector<int64_t> found{space()};
    found.insert(found.end(), kernel.begin(), kernel.end());
    found.insert(found.end(), stride.begin(), stride.end());
    return found;
  }
};

// Calls visit(window, pixel, place), as positions in row-major order, place after place.
template <class Visit>
void every_place(const Form& form, Visit visit) {
  const Sizes out = form.windows();
  const size_t space = form.kernel.size();
  for (int64_t place = 0; place < form.places(); ++place) {
    for (int64_t window = 0; window < product(out); ++window) {
      int64_t pixel = 0, step = 1, p = window, k = place;
      for (size_t a = space + 2; a-- > 0;) {
        const int64_t at = p % out[a];
        p /= out[a];
        int64_t of = at;
        if (a >= 2) {
          of = at * form.stride[a - 2] + k % form.kernel[a - 2] * form.dilation[a - 2];
          k /= form.kernel[a - 2];
        }
        pixel += of * step;
        step *= form.images[a];
      }
      visit(static_cast<size_t>(window), static_cast<size_t>(pixel), place);
    }
  }
}

template <typename T>
std::vector<T> numbers(Random& random, int64_t count, bool odd = true) {
  static constexpr double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN};
  const bool ties = random.chance(50);
  std::vector<T> found(static_cast<size_t>(count));
  for (T& x : found) {
    x = static_cast<T>(ties ? static_cast<double>(random.between(-2, 2)) : random.real(-3, 3));
    if (odd && random.chance(2)) x = static_cast<T>(special[random.below(5)]);
  }
  return found;
}

template <typename T>
bool same_number(T a, T b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

// An instruction, what it reads, and what it should write.
struct Case {
  Instruction in;
  std::vector<Array> arrays;
  std::vector<std::pair<size_t, std::vector<char>>> wanted;  // by operand

  template <typename T>
  void read(Random& random, const Sizes& shape, const std::vector<T>& values, int order) {
    add(shape, lay_out(random, dtype_of<T>(), shape, order));
    arrays.back().put(values);
  }
  template <typename T>
  void write(Random& random, const Sizes& shape, const std::vector<T>& values, int order) {
    add(shape, lay_out(random, dtype_of<T>(), shape, order));
    const char* bytes = reinterpret_cast<const char*>(values.data());
    wanted.emplace_back(arrays.size() - 1, std::vector<char>(bytes, bytes + values.size() * sizeof(T)));
  }

  // In any order, as the shape says, with the channels last, or with the images last.
  static Array lay_out(Random& random, DType dtype, const Sizes& shape, int order) {
    if (order < 2) return tests::lay_out(random, dtype, shape, order == 1);
    Sizes turned(shape.begin() + (order == 2 ? 2 : 1), shape.end());
    if (order == 2) turned.insert(turned.begin(), shape[0]);
    turned.push_back(shape[order == 2 ? 1 : 0]);
    Array array = tests::lay_out(random, dtype, turned, true);
    const Sizes stride = array.stride;
    array.shape = shape;
    const size_t rank = shape.size();
    for (size_t a = 0; a < rank; ++a) {
      const size_t there = order == 2 ? (a == 0 ? 0 : a == 1 ? rank - 1 : a - 1) : (a == 0 ? rank - 1 : a - 1);
      array.stride[a] = stride[there];
    }
    return array;
  }

 private:
  void add(const Sizes&, Array array) {
    arrays.push_back(std::move(array));
    in.operands.push_back(arrays.back().operand(static_cast<int32_t>(arrays.size() - 1)));
  }
};

template <typename T>
bool same_numbers(const std::vector<T>& found, const std::vector<char>& wanted) {
  std::vector<T> want(wanted.size() / sizeof(T));
  if (!wanted.empty()) std::memcpy(want.data(), wanted.data(), wanted.size());
  return std::equal(found.begin(), found.end(), want.begin(), want.end(), same_number<T>);
}

void check(Case& c, const std::string& name) {
  Work work;
  const PoolTask task = prepare_pool(c.in, &work);
  for (const Table* table : tables()) {
    for (const int parts : {1, 2, 5}) {
      Run run;
      for (const Array& array : c.arrays) run.slots.push_back(array.address());
      for (const auto& [k, want] : c.wanted) {
        std::memset(c.arrays[k].memory->data, 0xA5, static_cast<size_t>(c.arrays[k].bytes));
      }
      run.all(table->pool, task, work, parts);
      const std::string where = name + " (" + work.name + ") on " + table->name + ", parts " + std::to_string(parts);
      for (const auto& [k, want] : c.wanted) {
        Array& array = c.arrays[k];
        const std::string after(array.memory->data, static_cast<size_t>(array.bytes));
        const auto compare = [&]<typename T>(T) {
          const std::vector<T> found = array.get<T>();
          expect(same_numbers<T>(found, want), where + ": the numbers");
          array.put(found);
        };
        if (array.dtype == DType::f32) compare(float{});
        else if (array.dtype == DType::f64) compare(double{});
        else if (array.dtype == DType::u8) compare(uint8_t{});
        else compare(uint32_t{});
        const bool left = after.empty() || std::memcmp(after.data(), array.memory->data, after.size()) == 0;
        expect(left, where + ": the gaps");
      }
    }
  }
}

template <typename T, typename P>
void largest(Random& random, const Form& form, int order) {
  const Sizes out = form.windows();
  const size_t count = static_cast<size_t>(product(out));
  const auto x = numbers<T>(random, product(form.images));
  const auto d = numbers<T>(random, product(out)), v = numbers<T>(random, product(form.images));
  std::vector<T> y(count), picked(count), dx(x.size());
  std::vector<int64_t> first(count, no_place);
  every_place(form, [&](size_t window, size_t pixel, int64_t place) {
    if (place == 0 || std::isnan(x[pixel]) || x[pixel] > y[window]) y[window] = x[pixel];
  });
  every_place(form, [&](size_t window, size_t pixel, int64_t place) {
    if (first[window] == no_place && x[pixel] == y[window]) first[window] = place;
  });
  every_place(form, [&](size_t window, size_t pixel, int64_t place) {
    dx[pixel] += d[window] * static_cast<T>(first[window] == place);
    picked[window] += v[pixel] * static_cast<T>(first[window] == place);
  });
  std::vector<P> places, positive;
  for (size_t i = 0; i < count; ++i) {
    places.push_back(static_cast<P>(first[i]));
    positive.push_back(static_cast<P>(y[i] > 0 ? first[i] : no_place));
  }
  const std::string name = form.text() + ", order " + std::to_string(order);
  const auto other = [&] { return random.chance(80) ? order : static_cast<int>(random.below(4)); };
  for (const int64_t only_positive : {0, 1}) {
    Case c{{Kernel::max_pool, true, {}, form.ints(), {}}, {}, {}};
    c.in.ints.push_back(only_positive);
    c.read(random, form.images, x, other());
    c.write(random, out, y, order);
    if (only_positive || random.chance(50)) c.write(random, out, only_positive ? positive : places, other());
    check(c, "max_pool" + name);
  }
  for (const int64_t only_positive : {0, 1}) {
    Case c{{Kernel::max_place, true, {}, form.ints(), {}}, {}, {}};
    c.in.ints.push_back(only_positive);
    c.read(random, form.images, x, other());
    c.read(random, out, y, other());
    c.write(random, out, only_positive ? positive : places, order);
    check(c, "max_place" + name);
  }
  Case unpool{{Kernel::max_unpool, true, {}, form.ints(), {}}, {}, {}};
  unpool.read(random, out, d, other());
  unpool.read(random, out, places, other());
  unpool.write(random, form.images, dx, order);
  check(unpool, "max_unpool" + name);
  Case pick{{Kernel::max_pick, true, {}, form.ints(), {}}, {}, {}};
  pick.read(random, form.images, v, other());
  pick.read(random, out, places, other());
  pick.write(random, out, picked, order);
  check(pick, "max_pick" + name);
}

template <typename T>
void means(Random& random, const Form& form, int order) {
  const Sizes out = form.windows();
  const auto x = numbers<T>(random, product(form.images));
  const auto d = numbers<T>(random, product(out));
  std::vector<T> y(d.size()), dx(x.size());
  const T size = static_cast<T>(form.places());
  every_place(form, [&](size_t window, size_t pixel, int64_t place) {
    y[window] = place == 0 ? x[pixel] : y[window] + x[pixel];
    dx[pixel] += d[window] / size;
  });
  for (T& number : y) number /= size;
  const std::string name = form.text() + ", order " + std::to_string(order);
  const auto other = [&] { return random.chance(80) ? order : static_cast<int>(random.below(4)); };
  Case pool{{Kernel::mean_pool, true, {}, form.ints(), {}}, {}, {}};
  pool.read(random, form.images, x, other());
  pool.write(random, out, y, order);
  check(pool, "mean_pool" + name);
  Case unpool{{Kernel::mean_unpool, true, {}, form.ints(), {}}, {}, {}};
  unpool.read(random, out, d, other());
  unpool.write(random, form.images, dx, order);
  check(unpool, "mean_unpool" + name);
}

template <typename T>
void columns(Random& random, const Form& form, int order) {
  const Sizes out = form.windows();
  const int64_t images = out[0], channels = out[1], places = form.places();
  const int64_t windows = product({out.begin() + 2, out.end()});
  const Sizes shape{images, channels * places, windows};
  const auto cols = numbers<T>(random, product(shape));
  std::vector<T> x(static_cast<size_t>(product(form.images)));
  every_place(form, [&](size_t window, size_t pixel, int64_t place) {
    const int64_t image = static_cast<int64_t>(window) / windows, at = static_cast<int64_t>(window) % windows;
    x[pixel] += cols[static_cast<size_t>((image * places + place) * windows + at)];
  });
  Case c{{Kernel::uncolumns, true, {}, form.ints(), {}}, {}, {}};
  c.in.ints.insert(c.in.ints.end(), form.dilation.begin(), form.dilation.end());
  c.read(random, shape, cols, static_cast<int>(random.below(2)));
  c.write(random, form.images, x, order);
  check(c, "uncolumns" + form.text() + ", order " + std::to_string(order));
}

Form some_form(Random& random, bool dilated) {
  Form form;
  const int space = static_cast<int>(random.between(1, 3));
  form.images = {random.chance(5) ? 0 : random.between(1, random.chance(20) ? 40 : 9), random.between(1, 6)};
  if (random.chance(20)) std::swap(form.images[0], form.images[1]);
  if (form.images[1] == 0) form.images[1] = 1;
  const int kind = static_cast<int>(random.below(4));  // side by side, any, one window, large
  for (int a = 0; a < space; ++a) {
    const int64_t large = kind == 3 ? random.between(5, space == 1 ? 300 : 18) : 3;
    const int64_t kernel = random.chance(15) ? 1 : kind == 3 ? large : random.between(1, 3);
    const int64_t dilation = dilated && random.chance(50) ? random.between(1, 3) : 1;
    const int64_t stride = kind == 0 ? kernel : random.between(1, kind == 3 ? kernel : 4);
    const int64_t span = dilation * (kernel - 1) + 1;
    const int64_t more = kind == 2 ? random.below(stride)
                                   : random.below(space == 3 ? 4 : space == 2 ? 9 : 40) * (random.chance(50) ? 1 : stride);
    form.kernel.push_back(kernel);
    form.stride.push_back(stride);
    form.dilation.push_back(dilation);
    form.images.push_back(span + more);
  }
  while (product(form.images) > 6000 && form.images[0] + form.images[1] > 2) {
    int64_t& count = form.images[form.images[0] < form.images[1]];
    count = (count + 1) / 2;
  }
  return form;
}

// -- what must be refused ------------------------------------------------------------------------

void refused() {
  Random random(5);
  struct One {
    const char* why;
    void (*spoil)(Instruction&);
  };
  const One all[] = {
      {"no operands", [](Instruction& in) { in.operands.clear(); }},
      {"an operand too many", [](Instruction& in) { in.operands.push_back(in.operands[0]); }},
      {"too few numbers", [](Instruction& in) { in.ints.pop_back(); }},
      {"too many numbers", [](Instruction& in) { in.ints.push_back(0); }},
      {"reals", [](Instruction& in) { in.reals.push_back(1); }},
      {"another count of axes", [](Instruction& in) { in.ints[0] = 1; }},
      {"a window of no size", [](Instruction& in) { in.ints[1] = 0; }},
      {"a window below zero", [](Instruction& in) { in.ints[2] = -3; }},
      {"a window larger than the image", [](Instruction& in) { in.ints[1] = 7; }},
      {"a window as large as can be", [](Instruction& in) { in.ints[2] = INT64_MAX; }},
      {"a stride of 0", [](Instruction& in) { in.ints[3] = 0; }},
      {"a stride below 0", [](Instruction& in) { in.ints[4] = INT64_MIN; }},
      {"another count of windows", [](Instruction& in) { in.ints[3] = 3; }},
      {"images of another rank", [](Instruction& in) { in.operands[0].rank = 2; }},
      {"images of another kind", [](Instruction& in) { in.operands[0].dtype = DType::i64; }},
      {"values of another kind", [](Instruction& in) { in.operands[1].dtype = DType::f64; }},
      {"places of another kind", [](Instruction& in) { in.operands[2].dtype = DType::u32; }},
      {"places of another shape", [](Instruction& in) { in.operands[2].shape[1] = 1; }},
      {"a result on an input", [](Instruction& in) { in.operands[2].slot = in.operands[0].slot; }},
      {"places on values", [](Instruction& in) { in.operands[2].slot = in.operands[1].slot; }},
      {"a stretched result", [](Instruction& in) { in.operands[1].stride[0] = 0; }},
      {"a size below 0", [](Instruction& in) { in.operands[0].shape[0] = -1; }},
      {"sizes whose product is too large", [](Instruction& in) {
         for (Operand& o : in.operands) o.shape[0] = o.shape[1] = int64_t{1} << 40;
       }},
  };
  for (const One& one : all) {
    for (const Kernel kernel : {Kernel::max_pool, Kernel::max_place}) {
      Instruction in{kernel, true, {}, {2, 2, 2, 2, 2, 0}, {}};
      in.operands = {tests::lay_out(random, DType::f32, {2, 3, 6, 4}, true).operand(0),
                     tests::lay_out(random, DType::f32, {2, 3, 3, 2}, true).operand(1),
                     tests::lay_out(random, DType::u8, {2, 3, 3, 2}, true).operand(2)};
      Work work;
      prepare_pool(in, &work);
      if (kernel == Kernel::max_place && std::string(one.why) == "a stretched result") continue;
      one.spoil(in);
      bool raised = false;
      try {
        prepare_pool(in, &work);
      } catch (const PlanError&) {
        raised = true;
      }
      expect(raised, std::string("refused: ") + one.why);
    }
  }
}

// -- times ----------------------------------------------------------------------------------------

void bench() {
  Random random(1);
  std::vector<char> memory(64 << 20, 1), to(64 << 20);
  std::printf("one thread; %% of the speed of a copy of as many bytes\n%30s", "");
  for (const char* windows : {"2 x 2", "3 x 3, stride 2"}) {
    std::printf(" %-16s max_pool       max_unpool        mean_pool       mean_unpool |", windows);
  }
  std::printf("\n");
  for (const Table* table : {tables().back()}) {
    for (const Sizes& images : {Sizes{128, 6, 24, 24}, Sizes{128, 16, 8, 8}, Sizes{128, 32, 32, 32}}) {
      const Form form{images, {2, 2}, {2, 2}, {1, 1}};
      const Form three{images, {3, 3}, {2, 2}, {1, 1}};
      for (const int order : {1, 2, 3}) {
        std::printf("  %3ld x %2ld x %2ld x %2ld, %-14s", static_cast<long>(images[0]), static_cast<long>(images[1]),
                    static_cast<long>(images[2]), static_cast<long>(images[3]),
                    order == 1 ? "as they are" : order == 2 ? "channels last" : "images last");
        for (const Form& f : {form, three}) {
          const Sizes out = f.windows();
          const std::vector<float> x = numbers<float>(random, product(images), false);
          const std::vector<float> y(static_cast<size_t>(product(out)), 1.0f);
          const std::vector<uint8_t> at(y.size(), 1);
          const auto time = [&](Kernel kernel, bool pixels_first, bool places) {
            Case c{{kernel, true, {}, f.ints(), {}}, {}, {}};
            if (kernel == Kernel::max_pool) c.in.ints.push_back(0);
            if (pixels_first) c.read(random, images, x, order);
            c.read(random, out, y, order);
            if (places) c.read(random, out, at, order);
            if (!pixels_first) c.read(random, images, x, order);
            Work work;
            const PoolTask task = prepare_pool(c.in, &work);
            Run run;
            for (const Array& array : c.arrays) run.slots.push_back(array.address());
            std::vector<char> scratch(static_cast<size_t>(work.scratch) + 64);
            char* aligned = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64);
            const Frame frame{run.slots.data(), 0, 1, aligned, nullptr};
            const double taken = microseconds([&] { table->pool(task, frame); }, 200);
            // Beside a copy of half as many bytes, which moves as many.
            const auto bytes = static_cast<size_t>(work.bytes / 2);
            const double copied = microseconds([&] { std::memcpy(to.data(), memory.data(), bytes); }, 200);
            std::printf(" %7.1f us %3.0f %%", taken, 100 * copied / taken);
          };
          time(Kernel::max_pool, true, true);
          time(Kernel::max_unpool, false, true);
          time(Kernel::mean_pool, true, false);
          time(Kernel::mean_unpool, false, false);
          std::printf(" |");
        }
        std::printf("\n");
      }
    }
  }
}

void all() {
  refused();
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const Form form = some_form(random, false);
    const int order = static_cast<int>(seed % 4);
    if (form.places() <= 255) {
      largest<float, uint8_t>(random, form, order);
      largest<double, uint8_t>(random, form, order);
    } else {
      largest<float, uint32_t>(random, form, order);
      largest<double, uint32_t>(random, form, order);
    }
    means<float>(random, form, order);
    means<double>(random, form, order);
    const Form dilated = some_form(random, true);
    columns<float>(random, dilated, order);
    columns<double>(random, dilated, order);
  }
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
  std::printf("pools: %d failures\n", failures);
  return failures != 0;
}
