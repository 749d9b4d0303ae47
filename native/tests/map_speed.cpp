// How fast maps and reductions are: nanoseconds a call, and cycles a number (by the time stamp counter).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/instruction.h"
#include "core/table.h"
#include "prepare/map.h"
#include "prepare/reduce.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace glassgrad;
namespace {

double ticks_now() {
#if defined(__x86_64__)
  return static_cast<double>(__rdtsc());
#else
  return static_cast<double>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

constexpr int f32 = 0, b8 = 5;

Operand operand(int slot, DType t, std::vector<int64_t> shape, std::vector<int64_t> stride) {
  Operand o{slot, t, static_cast<int>(shape.size()), {}, {}};
  std::copy(shape.begin(), shape.end(), o.shape);
  std::copy(stride.begin(), stride.end(), o.stride);
  return o;
}

std::vector<int64_t> dense(const std::vector<int64_t>& shape) {
  std::vector<int64_t> stride(shape.size());
  int64_t step = 1;
  for (size_t k = shape.size(); k-- > 0; step *= shape[k]) stride[k] = step;
  return stride;
}

int64_t bits(float x) {
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return b;
}

std::vector<int64_t> step(Operation op, int a, int b = -1, int c = -1, int dtype = f32) {
  return {static_cast<int64_t>(op), dtype, a, b, c};
}

struct Case {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<std::vector<int64_t>> strides;  // of inputs, empty: dense
  std::vector<float> constants;
  std::vector<std::vector<int64_t>> steps;
  std::vector<int64_t> outputs;
  std::vector<int> output_slots;              // -1: memory of its own
  std::vector<int64_t> axes = {};             // of a sum
  bool sum = false;
};

void measure(const Table& table, const Case& c, bool keep) {
  int64_t total = 1;
  for (int64_t n : c.shape) total *= n;
  Instruction in{c.sum ? Kernel::reduce : Kernel::map, false, {}, {}, {}};
  if (c.sum) in.ints.push_back(0);
  in.ints.push_back(static_cast<int64_t>(c.shape.size()));
  in.ints.insert(in.ints.end(), c.shape.begin(), c.shape.end());
  std::vector<int64_t> kept = c.shape;
  if (c.sum) {
    in.ints.push_back(static_cast<int64_t>(c.axes.size()));
    for (int64_t a : c.axes) in.ints.push_back(a), kept[static_cast<size_t>(a)] = 1;
  }
  const auto put = [&](size_t n) { in.ints.push_back(static_cast<int64_t>(n)); };
  put(c.strides.size()), put(c.constants.size()), put(c.steps.size()), put(c.outputs.size());
  for (float x : c.constants) in.ints.push_back(f32), in.ints.push_back(bits(x));
  for (const auto& s : c.steps) in.ints.insert(in.ints.end(), s.begin(), s.end());
  in.ints.insert(in.ints.end(), c.outputs.begin(), c.outputs.end());
  std::vector<std::vector<float>> memory;
  std::vector<char*> slots;
  const auto allocate = [&] {
    memory.emplace_back(static_cast<size_t>(total) + 16, 0.5f);
    slots.push_back(reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory.back().data()) + 63) / 64 * 64));
    return static_cast<int>(slots.size()) - 1;
  };
  memory.reserve(64);
  for (const auto& s : c.strides)
    in.operands.push_back(operand(allocate(), DType::f32, c.shape, s.empty() ? dense(c.shape) : s));
  for (size_t k = 0; k < c.outputs.size(); ++k) {
    const int slot = c.output_slots.empty() || c.output_slots[k] < 0 ? allocate() : c.output_slots[k];
    in.operands.push_back(operand(slot, DType::f32, kept, dense(kept)));
  }
  Work work;
  MapTask map{};
  ReduceTask reduce{};
  if (c.sum) reduce = prepare_reduce(in, &work, keep);
  else map = prepare_map(in, &work, keep);
  std::vector<char> scratch(static_cast<size_t>(work.scratch) + 64);
  char* aligned = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  const Frame frame{slots.data(), 0, 1, aligned, nullptr};
  double best = 1e30, ticks = 1e30;
  const int times = static_cast<int>(std::max<int64_t>(4, 20000 / (total + 20)));
  const auto begun = std::chrono::steady_clock::now();
  for (int round = 0; round < 400; ++round) {
    if (round > 4 && std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(50)) break;
    const auto start = std::chrono::steady_clock::now();
    const double first = ticks_now();
    for (int i = 0; i < times; ++i) c.sum ? table.reduce(reduce, frame) : table.map(map, frame);
    const double last = ticks_now();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / times);
    ticks = std::min(ticks, (last - first) / times);
  }
  const int steps = c.sum ? reduce.program.steps : map.program.steps;
  const int64_t block = c.sum ? reduce.space.block : map.space.block;
  std::printf("%-34s %10.1f ns %7.3f ticks a number   %2d steps, blocks of %ld\n", c.name.c_str(), best,
              ticks / static_cast<double>(total), steps, static_cast<long>(block));
}

}  // namespace

