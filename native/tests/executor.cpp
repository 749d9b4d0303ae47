// Plans run: loops move their slots, any number of threads gives the same bytes, batches follow their
// order, a guard stops.
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>

#include "executor/batches.h"
#include "plans.h"

using namespace glassgrad;

namespace {

// Running totals of rows that are looked up, round after round, each round from the totals of the one
// before: state[r + 1] = cumsum(state[r][order]). Big enough to be divided.
PlanNumbers totals(int64_t rounds, int64_t rows, int64_t columns) {
  PlanNumbers p;
  const int64_t block = rows * columns * 4;
  p.base(Base::arena, block);
  p.base(Base::write, block * (rounds + 1));
  p.base(Base::read, rows * 8);
  const int64_t looked_up = p.slot(0), from = p.slot(1, 0, 7, block), to = p.slot(1, block, 7, block);
  const int64_t order = p.slot(2), whole = p.slot(1);
  p.add(Kernel::loop, false, {}, {7, rounds, 0, 2});
  p.add(Kernel::take, true, {dense(from, DType::f32, {rows, columns}), dense(order, DType::i64, {rows}),
                             dense(looked_up, DType::f32, {rows, columns})});
  p.add(Kernel::cumsum, true, {dense(looked_up, DType::f32, {rows, columns}),
                               dense(to, DType::f32, {rows, columns})}, {1});
  p.add(Kernel::guard, true, {dense(whole, DType::f32, {rounds + 1, rows, columns})});
  return p;
}

std::vector<float> run_totals(int threads, bool careful, int64_t rounds, int64_t rows, int64_t columns) {
  set_threads(threads);
  Plan plan(totals(rounds, rows, columns).text(), *table_named("reference"), careful);
  std::vector<float> state(static_cast<size_t>((rounds + 1) * rows * columns));
  for (size_t i = 0; i < static_cast<size_t>(rows * columns); ++i) {
    state[i] = static_cast<float>(i % 97) * 1e-3f - 0.04f;
  }
  std::vector<int64_t> order(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) order[static_cast<size_t>(i)] = (i * 7 + 3) % rows;
  char* const addresses[] = {reinterpret_cast<char*>(state.data()), reinterpret_cast<char*>(order.data())};
  for (int i = 0; i < 3; ++i) {
    expect(run_once(plan, addresses).status == Status::done, "a plan runs to its end");
  }
  expect(plan.runs == 3, "runs are counted");
  return state;
}

void same_bytes_for_any_threads() {
  const int64_t rounds = 5, rows = 96, columns = 512;
  const std::vector<float> one = run_totals(1, false, rounds, rows, columns);
  for (int64_t r = 0; r < rounds; ++r) {  // what a round is, said once more
    for (int64_t i = 0; i < rows; ++i) {
      float sum = 0;
      for (int64_t k = 0; k < columns; ++k) {
        sum += one[static_cast<size_t>((r * rows + (i * 7 + 3) % rows) * columns + k)];
        expect(one[static_cast<size_t>(((r + 1) * rows + i) * columns + k)] == sum, "a round");
      }
    }
  }
  for (int threads : {2, 3, 4}) {
    for (bool careful : {false, true}) {
      const std::vector<float> many = run_totals(threads, careful, rounds, rows, columns);
      expect(std::memcmp(one.data(), many.data(), one.size() * 4) == 0, "same bytes on more threads");
    }
  }
}

void callers_at_the_same_time() {
  std::vector<std::thread> callers;
  const std::vector<float> one = run_totals(1, false, 3, 64, 512);
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] { expect(run_totals(2, false, 3, 64, 512) == one, "callers"); });
  }
  for (auto& caller : callers) caller.join();
}

void a_position_outside_stops(int threads) {
  set_threads(threads);
  Plan plan(totals(4, 64, 512).text(), *table_named("reference"));
  std::vector<float> state(5 * 64 * 512);
  std::vector<int64_t> order(64, 0);
  order[60] = 64;
  char* const addresses[] = {reinterpret_cast<char*>(state.data()), reinterpret_cast<char*>(order.data())};
  expect(run_once(plan, addresses).status == Status::bad_position, "a position outside");
  expect(plan.fault.position == 64 && plan.fault.size == 64, "the position is told");
  order[60] = 63;
  expect(run_once(plan, addresses).status == Status::done, "and the plan runs again");
  state[100] = std::numeric_limits<float>::quiet_NaN();
  expect(run_once(plan, addresses).status == Status::not_finite, "a guard");
}

// Each step keeps the row that a table names, out of the batch, in another table.
PlanNumbers picking(int64_t batch) {
  PlanNumbers p;
  p.base(Base::arena, 0);
  p.base(Base::read, batch * 8 * 700);
  p.base(Base::read, 8);
  p.base(Base::write, 8 * 700);
  const int64_t rows = p.slot(1), which = p.slot(2), kept = p.slot(3);
  p.add(Kernel::take, false, {dense(rows, DType::f64, {batch, 700}), dense(which, DType::i64, {1}),
                              dense(kept, DType::f64, {1, 700})});
  p.add(Kernel::cumsum, true, {dense(kept, DType::f64, {1, 700}), dense(kept, DType::f64, {1, 700})}, {0});
  return p;
}

void batches_follow_their_order(int threads) {
  set_threads(threads);
  const int64_t rows = 10, batch = 4, epochs = 3;
  const Table& table = *table_named("reference");
  Plan plan(picking(batch).text(), table), rest(picking(rows % batch).text(), table);
  std::vector<double> data(static_cast<size_t>(rows * 700));
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(i);
  std::vector<RowsOf> of;
  of.push_back({1, reinterpret_cast<char*>(data.data()), 8 * 700});
  Batches loop(plan, &rest, {nullptr, nullptr, nullptr}, std::move(of), {{2, 8}, {3, 8 * 700}}, rows, batch);
  expect(loop.steps_per_epoch() == 3, "steps of an epoch");
  std::vector<int64_t> order(static_cast<size_t>(epochs * rows)), which(9);
  for (int64_t i = 0; i < epochs * rows; ++i) order[static_cast<size_t>(i)] = (i * 3 + i / rows) % rows;
  for (size_t i = 0; i < which.size(); ++i) which[i] = static_cast<int64_t>(i % 2);
  std::vector<double> kept(9 * 700);
  char* const tables[] = {reinterpret_cast<char*>(which.data()), reinterpret_cast<char*>(kept.data())};
  const Outcome done = loop.advance({0, 9, order.data(), epochs, tables, 0});
  expect(done.status == Status::done && done.steps == 9, "all steps");
  for (int64_t s = 0; s < 9; ++s) {
    const int64_t place = s / 3 * rows + s % 3 * batch + s % 2;
    expect(kept[static_cast<size_t>(s * 700 + 1)] ==
               static_cast<double>(order[static_cast<size_t>(place)] * 700 + 1), "a row of a batch");
  }
  order[15] = rows;  // in the second epoch
  const Outcome bad = loop.advance({0, 9, order.data(), epochs, tables, 0});
  expect(bad.status == Status::bad_position && bad.steps == 4, "a row outside the data");
}

}  // namespace

int main() {
  same_bytes_for_any_threads();
  callers_at_the_same_time();
  for (int threads : {1, 2, 3}) {
    a_position_outside_stops(threads);
    batches_follow_their_order(threads);
  }
  return 0;
}
