// Attention and its derivatives against plain loops in long double: any shapes, strides, masks and numbers
// of parts, between forbidden pages; the same bits on every instruction set, for any strides and parts; and
// instructions that do not fit. `attention bench` prints times instead.
#include <algorithm>
#include <cmath>

#include "arrays.h"
#include "core/table.h"
#include "prepare/attention.h"

namespace glassgrad::tests {
namespace {

using Exact = std::vector<long double>;

// What is computed: sizes, masks, and which operands are stretched over the batch.
struct Case {
  int64_t batches, heads, queries, keys, width, values;
  bool causal;
  int mask;             // 0 none, 1 of each query and key, 2 of keys alone
  bool shared = false;  // keys and values are the same for all heads
};

// Operands, row by row: (batches, heads, rows, columns).
template <typename T>
struct Numbers {
  std::vector<T> g, q, k, v;
  std::vector<uint8_t> mask;

  Numbers(Random& random, const Case& c) {
    const auto draw = [&](int64_t count, double spread) {
      std::vector<T> found(static_cast<size_t>(count));
      for (T& x : found) x = static_cast<T>(random.real(-spread, spread));
      return found;
    };
    const int64_t all = c.batches * c.heads, of_keys = c.shared ? c.batches : all;
    g = draw(all * c.queries * c.values, 1);
    q = draw(all * c.queries * c.width, 3);
    k = draw(of_keys * c.keys * c.width, 1);
    v = draw(of_keys * c.keys * c.values, 1);
    mask.resize(static_cast<size_t>(c.batches * (c.mask == 2 ? 1 : c.queries) * c.keys));
    for (uint8_t& x : mask) x = random.chance(70);
  }
};

struct Found {
  Exact y, dq, dk, dv;  // dk and dv of each head
};

template <typename T>
Found plain(const Case& c, const Numbers<T>& n, double root) {
  const int64_t all = c.batches * c.heads;
  Found f;
  f.y.resize(static_cast<size_t>(all * c.queries * c.values));
  f.dq.resize(static_cast<size_t>(all * c.queries * c.width));
  f.dk.resize(static_cast<size_t>(all * c.keys * c.width));
  f.dv.resize(static_cast<size_t>(all * c.keys * c.values));
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (int64_t b = 0; b < all; ++b) {
    const int64_t of_keys = c.shared ? b / c.heads : b;
    for (int64_t i = 0; i < c.queries; ++i) {
      Exact weight(at(c.keys), -INFINITY), d(at(c.keys));
      long double most = -INFINITY, sum = 0, along = 0;
      for (int64_t j = 0; j < c.keys; ++j) {
        const int64_t row = c.mask == 2 ? b / c.heads : b / c.heads * c.queries + i;
        if ((c.causal && j > i) || (c.mask != 0 && n.mask[at(row * c.keys + j)] == 0)) continue;
        long double score = 0;
        for (int64_t e = 0; e < c.width; ++e)
          score += static_cast<long double>(n.q[at((b * c.queries + i) * c.width + e)]) *
                   n.k[at((of_keys * c.keys + j) * c.width + e)];
        weight[at(j)] = score / root;
        most = std::max(most, weight[at(j)]);
      }
      for (long double& w : weight) sum += w = most == -INFINITY ? 0 : std::exp(w - most);
      for (long double& w : weight) w = sum == 0 ? 0 : w / sum;
      for (int64_t j = 0; j < c.keys; ++j) {
        for (int64_t e = 0; e < c.values; ++e) {
          const long double g = n.g[at((b * c.queries + i) * c.values + e)];
          const long double v = n.v[at((of_keys * c.keys + j) * c.values + e)];
          f.y[at((b * c.queries + i) * c.values + e)] += weight[at(j)] * v;
          f.dv[at((b * c.keys + j) * c.values + e)] += weight[at(j)] * g;
          d[at(j)] += g * v;
        }
        along += weight[at(j)] * d[at(j)];
      }
      for (int64_t j = 0; j < c.keys; ++j)
        for (int64_t e = 0; e < c.width; ++e) {
          const long double slope = weight[at(j)] * (d[at(j)] - along) / root;
          f.dq[at((b * c.queries + i) * c.width + e)] += slope * n.k[at((of_keys * c.keys + j) * c.width + e)];
          f.dk[at((b * c.keys + j) * c.width + e)] += slope * n.q[at((b * c.queries + i) * c.width + e)];
        }
    }
  }
  return f;
}

// An instruction on arrays of some layout.
struct Laid {
  std::vector<Array> arrays;
  Instruction in;
  std::vector<size_t> written;

