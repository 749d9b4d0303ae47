#include "plan.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "verify.h"

namespace glassgrad {
namespace {

// Rough rates of one core: only for the choice between one thread and all.
constexpr double flop_rate = 40e9, byte_rate = 10e9, per_instruction = 30e-9;
constexpr double worth_threads = 60e-6;  // seconds of a run
constexpr double worth_sharing = 2e-6;   // of an instruction

double estimate(const Work& work) {
  return std::max(work.flop / flop_rate, work.bytes / byte_rate) + per_instruction;
}

// The first slot of each place: families see at a glance which operands are the same memory.
std::vector<int32_t> first_slots(const std::vector<Slot>& slots) {
  std::map<std::tuple<int, int64_t, int, int64_t>, int32_t> seen;
  std::vector<int32_t> first;
  for (const Slot& s : slots) {
    const auto here = static_cast<int32_t>(first.size());
    first.push_back(seen.emplace(std::tuple(s.base, s.offset, s.loop, s.step), here).first->second);
  }
  return first;
}

// Rows that are shared out alike are always the same part's.
void set_rows(Region* region, const Work& work, size_t operand) {
  if (work.rows == 0 || operand >= work.row_axis.size() || work.row_axis[operand] < 0) return;
  Operand row = region->operand;
  const auto axis = static_cast<size_t>(work.row_axis[operand]);
  const int64_t stride = row.stride[axis];
  if (row.shape[axis] != work.rows || (stride <= 0 && work.rows > 1)) return;
  row.shape[axis] = 1;
  region->rows = work.rows;
  region->pitch = stride * size_of(row.dtype);
  row.extent(&region->row_first, &region->row_last);
}

// What has been touched since the parts last met.
class Unmet {
 public:
  // Whether the parts must meet before this instruction.
  bool conflicts(const std::vector<Region>& regions, bool split) const {
    for (const auto& [touched, was_split] : touched_) {
      if (!split && !was_split) continue;  // part 0 runs both
      for (const Region& region : regions) {
        if (!region.written && !touched.written) continue;
        if (split && was_split && same_parts(region, touched)) continue;
        if (!apart(region, touched, true)) return true;
      }
    }
    return false;
  }
  void touch(const std::vector<Region>& regions, bool split) {
    for (const Region& region : regions) touched_.emplace_back(region, split);
  }
  void meet() { touched_.clear(); }

 private:
  std::vector<std::pair<Region, bool>> touched_;
};

// Where the parts must meet.
struct Meetings {
  std::vector<Step>& steps;
  const std::vector<std::vector<Region>>& regions;
  bool careful;
  Unmet unmet;
  int shared = 0;  // steps that became so here

  void arrange(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      Step& step = steps[i];
      if (step.kernel == Kernel::loop) {
        // Again, for a round touches what the one before it touched, until no more becomes shared.
        const auto after = static_cast<size_t>(step.end);
        arrange(i + 1, after);
        for (int before = -1; before != shared;) {
          before = shared;
          arrange(i + 1, after);
        }
        i = after - 1;
        continue;
      }
      // Too little to share out for its own sake, but to have rows where they are spares a meeting.
      if (step.sharable && !step.split && unmet.conflicts(regions[i], false)) {
        step.split = !unmet.conflicts(regions[i], true);
        shared += step.split;
      }
      if (!step.meet) step.meet = careful || unmet.conflicts(regions[i], step.split);
      if (step.meet) unmet.meet();
      if (step.checked) {
        unmet.meet();  // the parts agree on whether to go on
      } else {
        unmet.touch(regions[i], step.split);
      }
    }
  }
};

}  // namespace

