// Reading the numbers of a plan, and refusing what does not hold together.
#pragma once

#include "plan.h"

namespace glassgrad {

// The numbers of a plan, one after the other.
class Reader {
 public:
  Reader(const int64_t* begin, int64_t count) : at_(begin), end_(begin + count) {}
  bool done() const { return at_ == end_; }
  int64_t next();                            // raises PlanError at the end
  int64_t next(int64_t low, int64_t high);   // and for a number outside
  std::vector<int64_t> take(int64_t count);

 private:
  const int64_t* at_;
  const int64_t* end_;
};

std::vector<Base> read_bases(const PlanText&);
std::vector<Slot> read_slots(const PlanText&, const std::vector<Base>&);
Instruction read_instruction(Reader&, int64_t slots, const PlanText&, int64_t* reals_read);

// A loop that is open where an instruction stands.
struct OpenLoop {
  int number;
  int64_t rounds;
  size_t step;  // its place in Plan::steps
  int64_t left;  // instructions of its body still to come
};

// Where an operand lies: inside its base in every round of the loops around, or PlanError.
Region place(const Operand&, const Slot&, const Base&, const std::vector<OpenLoop>&);

// Raises PlanError where an operand that is written shares memory with another, except for what the
// instruction's family has allowed: the same numbers in the same places.
void verify_operands(const std::vector<Region>&, const std::vector<Base>&);

}  // namespace glassgrad