  Array& add(Array array, const Sizes& shape) {
    Operand o = array.operand(static_cast<int32_t>(arrays.size()));
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (o.shape[axis] == shape[axis]) continue;
      o.shape[axis] = shape[axis];
      o.stride[axis] = 0;
    }
    in.operands.push_back(o);
    arrays.push_back(std::move(array));
    return arrays.back();
  }
};

template <typename T>
Laid lay(Random& random, const Case& c, const Numbers<T>& n, double root, int which, bool plain) {
  Laid laid;
  const bool back = which != 0;
  laid.in = {back ? Kernel::attention_back : Kernel::attention, true, {}, {c.causal, c.mask != 0}, {root}};
  if (back) laid.in.ints.push_back(which);
  const Sizes of_q{c.batches, c.heads, c.queries, c.width}, of_g{c.batches, c.heads, c.queries, c.values};
  const Sizes of_k{c.batches, c.heads, c.keys, c.width}, of_v{c.batches, c.heads, c.keys, c.values};
  const Sizes of_mask{c.batches, c.heads, c.queries, c.keys};
  const auto stored = [&](Sizes shape) {
    if (c.shared) shape[1] = 1;
    return shape;
  };
  if (back) laid.add(laid_out(random, of_g, n.g, plain), of_g);
  laid.add(laid_out(random, of_q, n.q, plain), of_q);
  laid.add(laid_out(random, stored(of_k), n.k, plain), of_k);
  laid.add(laid_out(random, stored(of_v), n.v, plain), of_v);
  if (c.mask != 0) {
    const Sizes given{c.batches, 1, c.mask == 2 ? 1 : c.queries, c.keys};
    laid.add(laid_out(random, given, n.mask, plain), of_mask);
    laid.in.operands.back().dtype = DType::b8;
  }
  const auto result = [&](const Sizes& shape) {
    laid.written.push_back(laid.arrays.size());
    laid.add(lay_out(random, dtype_of<T>(), shape, plain), shape);
  };
  if (!back) result(of_g);
  if (which & 1) result(of_q);
  if (which & 2) result(of_k);
  if (which & 4) result(of_v);
  return laid;
}

template <typename T>
void check(Random& random, const Case& c) {
  const Numbers<T> numbers(random, c);
  const double root = std::sqrt(static_cast<double>(c.width));
  const Found exact = plain(c, numbers, root);
  const std::string name = "attention of " + std::to_string(c.queries) + " x " + std::to_string(c.keys) + ", " +
                           std::to_string(c.width) + " and " + std::to_string(c.values) + " wide";
  std::vector<T> first[4];
  for (const int which : {0, 7, 1, 2, 4}) {
    for (int layout = 0; layout < 3; ++layout) {
      Laid laid = lay(random, c, numbers, root, which, layout == 0);
      Work work;
      const AttentionTask task = prepare_attention(laid.in, &work);
      for (const Table* table : tables()) {
        for (const int parts : {1, 2, 5}) {
          Run run;
          for (const Array& array : laid.arrays) run.slots.push_back(array.address());
          for (const size_t k : laid.written)
            std::memset(laid.arrays[k].memory->data, 0xA5, static_cast<size_t>(laid.arrays[k].bytes));
          run.all(table->attention, task, work, parts);
          size_t next = 0;
          for (size_t kind = 0; kind < 4; ++kind) {
            if (kind == 0 ? which != 0 : (which >> (kind - 1) & 1) == 0) continue;
            Array& array = laid.arrays[laid.written[next++]];
            const std::vector<T> found = array.template get<T>();
            const std::string where = name + ", result " + std::to_string(kind) + " of " + work.name + " on " +
                                      table->name + ", parts " + std::to_string(parts);
            if (first[kind].empty()) {
              first[kind] = found;
              const Exact& wanted = *std::vector<const Exact*>{&exact.y, &exact.dq, &exact.dk, &exact.dv}[kind];
              const long double eps = (sizeof(T) == 4 ? 2e-6L : 4e-15L) * (kind < 2 ? 1 : c.queries);
              for (size_t i = 0; i < found.size(); ++i)
                expect(std::fabs(found[i] - wanted[i]) <= eps * (1 + std::fabs(wanted[i])), where + ": the value");
            }
            expect(found.size() == first[kind].size() &&
                       (found.empty() || std::memcmp(found.data(), first[kind].data(), found.size() * sizeof(T)) == 0),
                   where + ": the bits");
            const std::string after(array.memory->data, static_cast<size_t>(array.bytes));
            array.put(found);
            expect(std::memcmp(after.data(), array.memory->data, after.size()) == 0, where + ": the gaps");
          }
        }
      }
    }
  }
}

// What does not fit is refused.
void refuse(Random& random) {
  const Case c{2, 3, 5, 7, 4, 6, true, 1};
  const Numbers<float> numbers(random, c);
  const auto refused = [&](const std::string& what, int which, const std::function<void(Instruction&)>& change) {
    Laid laid = lay(random, c, numbers, 2, which, true);
    change(laid.in);
    Work work;
    bool found = false;
    try {
      prepare_attention(laid.in, &work);
    } catch (const PlanError&) {
      found = true;
    }
    expect(found, "attention: " + what + " is not refused");
  };
  for (const int which : {0, 7}) {
    refused("an operand too few", which, [](Instruction& in) { in.operands.pop_back(); });
    refused("no operands", which, [](Instruction& in) { in.operands.clear(); });
    refused("an operand too many", which, [](Instruction& in) { in.operands.push_back(in.operands[0]); });
    refused("a whole number too few", which, [](Instruction& in) { in.ints.pop_back(); });
    refused("a real too many", which, [](Instruction& in) { in.reals.push_back(1); });
    refused("a divisor of 0", which, [](Instruction& in) { in.reals[0] = 0; });
    refused("a divisor that is no number", which, [](Instruction& in) { in.reals[0] = NAN; });
    refused("no keys", which, [which](Instruction& in) {
      for (size_t i = which ? 2 : 1; i < in.operands.size(); ++i) in.operands[i].shape[2] = 0;
    });
    for (size_t k = 0; k < (which ? 8u : 5u); ++k) {
      refused("another rank", which, [k](Instruction& in) { in.operands[k].rank = 3; });
      refused("a rank out of range", which, [k](Instruction& in) { in.operands[k].rank = 9; });
      refused("another dtype", which, [k](Instruction& in) { in.operands[k].dtype = DType::i64; });
      refused("a size below 0", which, [k](Instruction& in) { in.operands[k].shape[3] = -1; });
      for (const int axis : {0, 1})
        refused("another batch", which, [k, axis](Instruction& in) { ++in.operands[k].shape[axis]; });
      refused("another size", which, [k](Instruction& in) { ++in.operands[k].shape[3]; });
      refused("sizes too large", which, [k](Instruction& in) {
        for (Operand& o : in.operands) o.shape[0] = o.shape[1] = int64_t{1} << 40;
      });
    }
    refused("a stretched result", which, [](Instruction& in) { in.operands.back().stride[3] = 0; });
    refused("a result on an operand", which, [](Instruction& in) { in.operands.back().slot = in.operands[0].slot; });
  }
  refused("no result", 7, [](Instruction& in) { in.ints[2] = 0; });
  refused("an unknown result", 7, [](Instruction& in) { in.ints[2] = 8; });
}

template <typename T>
void bench(const Case& c) {
  Random random(1);
  const Numbers<T> numbers(random, c);
  for (const int which : {0, 7}) {
    Laid laid = lay(random, c, numbers, 5, which, true);
    Work work;
    const AttentionTask task = prepare_attention(laid.in, &work);
    std::vector<char> scratch(static_cast<size_t>(work.scratch + 64));
    char* const aligned = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
    std::vector<char*> slots;
    for (const Array& array : laid.arrays) slots.push_back(array.address());
    const Table* table = best_table();
    Fault fault{};
    const double us = microseconds([&] { table->attention(task, Frame{slots.data(), 0, 1, aligned, &fault}); }, 40);
    std::printf("%-8s %4ld x %ld, t %ld, width %ld%s %s: %8.1f us, %5.1f GFLOP/s, scratch %ld kB\n",
                sizeof(T) == 4 ? "float" : "double", c.batches, c.heads, c.queries, c.width,
                c.causal ? ", causal" : "", which ? "back" : "forward", us, work.flop / us / 1e3, work.scratch / 1024);
  }
}

}  // namespace
}  // namespace glassgrad::tests