Plan::Plan(const PlanText& text, const Table& chosen, bool careful)
    : table(chosen), bases(read_bases(text)), slots(read_slots(text, bases)) {
  const std::vector<int32_t> first = first_slots(slots);
  slots_of.resize(bases.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    slots_of[static_cast<size_t>(slots[i].base)].push_back(static_cast<int>(i));
  }
  std::vector<std::vector<Region>> regions;  // by step
  std::vector<OpenLoop> loops;
  std::map<int, bool> numbers;
  const auto add_moved = [this](int slot, int loop, const std::vector<OpenLoop>& open) {
    for (const OpenLoop& l : open) {
      std::vector<int>& moved = steps[l.step].moved;
      if (l.number != loop || std::find(moved.begin(), moved.end(), slot) != moved.end()) continue;
      moved.push_back(slot);
    }
  };
  int64_t reals_read = 0;
  for (Reader in(text.code, text.code_count); !in.done();) {
    Instruction instruction =
        read_instruction(in, static_cast<int64_t>(slots.size()), text, &reals_read);
    Step step{};
    step.kernel = instruction.kernel;
    for (OpenLoop& loop : loops) --loop.left;
    double times = 1;
    for (const OpenLoop& loop : loops) times *= static_cast<double>(loop.rounds);
    step.times = times < 9e18 ? static_cast<int64_t>(times) : INT64_MAX;
    std::vector<Region> touched;
    if (step.kernel == Kernel::loop) {
      if (!instruction.operands.empty() || instruction.ints.size() != 4) {
        throw PlanError("a loop has four numbers and no operands");
      }
      const int64_t number = instruction.ints[0], rounds = instruction.ints[1];
      const int64_t reverse = instruction.ints[2], body = instruction.ints[3];
      if (number < 0 || number > INT32_MAX || !numbers.emplace(static_cast<int>(number), true).second) {
        throw PlanError("a loop without a number of its own");
      }
      if (rounds < 0 || rounds > (int64_t{1} << 40) || (reverse != 0 && reverse != 1) || body < 0 ||
          body > INT32_MAX || loops.size() >= 16) {
        throw PlanError("a loop that does not hold together");
      }
      for (const OpenLoop& loop : loops) {
        if (body > loop.left) throw PlanError("a loop reaches beyond the loop around it");
      }
      step.rounds = rounds;
      step.reverse = reverse == 1;
      step.end = static_cast<int64_t>(steps.size()) + 1 + body;
      loops.push_back({static_cast<int>(number), rounds, steps.size(), body});
    } else {
      for (Operand& x : instruction.operands) {
        x.slot = first[static_cast<size_t>(x.slot)];
        const Slot& slot = slots[static_cast<size_t>(x.slot)];
        Base& base = bases[static_cast<size_t>(slot.base)];
        touched.push_back(place(x, slot, base, loops));
        if (slot.loop >= 0) add_moved(x.slot, slot.loop, loops);
        base.alignment = std::max(base.alignment, size_of(x.dtype));
      }
      step.ready = make_ready(instruction, table);
      const Work& work = step.ready.work;
      for (const int i : work.written) touched.at(static_cast<size_t>(i)).written = true;
      verify_operands(touched, bases);
      for (size_t i = 0; i < touched.size(); ++i) set_rows(&touched[i], work, i);
      step.sharable = instruction.split && work.units > 1;
      step.split = step.sharable && estimate(work) >= worth_sharing;
      step.checked = may_stop(step.kernel);
      divided_ = divided_ || step.split;
      seconds += estimate(work) * times;
      scratch = std::max(scratch, work.scratch);
    }
    steps.push_back(std::move(step));
    regions.push_back(std::move(touched));
    while (!loops.empty() && loops.back().left == 0) loops.pop_back();
  }
  if (!loops.empty()) throw PlanError("the plan ends in the middle of a loop");
  if (reals_read != text.real_count) throw PlanError("reals that no instruction reads");

  Meetings meetings{steps, regions, careful, {}, 0};
  meetings.arrange(0, steps.size());
  arena_ = make_arena(bases[0].bytes);
  prepare_parts(1);
}

int Plan::worth_parts(int threads) const {
  return divided_ && seconds >= worth_threads ? threads : 1;
}

void Plan::prepare_parts(int parts) {
  while (static_cast<int>(parts_.size()) < parts) {
    auto made = std::make_unique<Part>();
    made->slots.assign(slots.size(), nullptr);
    made->scratch = make_arena(scratch);
    parts_.push_back(std::move(made));
  }
}

}  // namespace glassgrad
