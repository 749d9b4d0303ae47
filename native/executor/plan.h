// A plan: read from numbers, verified like byte-code, every instruction ready to run.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "arena.h"
#include "ready.h"
#include "region.h"

namespace glassgrad {

struct Base {
  enum Kind : int64_t { arena = 0, read = 1, write = 2 };
  int64_t kind;
  int64_t bytes;
  int64_t alignment = 1;  // that its operands ask of its address
};

struct Slot {
  int base;
  int64_t offset;  // in bytes
  int loop;        // -1, or the number of the loop that moves it
  int64_t step;    // in bytes, for each round
};

// One instruction in its place. A loop is followed by its body, which ends before `end`.
struct Step {
  Kernel kernel;
  bool sharable;          // whether it can be divided
  bool split;             // among all parts; otherwise part 0 runs it
  bool meet;              // the parts wait for each other before it
  bool checked;           // the plan may end with it
  Ready ready;            // not of loops
  int64_t end = 0;        // of a loop
  int64_t rounds = 1;     // likewise
  bool reverse = false;   // likewise
  std::vector<int> moved;          // slots that each round moves
  int64_t times = 1;               // how often a run of the plan comes here
  int64_t nanoseconds = 0;         // spent here, where a profile is taken
};

// What the parts of a run have each for themselves.
struct alignas(128) Part {
  std::vector<char*> slots;
  Fault fault{};
  Arena scratch;
};

struct PlanText {
  const int64_t* bases;
  int64_t base_count;
  const int64_t* slots;
  int64_t slot_count;
  const int64_t* code;
  int64_t code_count;
  const double* reals;
  int64_t real_count;
};

class Plan {
 public:
  // Raises PlanError for a plan that does not hold together, std::bad_alloc where memory is lacking.
  // `careful`: the parts wait for each other before every instruction, needed or not.
  Plan(const PlanText&, const Table&, bool careful = false);

  const Table& table;
  std::vector<Base> bases;
  std::vector<Slot> slots;
  std::vector<Step> steps;
  std::vector<std::vector<int>> slots_of;  // by base
  double seconds = 0;    // a rough estimate of a run on one thread
  int64_t scratch = 0;   // bytes for each part
  bool profiled = false;
  int64_t runs = 0;      // since the profile began
  Fault fault{};         // the last that was found

  std::mutex running;    // one run at a time: there is one arena

  char* arena() const { return arena_.get(); }

  // How many parts a run is worth dividing into, with so many threads.
  int worth_parts(int threads) const;
  // Makes the places of so many parts.
  void prepare_parts(int parts);
  Part& part(int i) { return *parts_[static_cast<size_t>(i)]; }

 private:
  Arena arena_;
  std::vector<std::unique_ptr<Part>> parts_;
  bool divided_ = false;  // whether any instruction is
};

}  // namespace glassgrad
