#include "space.h"

#include <algorithm>
#include <cstdlib>

#include "core/instruction.h"

namespace glassgrad {
namespace {

constexpr int64_t first_cache = 24 * 1024;  // bytes that a block's numbers may take

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

struct Axes {
  int rank = 0;
  int64_t size[max_rank];
  int64_t stride[max_operands][max_rank];
};

// Axes of size 1 go, and neighbours that every operand crosses in even steps become one.
Axes collapse(const Program& p, const SpaceRequest& r) {
  Axes a;
  const int operands = p.inputs + p.outputs;
  const auto operand = [&](int i) { return i < p.inputs ? r.inputs[i] : r.outputs[i - p.inputs]; };
  for (int k = 0; k < r.rank; ++k) {
    const int axis = r.order[k];
    const int64_t size = r.size[axis];
    if (size == 1) continue;
    const auto stride = [&](int i) { return operand(i) ? operand(i)->stride[axis] : 0; };
    bool joins = a.rank > 0;
    for (int i = 0; i < operands && joins; ++i)
      joins = !operand(i) || a.stride[i][a.rank - 1] == stride(i) * size;
    if (!joins) a.size[a.rank++] = 1;
    a.size[a.rank - 1] *= size;
    for (int i = 0; i < operands; ++i) a.stride[i][a.rank - 1] = stride(i);
  }
  if (a.rank == 0) {
    a.rank = 1;
    a.size[0] = 1;
    for (int i = 0; i < operands; ++i) a.stride[i][0] = 0;
  }
  return a;
}

bool is_flat(const Axes& a, int operand) {
  int64_t step = 1;
  for (int k = a.rank - 1; k >= 0; --k) {
    if (a.stride[operand][k] != step && a.size[k] > 1) return false;
    step *= a.size[k];
  }
  return true;
}

bool is_scalar(const Axes& a, int operand) {
  return std::all_of(a.stride[operand], a.stride[operand] + a.rank, [](int64_t s) { return s == 0; });
}

// After how many numbers an operand repeats, where it does: the axes before are crossed in steps of 0.
int64_t period_of(const Axes& a, int operand) {
  int k = 0;
  while (a.stride[operand][k] == 0) ++k;
  int64_t period = 1;
  for (int j = k; j < a.rank; ++j) period *= a.size[j];
  return k == 0 ? 0 : period;
}

void choose_access(Space& s, const Axes& a, bool has_memory[], int64_t most) {
  const int operands = s.inputs + s.outputs;
  bool apart = false;  // something lies otherwise than the space
  for (int i = 0; i < operands; ++i) {
    Place& place = s.place[i];
    const bool input = i < s.inputs;
    place.period = 0;
    if (!has_memory[i]) place.access = Access::strided;
    else if (input && is_scalar(a, i)) place.access = Access::scalar;
    else if (is_flat(a, i)) place.access = Access::flat;
    else place.access = Access::strided, apart = true;
  }
  const int64_t row = a.size[a.rank - 1];
  const bool by_rows = apart && a.rank > 1 && row >= s.row;
  s.row = by_rows ? row : 0;
  s.block = std::min(most, by_rows ? row : std::max<int64_t>(s.total, 1));
  for (int i = 0; i < operands; ++i) {
    Place& place = s.place[i];
    if (place.access != Access::strided || !has_memory[i]) continue;
    const int64_t inner = a.stride[i][a.rank - 1];
    if (by_rows && inner == 1) place.access = Access::row;
    else if (by_rows && inner == 0 && i < s.inputs) place.access = Access::row_scalar;
    else if (!by_rows && i < s.inputs) {
      const int64_t period = period_of(a, i);
      if (period == 0 || period > most / 2) continue;
      place.access = Access::periodic;
      place.period = period;
    }
  }
}

// Blocks in scratch, given out and given back in the order of the steps.
class Blocks {
 public:
  Blocks(int64_t from, int64_t bytes) : from_(from), bytes_(bytes) {}
  int32_t take() {
    if (!free_.empty()) {
      const int32_t at = free_.back();
      free_.pop_back();
      return at;
    }
    return static_cast<int32_t>(from_ + bytes_ * count_++);
  }
  void give(int32_t at) { free_.push_back(at); }
  int64_t end() const { return from_ + bytes_ * count_; }