int main(int argc, char** argv) {
  using enum Operation;
  const Table* table = argc > 1 ? table_named(argv[1]) : best_table();
  const bool keep = argc > 2;  // no two steps become one
  if (!table) return 1;
  const std::vector<int64_t> d;
  const std::vector<int64_t> rows = {0, 1}, heads = {1, 0}, one = {0, 0};
  // Adam: w, g, mean, square; rate, eps and the weights of this step as scalars.
  const std::vector<std::vector<int64_t>> adam = {
      step(multiply, 2, 6), step(multiply, 1, 7), step(add, 10, 11),            // mean
      step(multiply, 3, 8), step(multiply, 1, 9), step(multiply, 14, 1), step(add, 13, 15),
      step(divide, 16, 5), step(sqrt, 17), step(add, 18, 6), step(multiply, 12, 4),
      step(divide, 20, 19), step(subtract, 0, 21)};
  std::vector<Case> cases = {
      {"copy 16k", {16384}, {d}, {}, {}, {0}, {}},
      {"transpose 128x128", {128, 128}, {{1, 128}}, {}, {}, {0}, {}},
      {"add 16k", {16384}, {d, d}, {}, {step(add, 0, 1)}, {2}, {}},
      {"relu 16k", {16384}, {d}, {0}, {step(maximum, 0, 1)}, {2}, {}},
      {"bias, relu 256x64", {256, 64}, {d, rows}, {0}, {step(add, 0, 1), step(maximum, 3, 2)}, {4}, {}},
      {"bias, relu 64x256", {64, 256}, {d, rows}, {0}, {step(add, 0, 1), step(maximum, 3, 2)}, {4}, {}},
      {"less its row's 300x10", {300, 10}, {d, heads}, {}, {step(subtract, 0, 1)}, {2}, {}},
      {"less its row's 64x256", {64, 256}, {d, heads}, {}, {step(subtract, 0, 1)}, {2}, {}},
      {"gate 16k", {16384}, {d, d}, {0}, {step(greater, 1, 2), step(multiply, 0, 3)}, {4}, {}},
      {"tanh 16k", {16384}, {d}, {}, {step(tanh, 0)}, {1}, {}},
      {"exp 16k", {16384}, {d}, {}, {step(exp, 0)}, {1}, {}},
      {"five steps, 1 number", {1}, {d, d}, {2}, {step(add, 0, 1), step(maximum, 3, 2), step(sqrt, 4), step(absolute, 5), step(multiply, 6, 0)}, {7}, {}},
      {"five steps, 10 numbers", {10}, {d, d}, {2}, {step(add, 0, 1), step(maximum, 3, 2), step(sqrt, 4), step(absolute, 5), step(multiply, 6, 0)}, {7}, {}},
      {"five steps, 64 numbers", {64}, {d, d}, {2}, {step(add, 0, 1), step(maximum, 3, 2), step(sqrt, 4), step(absolute, 5), step(multiply, 6, 0)}, {7}, {}},
      {"Adam 8k, in place", {8192}, {d, d, d, d, {0}, {0}}, {0.9f, 0.1f, 0.999f, 0.001f}, adam, {22, 12, 16}, {0, 2, 3}},
      {"Adam 1M, in place", {1048576}, {d, d, d, d, {0}, {0}}, {0.9f, 0.1f, 0.999f, 0.001f}, adam, {22, 12, 16}, {0, 2, 3}},
      {"sum of columns 300x64", {300, 64}, {d}, {}, {}, {0}, {}, {0}, true},
      {"sum of columns 300x3", {300, 3}, {d}, {}, {}, {0}, {}, {0}, true},
      {"sum of columns 1024x1024", {1024, 1024}, {d}, {}, {}, {0}, {}, {0}, true},
      {"sum of rows 256x64", {256, 64}, {d}, {}, {}, {0}, {}, {1}, true},
      {"sum of rows 300x10", {300, 10}, {d}, {}, {}, {0}, {}, {1}, true},
      {"sum of 16k", {16384}, {d}, {}, {}, {0}, {}, {0}, true},
      {"sum of 10", {10}, {d}, {}, {}, {0}, {}, {0}, true},
      {"sum of squares 16k", {16384}, {d}, {}, {step(square, 0)}, {1}, {}, {0}, true},
      {"columns, gated 300x64", {300, 64}, {d, d}, {0}, {step(greater, 1, 2), step(multiply, 0, 3)}, {4}, {}, {0}, true},
  };
  for (const Case& c : cases) measure(*table, c, keep);
  return 0;
}
