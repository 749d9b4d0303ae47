#include "prepare/map.h"

#include <algorithm>
#include <cstdlib>

#include "core/instruction.h"

namespace glassgrad {
namespace {

// Operands beyond the program's inputs are its outputs, in order, of the dtypes it computes.
void take_operands(SpaceRequest& r, const Program& p, const std::vector<const Operand*>& operands) {
  if (operands.size() != static_cast<size_t>(p.inputs + p.outputs))
    throw PlanError("map: other operands than the program has");
  for (size_t i = 0; i < operands.size(); ++i) {
    const Operand& o = *operands[i];
    const int k = static_cast<int>(i) - p.inputs;
    if (k >= 0 && o.dtype != p.dtype[p.output[k]])
      throw PlanError("map: an output of another kind of number than computed");
    if (o.rank != r.rank || !std::equal(o.shape, o.shape + o.rank, r.size))
      throw PlanError("map: an operand has not the shape of the space");
    (k >= 0 ? r.outputs[k] : r.inputs[i]) = &o;
  }
}

// The axes in the order of the memory that is written, so that most of it is done in one sweep.
void order_axes(SpaceRequest& r, int rank) {
  for (int k = 0; k < rank; ++k) r.order[k] = k;
  const Operand* first = r.outputs[0];
  const auto step = [&](int k) { return r.size[k] == 1 ? 0 : std::abs(first->stride[k]); };
  std::stable_sort(r.order, r.order + rank, [&](int a, int b) { return step(a) > step(b); });
}

double flop_of(const Program& p) { return p.steps; }

}  // namespace

MapTask prepare_map(const Instruction& in, Work* work, bool keep) {
  const int64_t* at = in.ints.data();
  const int64_t* end = at + in.ints.size();
  if (at == end || *at < 0 || *at > max_rank || end - at < 1 + *at)
    throw PlanError("map: no space");
  SpaceRequest r{};
  r.rank = static_cast<int>(*at++);
  std::copy(at, at + r.rank, r.size);
  at += r.rank;
  if (at == end || *at < 0 || *at > max_inputs || *at > static_cast<int64_t>(in.operands.size()))
    throw PlanError("map: other operands than the program has");
  DType dtype[max_inputs];
  for (int64_t i = 0; i < *at; ++i) dtype[i] = in.operands[static_cast<size_t>(i)].dtype;
  MapTask t{};
  t.program = read_program(&at, end, static_cast<int>(*at), dtype, keep);
  if (at != end) throw PlanError("map: whole numbers left over");
  if (t.program.outputs == 0) throw PlanError("map: nothing is stored");
  std::vector<const Operand*> operands;
  for (const Operand& o : in.operands) operands.push_back(&o);
  take_operands(r, t.program, operands);
  check_memory(r, t.program);
  order_axes(r, r.rank);
  t.space = make_space(t.program, r);

  const Space& s = t.space;
  t.copies = is_copy(t.program);
  t.across = -1;
  const int last = s.rank - 1;
  if (t.copies && s.place[1].stride[last] == 1 && s.place[0].stride[last] > 1)
    for (int k = 0; k < last; ++k)
      if (s.place[0].stride[k] == 1) t.across = k;
  // Rows of the first axis, where there are some; otherwise pieces of 64.
  const int64_t rows = r.rank > 0 ? r.size[r.order[0]] : 1;
  const bool by_rows = rows >= 16 || t.across >= 0;
  t.per_unit = by_rows ? s.total / std::max<int64_t>(t.across >= 0 ? s.size[0] : rows, 1) : 64;
  t.per_unit = std::max<int64_t>(t.per_unit, 1);
  t.units = (s.total + t.per_unit - 1) / t.per_unit;

  work->units = std::max<int64_t>(t.units, 1);
  work->rows = by_rows && t.across < 0 ? rows : 0;
  work->row_axis.assign(operands.size(), r.rank > 0 ? r.order[0] : -1);
  work->scratch = t.copies ? 0 : s.scratch;
  work->flop = flop_of(t.program) * static_cast<double>(s.total);
  work->bytes = 0;
  for (int i = 0; i < s.inputs + s.outputs; ++i) {
    double numbers = 1;
    for (int k = 0; k < s.rank; ++k)
      if (s.place[i].stride[k] != 0) numbers *= static_cast<double>(s.size[k]);
    work->bytes += numbers * s.place[i].size;
  }
  work->name = t.across >= 0 ? "transpose" : t.copies ? "copy" : "map";
  if (!t.copies) work->name += " of " + std::to_string(t.program.steps) + " steps";
  work->written.clear();
  for (int o = 0; o < s.outputs; ++o) work->written.push_back(s.inputs + o);
  return t;
}

RowsTask prepare_rows(const Operand& product, const Operand* const* inputs,
                      const Operand* const* outputs, const Program& program) {
  if (product.rank < 2) throw PlanError("rows: a product has two axes at least");
  RowsTask t{};
  t.program = program;
  t.rows = product.shape[product.rank - 2];
  t.columns = product.shape[product.rank - 1];
  Operand dense = product;
  dense.slot = -1;
  int64_t step = 1;
  for (int k = dense.rank - 1; k >= 0; --k) {
    dense.stride[k] = step;
    step *= dense.shape[k];
  }
  SpaceRequest r{};
  r.rank = product.rank;
  std::copy(product.shape, product.shape + r.rank, r.size);
  for (int k = 0; k < r.rank; ++k) r.order[k] = k;
  std::vector<const Operand*> operands = {&dense};
  for (int i = 1; i < program.inputs; ++i) operands.push_back(inputs[i - 1]);
  for (int o = 0; o < program.outputs; ++o) operands.push_back(outputs[o]);
  if (program.inputs == 0 || program.dtype[0] != product.dtype)
    throw PlanError("rows: value 0 is not the product");
  take_operands(r, program, operands);
  check_memory(r, program);
  t.space = make_space(program, r);
  return t;
}

}  // namespace glassgrad