 private:
  int64_t from_, bytes_, count_ = 0;
  std::vector<int32_t> free_;
};

// Where the results of steps live. An output is computed in place unless its memory is that of an input
// which a later step still needs.
void give_homes(Space& s, const Program& p, bool has_memory[]) {
  std::vector<int> last_use(max_values, -1);
  for (int k = 0; k < p.steps; ++k)
    for (const uint8_t v : {p.step[k].a, p.step[k].b, p.step[k].c, p.step[k].d}) last_use[v] = k;
  int64_t scratch = 0;
  int64_t widest = 1;
  for (int v = 0; v < p.values(); ++v) widest = std::max(widest, size_of(p.dtype[v]));
  for (int i = 0; i < s.inputs; ++i) {
    Place& place = s.place[i];
    const bool splat = place.access == Access::scalar || place.access == Access::row_scalar;
    if (!splat && place.access != Access::periodic) continue;
    place.base = static_cast<int32_t>(scratch);
    // A block may begin anywhere in the period.
    scratch += splat ? splat_bytes
                     : round_up(round_up(s.block + place.period, lanes) * place.size, 64);
  }
  Blocks blocks(scratch, round_up(round_up(s.block, lanes) * widest, 64));
  for (int i = 0; i < s.inputs; ++i) {
    Place& place = s.place[i];
    if (place.access == Access::strided) place.base = blocks.take();
  }
  std::fill(s.home, s.home + max_values, -1);
  for (int o = 0; o < s.outputs; ++o) {
    Place& place = s.place[s.inputs + o];
    const int made = place.value - p.first_result();
    for (int i = 0; i < s.inputs && has_memory[s.inputs + o]; ++i)
      // (What has no slot is a product, which may be computed where the output will be.)
      if ((s.place[i].slot == place.slot || s.place[i].slot < 0) &&
          last_use[s.place[i].value] > made)
        place.access = Access::strided;
    if (place.access == Access::strided) last_use[place.value] = p.steps;
  }
  const auto in_place = [&](int v) {
    for (int o = 0; o < s.outputs; ++o) {
      const Place& place = s.place[s.inputs + o];
      if (place.value == v) return place.access != Access::strided;
    }
    return false;
  };
  for (int k = 0; k < p.steps; ++k) {
    const Step& step = p.step[k];
    const int result = step.out;
    // A block is given back before the result takes one: number by number, both may be the same,
    // unless their numbers are of different sizes.
    std::vector<int32_t> later;
    for (int v = p.first_result(); v < result; ++v) {
      if (last_use[static_cast<size_t>(v)] != k || s.home[v] < 0) continue;
      if (size_of(p.dtype[v]) == size_of(p.dtype[result])) blocks.give(s.home[v]);
      else later.push_back(s.home[v]);
    }
    if (!in_place(result)) s.home[result] = blocks.take();
    for (int32_t at : later) blocks.give(at);
  }
  for (int o = 0; o < s.outputs; ++o) {
    Place& place = s.place[s.inputs + o];
    if (place.access == Access::strided) place.base = s.home[place.value];
  }
  s.scratch = round_up(blocks.end(), 64);
}

// Bytes of the first cache that a block of the space takes: its own blocks, and what is in place.
int64_t footprint(const Space& s) {
  int64_t bytes = s.scratch;
  for (int i = 0; i < s.inputs + s.outputs; ++i)
    if (s.place[i].access == Access::flat || s.place[i].access == Access::row)
      bytes += s.block * s.place[i].size;
  return bytes;
}

}  // namespace

Space make_space(const Program& p, const SpaceRequest& r) {
  const Axes a = collapse(p, r);
  Space s{};
  s.rank = a.rank;
  s.total = 1;
  for (int k = 0; k < a.rank; ++k) s.total *= s.size[k] = a.size[k];
  s.inputs = p.inputs;
  s.outputs = p.outputs;
  bool has_memory[max_operands];
  for (int i = 0; i < p.inputs + p.outputs; ++i) {
    Place& place = s.place[i];
    const Operand* given = i < p.inputs ? r.inputs[i] : r.outputs[i - p.inputs];
    has_memory[i] = given != nullptr;
    place.slot = given ? given->slot : -1;
    place.value = static_cast<uint8_t>(i < p.inputs ? i : p.output[i - p.inputs]);
    place.size = static_cast<uint8_t>(size_of(p.dtype[place.value]));
    std::copy(a.stride[i], a.stride[i] + a.rank, place.stride);
  }
  for (int64_t most = 1024;; most /= 2) {
    s.row = r.rows_from;
    choose_access(s, a, has_memory, most / r.whole * r.whole);
    give_homes(s, p, has_memory);
    if (footprint(s) <= first_cache || most / 2 < std::max<int64_t>(128, r.whole)) return s;
  }
}

void check_memory(const SpaceRequest& r, const Program& p) {
  for (int o = 0; o < p.outputs; ++o) {
    const Operand& out = *r.outputs[o];
    std::vector<std::pair<int64_t, int64_t>> steps;  // stride, size
    int64_t total = 1;
    for (int k = 0; k < out.rank; ++k) {
      total *= out.shape[k];
      if (out.shape[k] > 1) steps.push_back({std::abs(out.stride[k]), out.shape[k]});
    }
    if (total == 0) continue;
    std::sort(steps.begin(), steps.end());
    int64_t reach = 1;
    for (const auto& [stride, size] : steps) {
      if (stride < reach) throw PlanError("an output overlaps itself");
      reach = stride * (size - 1) + reach;
    }
    for (int other = 0; other < o; ++other)
      if (r.outputs[other]->slot == out.slot) throw PlanError("two outputs share memory");
    for (int i = 0; i < p.inputs; ++i) {
      const Operand& in = *r.inputs[i];
      if (in.slot != out.slot) continue;
      bool same = size_of(in.dtype) == size_of(out.dtype);
      for (int k = 0; k < out.rank; ++k)
        same = same && (out.shape[k] == 1 || in.stride[k] == out.stride[k]);
      if (!same) throw PlanError("an output overlaps an input other than number by number");
    }
  }
}

}  // namespace glassgrad
