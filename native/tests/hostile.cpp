// Plans with wrong numbers in them: each is refused, or runs inside its memory.
//
//     hostile [plans [seed]]
#include <cstring>
#include <memory>
#include <new>
#include <random>

#include "executor/run.h"
#include "plans.h"

using namespace glassgrad;

// Memory that is not there is an answer, too.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options();
const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace {

std::vector<PlanNumbers> valid_plans() {
  std::vector<PlanNumbers> all;
  {
    PlanNumbers p;  // positions, sums, a guard, in a loop and outside
    p.base(Base::arena, 4096);
    p.base(Base::read, 256);
    p.base(Base::write, 2048);
    const int64_t table = p.slot(0), order = p.slot(1), out = p.slot(2), moved = p.slot(2, 0, 3, 128);
    const int64_t back = p.slot(0, 2048, 4, -64), rest = p.slot(0, 1024);
    p.add(Kernel::arange, false, {dense(rest, DType::i64, {16})});
    p.add(Kernel::take, true, {dense(table, DType::f32, {8, 16}), dense(order, DType::i64, {4}),
                               dense(out, DType::f32, {4, 16})});
    p.add(Kernel::loop, false, {}, {3, 8, 0, 4});
    p.add(Kernel::cumsum, true, {dense(moved, DType::f64, {4, 4}), dense(rest, DType::f64, {4, 4})}, {1});
    p.add(Kernel::loop, false, {}, {4, 6, 1, 1});
    p.add(Kernel::argmax, true, {dense(back, DType::f32, {4, 4}), dense(out, DType::i64, {4})}, {1});
    p.add(Kernel::pick, true, {dense(rest, DType::f32, {4, 8}), dense(order, DType::i64, {4}),
                               dense(moved, DType::f32, {4})});
    p.add(Kernel::guard, false, {dense(out, DType::f32, {8, 16}), dense(rest, DType::f64, {3, 5})});
    all.push_back(p);
  }
  for (const DType t : {DType::f32, DType::f64}) {  // products, with bias and relu and without
    PlanNumbers p;
    const int64_t size = size_of(t);
    p.base(Base::arena, 40 * 24 * size);
    p.base(Base::read, 40 * 20 * size);
    p.base(Base::read, 20 * 24 * size);
    p.base(Base::write, 40 * 40 * size);
    const int64_t h = p.slot(0), x = p.slot(1), w = p.slot(2), out = p.slot(3), moved = p.slot(3, 0, 0, size);
    const auto dtype = static_cast<int64_t>(t);
    p.add(Kernel::matmul, true,
          {dense(x, t, {40, 20}), dense(w, t, {20, 24}), {w, t, {40, 24}, {0, 1}}, dense(h, t, {40, 24})},
          {0, 2, 1, 2, 1, dtype, 0, static_cast<int64_t>(Operation::add), dtype, 0, 1, -1,
           static_cast<int64_t>(Operation::maximum), dtype, 3, 2, -1, 4});
    p.add(Kernel::loop, false, {}, {0, 5, 0, 1});
    p.add(Kernel::matmul, true,
          {dense(h, t, {5, 24}), {w, t, {24, 20}, {1, 24}}, dense(moved, t, {5, 20})}, {0});
    p.add(Kernel::matmul, true,
          {dense(x, t, {2, 20, 4}), dense(w, t, {2, 4, 12}), dense(out, t, {2, 20, 12})}, {1});
    all.push_back(p);
  }
  {
    PlanNumbers p;  // programs, sums over axes, rows of a loss, random numbers
    const auto f32 = static_cast<int64_t>(DType::f32);
    const auto f = [](Operation o) { return static_cast<int64_t>(o); };
    p.base(Base::arena, 8192);
    p.base(Base::read, 4096);
    p.base(Base::write, 4096);
    const int64_t x = p.slot(1), labels = p.slot(1, 2048), h = p.slot(0), g = p.slot(0, 4096), out = p.slot(2);
    p.add(Kernel::map, true,
          {dense(x, DType::f32, {12, 20}), {x, DType::f32, {12, 20}, {0, 1}}, dense(h, DType::f32, {12, 20})},
          {2, 12, 20, 2, 1, 3, 1, f32, 0x40000000, f(Operation::multiply), f32, 0, 2, -1,
           f(Operation::add), f32, 3, 1, -1, f(Operation::tanh), f32, 4, -1, -1, 5});
    p.add(Kernel::reduce, true, {dense(h, DType::f32, {12, 20}), dense(g, DType::f32, {1, 20})},
          {static_cast<int64_t>(Reduction::sum), 2, 12, 20, 1, 0, 1, 0, 1, 1, f(Operation::square), f32, 0,
           -1, -1, 1}, {12});
    p.add(Kernel::softmax, true, {dense(h, DType::f32, {12, 20}), dense(out, DType::f32, {12, 20})}, {1});
    p.add(Kernel::argmax, true, {dense(h, DType::f32, {12, 20}), dense(labels + 2, DType::i64, {12})}, {1});
    all.push_back(p);
  }
  return all;
}

class Dice {
 public:
  explicit Dice(uint64_t seed) : bits_(seed) {}
  uint64_t below(uint64_t n) { return bits_() % n; }
  int64_t number(int64_t old) {
    static constexpr int64_t odd[] = {0, 1, -1, 2, 3, 7, 8, 9, 64, 255, 4096, INT32_MAX, INT64_MAX,
                                      INT64_MIN, int64_t{1} << 31, int64_t{1} << 40, int64_t{1} << 62};
    switch (below(6)) {
      case 0: return odd[below(std::size(odd))];
      case 1: return old + 1;
      case 2: return old - 1;
      case 3: return static_cast<int64_t>(static_cast<uint64_t>(old) << below(64));
      case 4: return static_cast<int64_t>(static_cast<uint64_t>(old) ^ (uint64_t{1} << below(64)));
      default: return static_cast<int64_t>(below(24));
    }
  }

 private:
  std::mt19937_64 bits_;
};

void spoil(PlanNumbers& p, Dice& dice) {
  for (uint64_t changes = 1 + dice.below(3); changes > 0; --changes) {
    std::vector<int64_t>* lists[] = {&p.bases, &p.slots, &p.code, &p.code, &p.code};
    std::vector<int64_t>& list = *lists[dice.below(std::size(lists))];
    if (list.empty()) continue;
    const auto at = static_cast<std::ptrdiff_t>(dice.below(list.size()));
    switch (dice.below(12)) {
      case 0: list.erase(list.begin() + at); break;
      case 1: list.insert(list.begin() + at, dice.number(0)); break;
      case 2: std::swap(list[static_cast<size_t>(at)], list[dice.below(list.size())]); break;
      default: list[static_cast<size_t>(at)] = dice.number(list[static_cast<size_t>(at)]);
    }
  }
}

// Caller's memory of just so many bytes, so that a byte beyond is noticed.
bool run(Plan& plan, Dice& dice) {
  double times = 0;
  for (const Step& step : plan.steps) times += static_cast<double>(step.times) * static_cast<double>(step.rounds);
  if (times > 1e4 || plan.seconds > 1e-2 || plan.scratch > 1 << 20) return false;
  std::vector<std::unique_ptr<char[]>> memories;
  std::vector<char*> addresses;
  for (size_t i = 1; i < plan.bases.size(); ++i) {
    const int64_t bytes = plan.bases[i].bytes;
    if (bytes > 1 << 20) return false;
    memories.push_back(std::make_unique<char[]>(static_cast<size_t>(bytes)));
    char* memory = memories.back().get();
    for (int64_t k = 0; k + 8 <= bytes; k += 8) {
      const auto number = static_cast<int64_t>(dice.below(dice.below(16) == 0 ? 1u << 31 : 4));
      std::memcpy(memory + k, &number, 8);
    }
    addresses.push_back(memory);
  }
  run_once(plan, addresses.data());
  return true;
}

}  // namespace

int main(int count, char** given) {
  const int64_t plans = count > 1 ? std::atoll(given[1]) : 60000;
  Dice dice(count > 2 ? std::strtoull(given[2], nullptr, 10) : 1);
  const Table* tables[] = {table_named("reference"), best_table() ? best_table() : table_named("reference")};
  const std::vector<PlanNumbers> valid = valid_plans();
  set_threads(2);
  for (const PlanNumbers& p : valid) {
    for (const Table* table : tables) {
      Plan plan(p.text(), *table);
      expect(run(plan, dice), "a valid plan runs");
    }
  }
  int64_t refused = 0, ran = 0;
  for (int64_t i = 0; i < plans; ++i) {
    PlanNumbers p = valid[dice.below(valid.size())];
    spoil(p, dice);
    try {
      Plan plan(p.text(), *tables[dice.below(2)]);
      ran += run(plan, dice);
    } catch (const PlanError&) {
      ++refused;
    } catch (const std::bad_alloc&) {
      ++refused;
    }
  }
  std::printf("%lld plans: %lld refused, %lld ran\n", static_cast<long long>(plans),
              static_cast<long long>(refused), static_cast<long long>(ran));
  return 0;
}
