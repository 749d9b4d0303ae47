#include "run.h"

#include <chrono>

#include "float_mode.h"

namespace glassgrad {
namespace {

int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

void Walk::bind(int base, char* address) {
  for (const int slot : plan_.slots_of[static_cast<size_t>(base)]) {
    part_.slots[static_cast<size_t>(slot)] = address + plan_.slots[static_cast<size_t>(slot)].offset;
  }
}

void Walk::start(char* const* addresses) {
  part_.fault = {};
  bind(0, plan_.arena());
  for (size_t i = 1; i < plan_.bases.size(); ++i) {
    if (addresses[i - 1]) bind(static_cast<int>(i), addresses[i - 1]);
  }
}

void Walk::move(const Step& loop, int64_t rounds) {
  for (const int slot : loop.moved) {
    part_.slots[static_cast<size_t>(slot)] += rounds * plan_.slots[static_cast<size_t>(slot)].step;
  }
}

// Whether this check, or that of another part, ends the plan. Each check has its own count, so that a
// part which is late does not take a later failure for this one.
bool Walk::stopped() {
  const int64_t check = checks_++;
  if (member_.parts == 1) return part_.fault.found;
  if (part_.fault.found) shared_.stopped_at.store(check, std::memory_order_relaxed);
  member_.meet();
  return shared_.stopped_at.load(std::memory_order_relaxed) <= check;
}

template <bool profiled>
Status Walk::body(size_t begin, size_t end) {
  for (size_t i = begin; i < end;) {
    Step& step = plan_.steps[i];
    if (step.meet || profiled) member_.meet();
    if (step.kernel == Kernel::loop) {
      const auto after = static_cast<size_t>(step.end);
      if (step.reverse) move(step, step.rounds - 1);
      for (int64_t round = 0; round < step.rounds; ++round) {
        const Status status = body<profiled>(i + 1, after);
        if (status != Status::done) return status;
        move(step, step.reverse ? -1 : 1);
      }
      move(step, step.reverse ? 1 : -step.rounds);  // back to where the first round found them
      i = after;
      continue;
    }
    const int64_t start = profiled ? now() : 0;
    if (step.split) {
      step.ready({part_.slots.data(), member_.part, member_.parts, part_.scratch.get(), &part_.fault});
    } else if (member_.part == 0) {
      step.ready({part_.slots.data(), 0, 1, part_.scratch.get(), &part_.fault});
    }
    if (profiled) {
      member_.meet();
      if (member_.part == 0) step.nanoseconds += now() - start;
    }
    if (step.checked && stopped()) {
      const bool guard = step.kernel == Kernel::guard || step.kernel == Kernel::tiny;
      return guard ? Status::not_finite : Status::bad_position;
    }
    ++i;
  }
  return Status::done;
}

Status Walk::run() {
  return plan_.profiled ? body<true>(0, plan_.steps.size()) : body<false>(0, plan_.steps.size());
}

void keep_fault(Plan& plan, int parts) {
  for (int i = parts - 1; i >= 0; --i) {
    if (plan.part(i).fault.found) plan.fault = plan.part(i).fault;
  }
}

Outcome run_once(Plan& plan, char* const* addresses) {
  const Running here;
  const std::lock_guard lock(plan.running);
  Shared shared;
  Outcome outcome;
  auto job = [&](const Member& member) noexcept {
    const FloatMode mode;
    Walk walk(plan, member, shared);
    walk.start(addresses);
    const Status status = walk.run();
    if (member.part > 0) return;
    outcome.status = status;
    outcome.steps = status == Status::done;
    plan.runs += outcome.steps;
    if (status == Status::bad_position) keep_fault(plan, member.parts);
  };
  const int parts = plan.worth_parts(threads());
  plan.prepare_parts(parts);
  together(parts, job);
  return outcome;
}

}  // namespace glassgrad
