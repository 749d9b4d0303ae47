// For the drivers: arrays with any strides between forbidden pages, and kernels run on them.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/instruction.h"
#include "core/table.h"

namespace glassgrad::tests {

using Sizes = std::vector<int64_t>;

inline int64_t product(const Sizes& sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return count;
}

struct Random {
  std::mt19937_64 engine;
  explicit Random(uint64_t seed) : engine(seed) {}
  int64_t below(int64_t bound) {
    return static_cast<int64_t>(engine() % static_cast<uint64_t>(bound));
  }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  double real(double low, double high) {
    return low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53;
  }
};

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, uint32_t>) return DType::u32;
  return DType::u8;
}

// So many bytes that touch a forbidden page, at their end or at their beginning.
class Guarded {
 public:
  Guarded(int64_t bytes, bool at_end) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t inner = (bytes + page - 1) / page * page + page;
    all_ = inner + 2 * page;
    map_ = static_cast<char*>(mmap(nullptr, static_cast<size_t>(all_), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (map_ == MAP_FAILED) std::abort();
    mprotect(map_, static_cast<size_t>(page), PROT_NONE);
    mprotect(map_ + page + inner, static_cast<size_t>(page), PROT_NONE);
    data = at_end ? map_ + page + inner - bytes : map_ + page;
  }
  ~Guarded() { munmap(map_, static_cast<size_t>(all_)); }
  Guarded(const Guarded&) = delete;
  char* data;

 private:
  char* map_;
  int64_t all_;
};

// Numbers in the order of their shape, laid out with strides of their own.
struct Array {
  DType dtype;
  Sizes shape, stride;
  int64_t bytes = 0;   // from the lowest to behind the highest
  int64_t origin = 0;  // where the number at 0, 0, ... lies among them
  std::unique_ptr<Guarded> memory;

  char* address() const { return memory->data + origin; }

  int64_t offset(int64_t index) const {
    int64_t found = 0;
    for (size_t axis = shape.size(); axis-- > 0;) {
      found += index % shape[axis] * stride[axis];
      index /= shape[axis];
    }
    return found;
  }

  template <typename T>
  void put(const std::vector<T>& numbers) {
    std::memset(memory->data, 0xA5, static_cast<size_t>(bytes));
    for (size_t i = 0; i < numbers.size(); ++i) {
      reinterpret_cast<T*>(address())[offset(static_cast<int64_t>(i))] = numbers[i];
    }
  }

  template <typename T>
  std::vector<T> get() const {
    std::vector<T> numbers(static_cast<size_t>(product(shape)));
    for (size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = reinterpret_cast<const T*>(address())[offset(static_cast<int64_t>(i))];
    }
    return numbers;
  }

  Operand operand(int32_t slot) const {
    Operand o{};
    o.slot = slot;
    o.dtype = dtype;
    o.rank = static_cast<int>(shape.size());
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      o.shape[axis] = shape[axis];
      o.stride[axis] = stride[axis];
    }
    return o;
  }
};

// An array in some order of its axes, with gaps, or reversed; `plain`: row by row.
inline Array lay_out(Random& random, DType dtype, const Sizes& shape, bool plain) {
  Array array{dtype, shape, Sizes(shape.size()), 0, 0, nullptr};
  std::vector<size_t> order(shape.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (!plain) std::shuffle(order.begin(), order.end(), random.engine);
  int64_t step = !plain && random.chance(30) ? random.between(2, 3) : 1, low = 0, high = 0;
  for (size_t i = order.size(); i-- > 0;) {
    const size_t axis = order[i];
    const int64_t reach = (shape[axis] > 0 ? shape[axis] - 1 : 0) * step;
    const bool reversed = !plain && random.chance(20);
    array.stride[axis] = reversed ? -step : step;
    (reversed ? low : high) += reach;
    step *= shape[axis] > 0 ? shape[axis] : 1;
    if (!plain && random.chance(30)) step += random.between(1, 5);
  }
  const int64_t size = size_of(dtype);
  array.bytes = product(shape) == 0 ? 0 : (low + high + 1) * size;
  array.origin = low * size;
  array.memory = std::make_unique<Guarded>(array.bytes, random.chance(50));
  return array;
}

template <typename T>
Array laid_out(Random& random, const Sizes& shape, const std::vector<T>& numbers, bool plain) {
  Array array = lay_out(random, dtype_of<T>(), shape, plain);
  array.put(numbers);
  return array;
}

// The address of each operand, with a fault and scratch for each part.
struct Run {
  std::vector<char*> slots;
  Fault fault{};

  template <typename Task>
  void all(void (*kernel)(const Task&, const Frame&), const Task& task, const Work& work,
           int parts) {
    for (int part = parts - 1; part >= 0; --part) {  // in any order
      Guarded scratch((work.scratch + 63) / 64 * 64, true);
      Fault own{};
      kernel(task, Frame{slots.data(), part, parts, scratch.data, &own});
      if (own.found) fault = own;
    }
  }
};

inline int failures = 0;

inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  if (++failures > 20) std::exit(1);
}

// The tables this machine has.
inline std::vector<const Table*> tables() {
  std::vector<const Table*> found;
  for (const char* name : {"reference", "avx2", "avx512", "neon"}) {
    if (const Table* table = table_named(name)) found.push_back(table);
  }
  return found;
}

// The least of many short runs, in microseconds.
inline double microseconds(const std::function<void()>& work, int runs = 2000) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - begin;
    if (taken.count() < best) best = taken.count();
  }
  return best;
}

}  // namespace glassgrad::tests
