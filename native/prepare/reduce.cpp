#include "prepare/reduce.h"

#include <algorithm>
#include <limits>

#include "core/instruction.h"

namespace glassgrad {
namespace {

[[noreturn]] void refuse(const char* what) { throw PlanError(std::string("reduce: ") + what); }

int64_t product(const SpaceRequest& r, const std::vector<int>& axes) {
  int64_t n = 1;
  for (int a : axes) n *= r.size[a];
  return n;
}

DType result_of(Reduction kind, DType t) {
  const bool truth = kind == Reduction::any || kind == Reduction::all;
  if (truth != (t == DType::b8)) refuse("a kind of number that it has not");
  const bool narrow = t == DType::u32 || t == DType::u8;
  return narrow && (kind == Reduction::sum || kind == Reduction::prod) ? DType::i64 : t;
}

// The program with its result as another kind of number.
void widen(Program& p, DType to) {
  const int from = p.output[0];
  if (p.dtype[from] == to) return;
  if (p.steps == max_steps) refuse("too many instructions");
  const int made = p.values();
  p.dtype[made] = to;
  p.step[p.steps++] = {static_cast<uint16_t>(cast_function(p.dtype[from], to)),
                       static_cast<uint8_t>(made), static_cast<uint8_t>(from), 0, 0, 0};
  p.output[0] = static_cast<uint8_t>(made);
}

}  // namespace

ReduceTask prepare_reduce(const Instruction& in, Work* work, bool keep) {
  const int64_t* at = in.ints.data();
  const int64_t* end = at + in.ints.size();
  const auto next = [&](int64_t low, int64_t high) {
    if (at == end || *at < low || *at > high) refuse("a whole number that is missing or too large");
    return *at++;
  };
  ReduceTask t{};
  t.kind = static_cast<Reduction>(next(0, static_cast<int64_t>(Reduction::count) - 1));
  SpaceRequest r{};
  r.rank = static_cast<int>(next(0, max_rank));
  for (int k = 0; k < r.rank; ++k) r.size[k] = next(0, std::numeric_limits<int64_t>::max());
  bool reduced[max_rank] = {};
  for (int64_t n = next(0, r.rank); n > 0; --n) {
    bool& gone = reduced[next(0, r.rank - 1)];
    if (gone) refuse("an axis given twice");
    gone = true;
  }
  if (in.operands.empty()) refuse("no result");
  const int inputs = static_cast<int>(in.operands.size()) - 1;
  if (inputs > max_inputs) refuse("too many inputs");
  DType dtype[max_inputs];
  for (int i = 0; i < inputs; ++i) {
    const Operand& o = in.operands[static_cast<size_t>(i)];
    if (o.rank != r.rank || !std::equal(o.shape, o.shape + r.rank, r.size))
      refuse("an operand has not the shape of the space");
    dtype[i] = o.dtype;
    r.inputs[i] = &o;
  }
  t.program = read_program(&at, end, inputs, dtype, keep);
  if (at != end) refuse("whole numbers left over");
  if (t.program.outputs != 1) refuse("a program has one output here");
  t.dtype = result_of(t.kind, t.program.dtype[t.program.output[0]]);
  widen(t.program, t.dtype);
  r.outputs[0] = nullptr;

  if (in.reals.size() > 1) refuse("more than a divisor");
  t.divisor = in.reals.empty() ? 1 : in.reals[0];
  if (t.divisor != 1 && t.dtype != DType::f32 && t.dtype != DType::f64)
    refuse("a divisor of whole numbers");

  const Operand& result = in.operands.back();
  if (result.rank != r.rank || result.dtype != t.dtype) refuse("a result of another kind");
  for (int k = 0; k < r.rank; ++k)
    if (result.shape[k] != (reduced[k] ? 1 : r.size[k])) refuse("a result of another shape");
  for (int i = 0; i < inputs; ++i)
    if (r.inputs[i]->slot == result.slot) refuse("the result overlaps an input");
  t.result = result.slot;
  std::vector<int> kept, gone, last;  // axes; `last`: those of one kind that end the shape
  for (int k = 0; k < r.rank; ++k) {
    if (r.size[k] == 1) continue;
    (reduced[k] ? gone : kept).push_back(k);
    if (!last.empty() && reduced[last[0]] != reduced[k]) last.clear();
    last.push_back(k);
    if (reduced[k]) continue;
    t.result_size[t.result_rank] = r.size[k];
    t.result_stride[t.result_rank++] = result.stride[k];
  }
  t.columns = !last.empty() && !reduced[last[0]];
  if (t.kind == Reduction::max || t.kind == Reduction::min)
    if (product(r, kept) > 0 && product(r, gone) == 0) refuse("no numbers to choose from");

  // The axes as the kernel wants them.
  std::vector<int> order = kept;
  if (t.columns) order.resize(kept.size() - last.size());
  t.outer = product(r, order);
  order.insert(order.end(), gone.begin(), gone.end());
  t.length = last.empty() ? 1 : product(r, last);
  t.rows = product(r, gone);
  if (!t.columns) t.rows /= std::max<int64_t>(t.length, 1);
  t.results = product(r, kept);
  if (t.columns) order.insert(order.end(), last.begin(), last.end());
  r.rank = static_cast<int>(order.size());
  std::copy(order.begin(), order.end(), r.order);
  r.whole = chunk;
  t.space = make_space(t.program, r);
  if (t.space.row > 0 && t.length > 0 && t.space.row % t.length != 0) {
    r.rows_from = std::numeric_limits<int64_t>::max();
    t.space = make_space(t.program, r);
  }

  // Without a program the numbers may be taken from where they are.
  const Program& p = t.program;
  const Space& s = t.space;
  const bool plain = is_copy(p);
  if (plain && s.total > 0) {
    const Place& x = s.place[0];
    if (!t.columns) {
      t.in_place = x.access == Access::flat;
    } else if (x.access == Access::flat) {
      t.in_place = true;
      t.row_step = t.length;
    } else if (s.rank >= 2 && x.stride[s.rank - 1] == 1 && s.size[s.rank - 1] == t.length &&
               s.size[s.rank - 2] % t.rows == 0) {
      t.in_place = true;
      t.row_step = x.stride[s.rank - 2];
    }
  }
  // One number for all, or for each row, is spread by the copy that the program is.
  const bool spread = plain && s.total > 0 && (s.place[0].access == Access::scalar ||
                                               s.place[0].access == Access::row_scalar);
  if (plain && !spread) {
    t.program.steps = 0;
    t.program.output[0] = 0;
  }

  t.over_columns = t.columns && t.outer == 1 && (t.in_place || t.length >= 128);
  t.units = t.over_columns ? (t.length + lanes - 1) / lanes : std::max<int64_t>(t.outer, 1);
  int64_t levels = 2;
  while ((int64_t{1} << (levels - 2)) * chunk_rows < t.rows) ++levels;
  t.scratch_at = s.scratch;

  work->units = t.units;
  const int64_t width = t.columns ? (t.length + lanes) / lanes * lanes : 0;
  work->scratch = s.scratch + levels * width * size_of(t.dtype);
  work->flop = static_cast<double>(s.total) * (p.steps + 1);
  work->bytes = 0;
  for (int i = 0; i < s.inputs; ++i) {
    double numbers = 1;
    for (int k = 0; k < s.rank; ++k)
      if (s.place[i].stride[k] != 0) numbers *= static_cast<double>(s.size[k]);
    work->bytes += numbers * s.place[i].size;
  }
  work->bytes += static_cast<double>(t.results * size_of(t.dtype));
  work->name = t.columns ? "reduce columns" : "reduce rows";
  work->written = {inputs};
  return t;
}

}  // namespace glassgrad
