#include "batches.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>

#include "float_mode.h"

namespace glassgrad {
namespace {

using Clock = std::chrono::steady_clock;

void fit(const Plan& plan, int base, int64_t bytes, const char* address, int64_t pitch) {
  if (base < 1 || base >= static_cast<int>(plan.bases.size())) throw PlanError("no such base");
  const Base& b = plan.bases[static_cast<size_t>(base)];
  if (b.bytes > bytes) throw PlanError("an array with fewer bytes than its base");
  if (reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(b.alignment) != 0 ||
      pitch % b.alignment != 0) {
    throw PlanError("an array that is not aligned");
  }
}

}  // namespace

// Which rows a step is about.
struct Batches::Place {
  int64_t step;    // from the first of this advance
  int64_t begin;   // in the data set, or in the order
  int64_t rows;
  const int64_t* order;  // of the batch; nullptr: the rows lie together

  // Whether rows have to be brought together: a single one is where it is.
  bool gathers(const RowsOf& data) const {
    return data.kind != RowsOf::as_they_are || (order && rows > 1);
  }
};

Batches::Batches(Plan& plan, Plan* rest, std::vector<char*> addresses, std::vector<RowsOf> data,
                 std::vector<RowOfTable> tables, int64_t rows, int64_t batch)
    : plan_(plan), rest_(rest), addresses_(std::move(addresses)), data_(std::move(data)),
      tables_(std::move(tables)), rows_(rows), batch_(batch) {
  if (batch < 1 || rows < 1) throw PlanError("no rows");
  const int64_t left = rows % batch;
  per_epoch_ = rows / batch + (rest && left > 0 ? 1 : 0);
  if (per_epoch_ == 0) throw PlanError("fewer rows than a batch has");
  if (rest == &plan) throw PlanError("the rest of an epoch needs a plan of its own");
  if (rest && rest->bases.size() != plan.bases.size()) throw PlanError("plans of different bases");
  std::vector<int> given(plan.bases.size(), 0);
  for (RowsOf& d : data_) {
    const int64_t row = d.batch_row_bytes();
    for (const Plan* p : {&plan, rest}) {
      if (!p) continue;
      const bool writes = p->bases.at(static_cast<size_t>(d.base)).kind != Base::read;
      if (writes) throw PlanError("a plan does not write into a data set");
      const bool in_place = d.kind == RowsOf::as_they_are;
      fit(*p, d.base, row * (p == &plan ? batch : left), in_place ? d.data : nullptr, row);
    }
    ++given[static_cast<size_t>(d.base)];
    d.gathered = make_arena(row * batch);
  }
  for (const RowOfTable& t : tables_) {
    fit(plan, t.base, t.row_bytes, nullptr, t.row_bytes);
    if (rest) fit(*rest, t.base, t.row_bytes, nullptr, t.row_bytes);
    ++given[static_cast<size_t>(t.base)];
  }
  for (size_t i = 1; i < plan.bases.size(); ++i) given[i] += addresses_.at(i - 1) != nullptr;
  for (size_t i = 1; i < plan.bases.size(); ++i) {
    if (given[i] != 1) throw PlanError("base " + std::to_string(i) + " is not given once");
  }
  counting_.resize(static_cast<size_t>(batch));
  std::iota(counting_.begin(), counting_.end(), int64_t{0});
}

// Puts the slots of what moves from step to step in their places.
void Batches::bind(const Advance& a, Walk& walk, const Place& place) const {
  for (const RowsOf& d : data_) {
    const int64_t row = place.order && place.rows == 1 ? place.order[0] : place.begin;
    walk.bind(d.base, place.gathers(d) ? d.gathered.get() : d.data + row * d.row_bytes);
  }
  for (size_t i = 0; i < tables_.size(); ++i) {
    walk.bind(tables_[i].base, a.tables[i] + place.step * tables_[i].row_bytes);
  }
}

// This part's share of the batch; false where the order points outside the data.
bool Batches::gather(const Member& member, const Place& place) const {
  const Range share = share_rows(place.rows, member.part, member.parts);
  const int64_t count = share.end - share.begin;
  if (place.order) {
    for (int64_t i = share.begin; i < share.end; ++i) {
      if (place.order[i] < 0 || place.order[i] >= rows_) return false;
    }
  }
  for (const RowsOf& d : data_) {
    if (!place.gathers(d)) continue;
    const int64_t* order = (place.order ? place.order : counting_.data()) + share.begin;
    const char* from = d.data + (place.order ? 0 : place.begin * d.row_bytes);
    char* to = d.gathered.get() + share.begin * d.batch_row_bytes();
    const Table& table = plan_.table;
    const auto* bytes = reinterpret_cast<const uint8_t*>(from);
    if (d.kind == RowsOf::as_they_are) {
      table.gather_rows(to, from, order, count, d.row_bytes);
    } else if (d.kind == RowsOf::bytes_to_f32) {
      table.gather_bytes_f32(reinterpret_cast<float*>(to), bytes, order, count, d.row_bytes,
                             static_cast<float>(d.scale));
    } else {
      table.gather_bytes_f64(reinterpret_cast<double*>(to), bytes, order, count, d.row_bytes, d.scale);
    }
  }
  return true;
}

Outcome Batches::advance(const Advance& a) {
  if (a.first < 0 || a.count < 0 || a.first > INT64_MAX - a.count) throw PlanError("no such steps");
  const int64_t last_epoch = a.count > 0 ? (a.first + a.count - 1) / per_epoch_ : 0;
  if (a.order && last_epoch >= a.epochs) throw PlanError("more steps than the order has epochs for");
  const Running here;
  std::unique_lock lock(plan_.running, std::defer_lock);
  std::unique_lock<std::mutex> lock_rest;
  if (rest_) {
    lock_rest = std::unique_lock(rest_->running, std::defer_lock);
    std::lock(lock, lock_rest);
  } else {
    lock.lock();
  }
  const int parts = plan_.worth_parts(threads());
  plan_.prepare_parts(parts);
  if (rest_) rest_->prepare_parts(parts);

  Shared shared;
  std::atomic<int64_t> last{INT64_MAX};  // the step after which time is up
  std::atomic<bool> lost{false};         // the order points outside the data
  Outcome outcome;
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(a.budget));
  // The clock is looked at about every 20 microseconds.
  const auto often = static_cast<int64_t>(std::clamp(20e-6 / plan_.seconds, 1.0, 256.0));