int main(int argc, char** argv) {
  using namespace glassgrad::tests;
  if (argc > 1 && std::string(argv[1]) == "bench") {
    for (const bool causal : {true, false}) {
      bench<float>({16, 4, 128, 128, 32, 32, causal, 0});
      bench<float>({2, 4, 512, 512, 64, 64, causal, 0});
      bench<float>({1, 1, 4096, 4096, 64, 64, causal, 0});
      bench<double>({16, 4, 128, 128, 32, 32, causal, 0});
    }
    return 0;
  }
  Random random(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20);
  refuse(random);
  check<float>(random, {2, 2, 50, 50, 32, 32, true, 0});
  check<double>(random, {1, 2, 61, 70, 8, 40, false, 1});
  check<float>(random, {1, 1, 5, 2100, 3, 2, false, 2});
  check<float>(random, {2, 2, 0, 3, 4, 5, true, 0});
  check<float>(random, {0, 2, 3, 3, 4, 5, false, 0});
  check<float>(random, {1, 2, 3, 3, 4, 0, false, 0});
  for (int i = 0; i < 12; ++i) {
    const auto size = [&] { return random.chance(60) ? random.between(1, 9) : random.between(10, 60); };
    const Case c{random.between(1, 2), random.between(1, 3), size(), size(), random.between(1, 36),
                 random.between(1, 36), random.chance(50), static_cast<int>(random.below(3)), random.chance(30)};
    check<float>(random, c);
    check<double>(random, c);
  }
  if (failures == 0) std::printf("ok\n");
  return failures != 0;
}
