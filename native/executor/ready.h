// An instruction made ready by its family: what to call, with what.
#pragma once

#include <memory>

#include "core/instruction.h"
#include "core/table.h"

namespace glassgrad {

struct Ready {
  using Call = void (*)(const Ready&, const Frame&);
  using Function = void (*)();

  Call call = nullptr;
  Function function = nullptr;       // the kernel of the table, its type forgotten
  std::shared_ptr<const void> task;  // its task, likewise
  Work work;

  void operator()(const Frame& frame) const { call(*this, frame); }
};

// Raises PlanError for an instruction that does not fit its kernel, or has none in this table.
Ready make_ready(const Instruction&, const Table&);

// Whether a kernel may find that the plan cannot go on.
bool may_stop(Kernel);

}  // namespace glassgrad