  auto job = [&](const Member& member) noexcept {
    const FloatMode mode;
    Walk full(plan_, member, shared);
    std::optional<Walk> rest;
    if (rest_) rest.emplace(*rest_, member, shared);
    for (Walk* walk : {&full, rest ? &*rest : nullptr}) {
      if (walk) walk->start(addresses_.data());
    }
    Status status = Status::done;
    Plan* plan = &plan_;
    int64_t i = 0;
    int64_t epoch = a.first / per_epoch_, index = a.first % per_epoch_;
    for (; i < a.count; ++i) {
      Place place{i, index * batch_, std::min(batch_, rows_ - index * batch_), nullptr};
      if (a.order) place.order = a.order + epoch * rows_ + place.begin;
      if (!data_.empty()) {
        if (!gather(member, place)) lost.store(true, std::memory_order_relaxed);
        member.meet();
        if (lost.load(std::memory_order_relaxed)) {
          status = Status::bad_position;
          break;
        }
      }
      Walk& walk = place.rows == batch_ ? full : *rest;
      plan = place.rows == batch_ ? &plan_ : rest_;
      bind(a, walk, place);
      status = walk.run();
      if (status != Status::done) break;
      if (member.part == 0) {
        ++plan->runs;
        if (a.budget > 0 && i % often == 0 && Clock::now() >= until) {
          last.store(i, std::memory_order_relaxed);
        }
      }
      member.meet();
      if (last.load(std::memory_order_relaxed) <= i) {
        ++i;
        break;
      }
      if (++index == per_epoch_) {
        index = 0;
        ++epoch;
      }
    }
    if (member.part > 0) return;
    outcome.status = status;
    outcome.steps = i;
    if (status == Status::bad_position) {
      plan->fault = {};
      keep_fault(*plan, member.parts);
    }
  };
  together(parts, job);
  return outcome;
}

}  // namespace glassgrad
