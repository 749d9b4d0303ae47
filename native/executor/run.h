// Running a plan: one walk over its instructions by each part.
#pragma once

#include <atomic>

#include "plan.h"
#include "pool.h"

namespace glassgrad {

enum class Status : int64_t {
  done = 0,
  not_finite = 1,   // a guard found it
  bad_position = 2,  // a position outside its table: Plan::fault
};

// What the parts of a run tell each other.
struct Shared {
  std::atomic<int64_t> stopped_at{INT64_MAX};  // the check that failed, counted as each part does
};

class Walk {
 public:
  Walk(Plan& plan, const Member& member, Shared& shared)
      : plan_(plan), member_(member), shared_(shared), part_(plan.part(member.part)) {}

  // Puts all slots in their places. addresses[i] is where base i + 1 is, or nullptr for a base that is
  // bound before each run.
  void start(char* const* addresses);

  // Puts the slots of a base where the base is.
  void bind(int base, char* address);

  // All parts return the same. The parts have not met at the end.
  Status run();

 private:
  template <bool profiled>
  Status body(size_t begin, size_t end);
  bool stopped();
  void move(const Step& loop, int64_t rounds);

  Plan& plan_;
  const Member& member_;
  Shared& shared_;
  Part& part_;
  int64_t checks_ = 0;
};

struct Outcome {
  Status status = Status::done;
  int64_t steps = 0;   // that were completed
};

// Runs a plan once. addresses[i] is where base i + 1 is: big enough, aligned, and nobody else's meanwhile.
Outcome run_once(Plan&, char* const* addresses);

// Writes down the first fault that any part found.
void keep_fault(Plan&, int parts);

}  // namespace glassgrad
