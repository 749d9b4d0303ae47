#include "verify.h"

#include <algorithm>

namespace glassgrad {
namespace {

constexpr int64_t most_bytes = int64_t{1} << 60;
constexpr int64_t most_stride = int64_t{1} << 48;
constexpr int64_t most_rounds = int64_t{1} << 40;

[[noreturn]] void refuse(const std::string& what) { throw PlanError(what); }

std::string text(int64_t number) { return std::to_string(number); }

Operand read_operand(Reader& in, int64_t slots) {
  Operand x{};
  x.slot = static_cast<int32_t>(in.next(0, slots - 1));
  x.dtype = static_cast<DType>(in.next(0, static_cast<int64_t>(DType::b8)));
  x.rank = static_cast<int>(in.next(0, max_rank));
  int64_t count = 1;  // were every empty axis of size 1
  for (int axis = 0; axis < x.rank; ++axis) {
    x.shape[axis] = in.next(0, most_bytes);
    if (__builtin_mul_overflow(count, std::max<int64_t>(x.shape[axis], 1), &count) ||
        count > most_bytes) {
      refuse("an operand of too many numbers");
    }
  }
  for (int axis = 0; axis < x.rank; ++axis) x.stride[axis] = in.next(-most_stride, most_stride);
  return x;
}

}  // namespace

int64_t Reader::next() {
  if (at_ == end_) refuse("the plan ends in the middle of an instruction");
  return *at_++;
}

int64_t Reader::next(int64_t low, int64_t high) {
  const int64_t number = next();
  if (number < low || number > high) {
    refuse("a number of the plan is " + text(number) + ", not from " + text(low) + " to " +
           text(high));
  }
  return number;
}

std::vector<int64_t> Reader::take(int64_t count) {
  if (count > end_ - at_) refuse("the plan ends in the middle of an instruction");
  const int64_t* from = at_;
  at_ += count;
  return {from, at_};
}

std::vector<Base> read_bases(const PlanText& plan) {
  Reader in(plan.bases, 2 * plan.base_count);
  std::vector<Base> bases;
  while (!in.done()) {
    const bool first = bases.empty();
    const int64_t kind = in.next(first ? Base::arena : Base::read, first ? Base::arena : Base::write);
    bases.push_back({kind, in.next(0, most_bytes)});
  }
  if (bases.empty()) refuse("a plan without an arena");
  return bases;
}

std::vector<Slot> read_slots(const PlanText& plan, const std::vector<Base>& bases) {
  Reader in(plan.slots, 4 * plan.slot_count);
  std::vector<Slot> slots;
  if (plan.slot_count > INT32_MAX || bases.size() > INT32_MAX) refuse("too many slots");
  while (!in.done()) {
    Slot slot{};
    slot.base = static_cast<int>(in.next(0, static_cast<int64_t>(bases.size()) - 1));
    slot.offset = in.next(0, bases[static_cast<size_t>(slot.base)].bytes);
    slot.loop = static_cast<int>(in.next(-1, INT32_MAX));
    slot.step = in.next(-most_bytes, most_bytes);
    if (slot.loop < 0) slot.step = 0;
    slots.push_back(slot);
  }
  return slots;
}

Instruction read_instruction(Reader& in, int64_t slots, const PlanText& plan, int64_t* reals_read) {
  Instruction instruction;
  instruction.kernel = static_cast<Kernel>(in.next(0, static_cast<int64_t>(Kernel::count) - 1));
  instruction.split = in.next(0, 1) == 1;
  const int64_t operands = in.next(0, 256), ints = in.next(0, INT32_MAX);
  const int64_t reals = in.next(0, plan.real_count - *reals_read);
  for (int64_t i = 0; i < operands; ++i) instruction.operands.push_back(read_operand(in, slots));
  instruction.ints = in.take(ints);
  instruction.reals.assign(plan.reals + *reals_read, plan.reals + *reals_read + reals);
  *reals_read += reals;
  return instruction;
}

Region place(const Operand& x, const Slot& slot, const Base& base,
             const std::vector<OpenLoop>& loops) {
  Region r;
  r.base = slot.base;
  r.offset = slot.offset;
  r.operand = x;
  x.extent(&r.first, &r.last);
  if (slot.loop >= 0) {
    const auto loop = std::find_if(loops.begin(), loops.end(),
                                   [&](const OpenLoop& l) { return l.number == slot.loop; });
    if (loop == loops.end()) refuse("a slot moves with a loop that is not around");
    r.loop = slot.loop;
    r.step = slot.step;
    r.rounds = std::max<int64_t>(loop->rounds, 1);
  }
  const int64_t size = size_of(x.dtype);
  if (r.offset % size != 0 || r.step % size != 0) refuse("an operand that is not aligned");
  // As 128-bit numbers, in which none of this can overflow.
  const __int128 travel = static_cast<__int128>(r.step) * (r.rounds - 1);
  const __int128 low = static_cast<__int128>(r.offset) + r.first + std::min<__int128>(travel, 0);
  const __int128 high = static_cast<__int128>(r.offset) + r.last + std::max<__int128>(travel, 0);
  if (low < 0 || high > base.bytes) {
    refuse("an operand lies outside its base of " + text(base.bytes) + " bytes");
  }
  return r;
}

void verify_operands(const std::vector<Region>& regions, const std::vector<Base>& bases) {
  for (size_t i = 0; i < regions.size(); ++i) {
    const Region& written = regions[i];
    if (!written.written) continue;
    if (bases[static_cast<size_t>(written.base)].kind == Base::read) {
      refuse("operand " + std::to_string(i) + " is written, but its base is only read");
    }
    if (repeats(written.operand)) refuse("an operand that is written twice in the same place");
    for (size_t k = 0; k < regions.size(); ++k) {
      if (k == i || (regions[k].written && k < i)) continue;
      const bool allowed = !regions[k].written && same(written, regions[k]);
      if (!allowed && !apart(written, regions[k], false)) {
        refuse("operand " + std::to_string(i) + " is written over operand " + std::to_string(k));
      }
    }
  }
}

}  // namespace glassgrad
