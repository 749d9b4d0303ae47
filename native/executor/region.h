// Where the operands of a plan lie in memory, and which of them cannot meet.
#pragma once

#include "core/instruction.h"

namespace glassgrad {

// An operand in its base, with the way it moves while a loop runs.
struct Region {
  int base = 0;
  int64_t offset = 0;  // of the slot, in bytes
  int loop = -1;
  int64_t step = 0;  // in bytes, for each of `rounds`
  int64_t rounds = 1;
  int64_t first = 0, last = 0;  // of the operand, in bytes from its slot
  Operand operand{};
  bool written = false;
  // Of an operand whose rows are shared out, so that row r is always the same part's: how many, how many
  // bytes from one to the next, and where the first begins and ends, in bytes from the slot.
  int64_t rows = 0;
  int64_t pitch = 0, row_first = 0, row_last = 0;

  int64_t low() const;   // over all rounds, in bytes from the base
  int64_t high() const;
};

// Whether no byte belongs to both: in any round of each (`always`), or in one and the same round.
bool apart(const Region& a, const Region& b, bool always);

// Whether a part that touches bytes of both touches only its own rows of both, in any round of each.
bool same_parts(const Region& a, const Region& b);

// Whether both are the same numbers in the same places.
bool same(const Region& a, const Region& b);

// Whether two places of an operand may be one, as where an axis is stretched.
bool repeats(const Operand&);

}  // namespace glassgrad
