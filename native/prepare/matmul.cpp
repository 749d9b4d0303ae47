#include "prepare/matmul.h"

#include <algorithm>

#include "core/instruction.h"

namespace glassgrad {

namespace {

void need(bool holds, const char* what) {
  if (!holds) throw PlanError(std::string("matmul: ") + what);
}

// The program of an instruction, as whole numbers. Values: the product, further inputs, constants, then
// one for each step.
struct Text {
  struct Constant {
    int64_t dtype, bits;
  };
  struct Step {
    int64_t operation, dtype, a[3];
  };
  int64_t inputs = 1;
  std::vector<Constant> constants;
  std::vector<Step> steps;
  std::vector<int64_t> outputs = {0};

  Text(const int64_t* at, const int64_t* end) {
    if (at == end) return;  // nothing but the product
    need(end - at >= 4, "a program is cut off");
    inputs = *at++;
    const int64_t count[3] = {at[0], at[1], at[2]};
    at += 3;
    const int64_t left = end - at;
    for (int64_t c : count) need(c >= 0 && c <= left, "a program is cut off");
    need(inputs >= 1 && 2 * count[0] + 5 * count[1] + count[2] == left,
         "a program has not the length it says");
    constants.resize(static_cast<size_t>(count[0]));
    steps.resize(static_cast<size_t>(count[1]));
    for (Constant& c : constants) {
      c = {at[0], at[1]};
      at += 2;
    }
    for (Step& s : steps) {
      s = {at[0], at[1], {at[2], at[3], at[4]}};
      at += 5;
    }
    outputs.assign(at, end);
    need(!outputs.empty() || steps.empty(), "nothing is stored");
    if (outputs.empty()) outputs = {0};
  }

  int64_t first_step() const { return inputs + static_cast<int64_t>(constants.size()); }

  int uses(int64_t value) const {
    int found = static_cast<int>(std::count(outputs.begin(), outputs.end(), value));
    for (const Step& s : steps) found += static_cast<int>(std::count(s.a, s.a + 3, value));
    return found;
  }

  // The first step becomes part of the product: what it gave is value 0 now.
  void take_first() {
    const int64_t gone = first_step();
    const auto moved = [&](int64_t v) { return v == gone ? 0 : v > gone ? v - 1 : v; };
    steps.erase(steps.begin());
    for (Step& s : steps)
      for (int64_t& v : s.a) v = moved(v);
    for (int64_t& v : outputs) v = moved(v);
  }

  // An input that nothing needs is not looked at.
  void drop_input(int64_t gone) {
    --inputs;
    const auto moved = [&](int64_t v) { return v > gone ? v - 1 : v; };
    for (Step& s : steps)
      for (int64_t& v : s.a) v = moved(v);
    for (int64_t& v : outputs) v = moved(v);
  }

  std::vector<int64_t> numbers() const {
    std::vector<int64_t> found = {inputs, static_cast<int64_t>(constants.size()),
                                  static_cast<int64_t>(steps.size()), static_cast<int64_t>(outputs.size())};
    for (const Constant& c : constants) found.insert(found.end(), {c.dtype, c.bits});
    for (const Step& s : steps)
      found.insert(found.end(), {s.operation, s.dtype, s.a[0], s.a[1], s.a[2]});
    found.insert(found.end(), outputs.begin(), outputs.end());
    return found;
  }

  // Whether the first step is this operation of the product, which nothing else needs, and then with
  // which value.
  bool begins_with(Operation f, DType t, int64_t* other) const {
    if (steps.empty() || uses(0) != 1) return false;
    const Step& s = steps[0];
    if (s.operation != static_cast<int64_t>(f) || s.dtype != static_cast<int64_t>(t)) return false;
    if (s.a[0] != 0 && s.a[1] != 0) return false;
    *other = s.a[0] == 0 ? s.a[1] : s.a[0];
    return *other >= 0 && *other < first_step();
  }

  // Whether the first two steps are the product times (x > 0), where x is a further input: which.
  bool begins_with_gate(DType t, int64_t* x) const {
    if (steps.size() < 2 || uses(0) != 1 || uses(first_step()) != 1) return false;
    const Step &ask = steps[0], &times = steps[1];
    const auto type = static_cast<int64_t>(t);
    if (ask.operation != static_cast<int64_t>(Operation::greater) || ask.dtype != type) return false;
    if (times.operation != static_cast<int64_t>(Operation::multiply) || times.dtype != type) return false;
    if (times.a[0] != 0 || times.a[1] != first_step() || !is_zero(ask.a[1], t)) return false;
    *x = ask.a[0];
    return *x > 0 && *x < inputs;
  }

  bool is_zero(int64_t value, DType t) const {
    if (value < inputs) return false;
    const Constant& c = constants[static_cast<size_t>(value - inputs)];
    return c.dtype == static_cast<int64_t>(t) && c.bits == 0;
  }
};

void check(const Operand& o, const Operand& product) {
  need(o.rank == product.rank, "an operand has another rank than the product");
  for (int i = 0; i < o.rank; ++i)
    need(o.shape[i] == product.shape[i], "an operand has not the shape of the product");
}

// One number for each column, the same for all rows and batches, and the columns are neighbours.
bool is_bias(const Operand& o, DType t) {
  if (o.dtype != t) return false;
  for (int i = 0; i < o.rank - 1; ++i)
    if (o.stride[i] != 0 && o.shape[i] > 1) return false;
  return o.stride[o.rank - 1] == 1 || o.shape[o.rank - 1] <= 1;
}

// As it lies in a product that is one matrix: its columns are neighbours.
bool is_rows(const Operand& o, DType t) {
  if (o.dtype != t || o.rank < 2) return false;
  for (int i = 0; i < o.rank - 2; ++i)
    if (o.shape[i] != 1) return false;
  return o.stride[o.rank - 1] == 1 || o.shape[o.rank - 1] == 1;
}

// Batches that lie one behind the other are one axis; where they all use the same b, more rows of a.
void collapse(MatmulTask* t) {
  int kept = 0;
  for (int i = 0; i < t->batch_rank; ++i) {
    if (t->batch_size[i] == 1) continue;
    const int64_t size = t->batch_size[i];
    const int j = kept - 1;
    if (kept > 0 && t->a_batch[j] == size * t->a_batch[i] && t->b_batch[j] == size * t->b_batch[i] &&
        t->c_batch[j] == size * t->c_batch[i]) {
      t->batch_size[j] *= size;
      t->a_batch[j] = t->a_batch[i];
      t->b_batch[j] = t->b_batch[i];
      t->c_batch[j] = t->c_batch[i];
      continue;
    }
    t->batch_size[kept] = size;
    t->a_batch[kept] = t->a_batch[i];
    t->b_batch[kept] = t->b_batch[i];
    t->c_batch[kept] = t->c_batch[i];
    ++kept;
  }
  t->batch_rank = kept;
  if (kept == 0) return;
  const int last = kept - 1;
  if (t->b_batch[last] != 0) return;
  if (t->m == 1) {  // a row each: rows of whatever stride
    t->a_row = t->a_batch[last];
    t->c_row = t->c_batch[last];
  } else if (t->a_batch[last] != t->m * t->a_row || t->c_batch[last] != t->m * t->c_row) {
    return;
  }
  t->m *= t->batch_size[last];
  --t->batch_rank;
}

void turn(MatmulTask* t) {
  t->turned = true;
  std::swap(t->m, t->n);
  std::swap(t->a_slot, t->b_slot);
  std::swap(t->a_row, t->b_column);
  std::swap(t->a_column, t->b_row);
  std::swap(t->c_row, t->c_column);
  std::swap(t->bias_row, t->bias_column);
  for (int i = 0; i < t->batch_rank; ++i) std::swap(t->a_batch[i], t->b_batch[i]);
}

// `few`: the sum of an output is long and there are few of them.
void choose(MatmulTask* t, bool few) {
  const int64_t size = size_of(t->dtype);
  const int64_t quad = 16 / size;
  t->product = Product::plain;
  if (t->m * t->n * t->k == 0) return;
  const bool b_across = t->b_column == 1 || t->n == 1;
  const bool a_across = t->a_row == 1 || t->m == 1;
  if (few) {
    t->product = Product::lanes;
    const bool along = (t->a_column == 1 && t->b_row == 1);
    if (!along && t->m > 1 && a_across && (!b_across || t->m > t->n)) turn(t);
    return;
  }
  // Few columns would leave lanes empty: then the lanes are rows, if those are where they can be read.
  const int64_t low = 2 * quad;  // numbers in a vector of 32 bytes
  if (a_across && t->m > t->n && t->m >= low &&
      (t->n < low || (t->n % low != 0 && t->n < 2 * low && t->k >= 16)))
    return turn(t);
  if (t->m < low && t->n >= low && !b_across && t->b_row == 1 && t->k >= quad) {
    t->product = Product::narrow;
    return turn(t);
  }
  if (t->n < low && t->m >= low && t->a_column == 1 && t->k >= quad && !(b_across && t->n > quad)) {
    t->product = Product::narrow;
    return;
  }
  const int64_t b_bytes = t->k * t->n * size;
  if (!b_across || (t->m >= 48 && b_bytes > 16 * 1024)) {
    t->product = Product::packed;
    t->pack_a = t->n >= 256 && t->m >= 16;
  }
}

// The update of a layer by the gradient of one sample: w - rate * (column row), in place of w. `further` are
// the epilogue's inputs but for the product.
void find_update(MatmulTask* t, const std::vector<const Operand*>& further, const Operand& out) {
  const Program& p = t->rest.program;
  if (t->product != Product::plain || t->turned || t->k != 1 || t->batches != 1 || t->b_column != 1) return;
  if (t->stored || t->bias_slot >= 0 || t->relu || t->gated || p.steps != 1 || p.outputs != 1 || p.inputs != 3) return;
  const Step& s = p.step[0];
  if (s.function != pair_function(First::multiply, Second::subtract_from, t->dtype)) return;
  const int by = s.a == 0 ? s.b : s.a;
  if ((s.a != 0 && s.b != 0) || by == 0 || by > 2 || s.c == 0 || s.c > 2 || s.c == by) return;
  const Operand& w = *further[static_cast<size_t>(s.c) - 1];
  if (t->rest.space.place[by].access != Access::scalar || w.slot != out.slot || out.stride[out.rank - 1] != 1) return;
  t->updates = true;
  t->update = {out.slot, further[static_cast<size_t>(by) - 1]->slot, out.stride[out.rank - 2]};
}

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

}  // namespace

namespace {

MatmulTask prepare_product(const Instruction& in, Work* work, bool may_gate) {
  need(!in.ints.empty() && in.operands.size() >= 3, "too few operands");
  const int64_t rank = in.ints[0];
  need(rank >= 0 && rank + 2 <= max_rank, "too many axes");
  const Operand& a = in.operands[0];
  const Operand& b = in.operands[1];
  need(a.rank == rank + 2 && b.rank == rank + 2, "an operand has another rank than the product");
  need(a.dtype == DType::f32 || a.dtype == DType::f64, "numbers that are not real");
  need(a.dtype == b.dtype, "two kinds of numbers");

  Text text(in.ints.data() + 1, in.ints.data() + in.ints.size());
  const size_t inputs = static_cast<size_t>(text.inputs) + 1;  // operands before the outputs
  need(in.operands.size() == inputs + text.outputs.size(), "too few or too many operands");
  Operand product = in.operands[inputs];
  product.dtype = a.dtype;
  need(product.rank == rank + 2, "an operand has another rank than the product");
  for (size_t i = 2; i < in.operands.size(); ++i) check(in.operands[i], product);
  std::vector<const Operand*> further, outputs;
  for (size_t i = 2; i < inputs; ++i) further.push_back(&in.operands[i]);
  for (size_t i = inputs; i < in.operands.size(); ++i) outputs.push_back(&in.operands[i]);

  MatmulTask t{};
  t.dtype = a.dtype;
  t.m = a.shape[rank];
  t.k = a.shape[rank + 1];
  t.n = b.shape[rank + 1];
  need(b.shape[rank] == t.k, "a has not as many columns as b rows");
  need(product.shape[rank] == t.m && product.shape[rank + 1] == t.n, "a result of another shape");
  for (int64_t i = 0; i < rank; ++i)
    need(a.shape[i] == product.shape[i] && b.shape[i] == product.shape[i], "batches of another shape");
  work->written.clear();
  for (size_t i = inputs; i < in.operands.size(); ++i) {
    const Operand& o = in.operands[i];
    for (int j = 0; j < o.rank; ++j)
      need(o.shape[j] <= 1 || o.stride[j] != 0, "a result whose numbers share a place");
    need(o.slot != a.slot && o.slot != b.slot, "a result in place of an operand");
    work->written.push_back(static_cast<int>(i));
  }

  // Bias and relu are part of the product, if nothing else needs what they are made of.
  t.bias_slot = -1;
  int64_t other;
  if (text.begins_with(Operation::add, t.dtype, &other) && other > 0 && other < text.inputs &&
      is_bias(*further[static_cast<size_t>(other) - 1], t.dtype)) {
    t.bias_slot = further[static_cast<size_t>(other) - 1]->slot;
    for (const Operand* o : outputs) need(o->slot != t.bias_slot, "a result in place of the bias");
    text.take_first();
    if (text.uses(other) == 0) {
      text.drop_input(other);
      further.erase(further.begin() + static_cast<std::ptrdiff_t>(other) - 1);
    }
  }
  if (text.begins_with(Operation::maximum, t.dtype, &other) && text.steps[0].a[0] == 0 &&
      text.is_zero(other, t.dtype)) {  // not maximum(0, x): of two zeros the second counts
    t.relu = true;
    text.take_first();
  }

  // Whether a unit was awake, on the way back through relu.
  const auto is_gate = [&](const Operand& o) {
    const auto same = [&](const Operand* output) { return output->slot == o.slot; };
    return is_rows(o, t.dtype) && std::none_of(outputs.begin(), outputs.end(), same);
  };
  if (may_gate && text.begins_with_gate(t.dtype, &other) &&
      is_gate(*further[static_cast<size_t>(other) - 1])) {
    const Operand& gate = *further[static_cast<size_t>(other) - 1];
    t.gated = true;
    t.gate_slot = gate.slot;
    t.gate_row = gate.stride[gate.rank - 2];
    text.take_first();
    text.take_first();
    if (text.uses(other) == 0) {
      text.drop_input(other);
      further.erase(further.begin() + static_cast<std::ptrdiff_t>(other) - 1);
    }
  }

  // The product goes to the output that it is, and the rest of the program reads it there; else to a
  // panel of scratch, and the rest of the program stores everything.
  const auto found = std::find(text.outputs.begin(), text.outputs.end(), 0);
  const Operand* c = &product;
  if (found != text.outputs.end()) {
    const auto at = found - text.outputs.begin();
    const Operand* o = outputs[static_cast<size_t>(at)];
    const bool alone = text.outputs.size() == 1;
    bool shared = o->stride[rank + 1] != 1 && t.n > 1;  // the rest reads rows
    for (const Operand* input : further) shared = shared || input->slot == o->slot;
    if (alone || !shared) {
      need(o->dtype == t.dtype, "a result of another kind of numbers");
      t.stored = true;
      t.c_slot = o->slot;
      c = o;
      text.outputs.erase(found);
      outputs.erase(outputs.begin() + at);
      for (const Operand* left : outputs) need(left->slot != t.c_slot, "two results in one place");
    }
  }
  t.has_epilogue = !text.outputs.empty();
  if (t.has_epilogue) {
    std::vector<DType> dtypes = {t.dtype};
    for (const Operand* o : further) dtypes.push_back(o->dtype);
    const std::vector<int64_t> numbers = text.numbers();
    const int64_t* at = numbers.data();
    const Program program =
        read_program(&at, at + numbers.size(), static_cast<int>(text.inputs), dtypes.data());
    t.rest = prepare_rows(product, further.data(), outputs.data(), program);
  }

  t.a_slot = a.slot;
  t.b_slot = b.slot;
  t.a_row = a.stride[rank];
  t.a_column = a.stride[rank + 1];
  t.b_row = b.stride[rank];
  t.b_column = b.stride[rank + 1];
  t.c_row = c->stride[rank];
  t.c_column = t.n == 1 ? 1 : c->stride[rank + 1];
  t.bias_column = 1;
  t.batch_rank = static_cast<int>(rank);
  for (int i = 0; i < t.batch_rank; ++i) {
    t.batch_size[i] = product.shape[i];
    t.a_batch[i] = a.stride[i];
    t.b_batch[i] = b.stride[i];
    t.c_batch[i] = c->stride[i];
  }
  const bool few = t.m * t.n <= 16 && t.k >= 256;  // said of the shape as it was given
  collapse(&t);
  t.batches = 1;
  for (int i = 0; i < t.batch_rank; ++i) t.batches *= t.batch_size[i];
  const int64_t rows = t.batches * t.m, columns = t.n, size = size_of(t.dtype);
  choose(&t, few);
  const bool by_tiles = t.product == Product::plain || t.product == Product::packed;
  if (t.gated && (t.turned || !by_tiles || t.batches != 1 || t.c_column != 1)) {
    return prepare_product(in, work, false);
  }

  if (t.has_epilogue) find_update(&t, further, *outputs[0]);
  t.by_panels = t.has_epilogue;
  t.packed_depth = t.by_panels ? t.k : std::min<int64_t>(t.k, 256);
  // A share of the rows copies all of b, a share of the columns reads all of a.
  const bool wide = rows < 8 || (t.product == Product::packed && !t.by_panels && columns >= rows);
  t.columns_split = !t.updates && columns >= 128 && wide;
  const int64_t shared = t.columns_split ? columns : rows;
  work->units = std::max<int64_t>(1, shared >= 64 ? (shared + 15) / 16 : shared);
  work->rows = t.columns_split || rows != a.shape[rank] ? 0 : rows;
  work->row_axis.assign(in.operands.size(), static_cast<int>(rank));
  work->row_axis[1] = -1;
  t.panel = INT64_MAX;
  if (t.product == Product::packed && t.pack_a) t.panel = 768 / size;
  // A panel of a short sum is made quickly: then it had better stay in the first cache.
  const int64_t panel_bytes = t.k < 8 ? 12 * 1024 : 128 * 1024;
  if (t.has_epilogue)
    t.panel = std::clamp<int64_t>(panel_bytes / std::max<int64_t>(1, columns * size), 24, t.panel);
  t.panel_bytes = t.stored ? 0 : round_up(std::min(t.panel, t.turned ? t.n : t.m) * columns * size, 64);
  work->scratch = t.panel_bytes;
  if (t.product == Product::packed) {
    work->scratch += round_up(round_up(columns, 32) * t.packed_depth * size, 64);
    if (t.pack_a) work->scratch += round_up(t.panel * 256 * size, 64);
  }
  if (t.product == Product::narrow) work->scratch += round_up(t.n * t.k * size, 64);
  t.rest_at = work->scratch;
  if (t.has_epilogue) work->scratch += t.rest.space.scratch;
  work->flop = 2.0 * static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(t.k);
  work->bytes = static_cast<double>(size) *
                (static_cast<double>(rows) * static_cast<double>(columns + t.k) +
                 static_cast<double>(t.k) * static_cast<double>(columns) * static_cast<double>(t.batches));
  static const char* const names[] = {"plain", "packed", "narrow", "lanes"};
  work->name = std::string("matmul, ") + names[static_cast<int>(t.product)];
  if (t.turned) work->name += ", turned";
  if (t.bias_slot >= 0) work->name += " + bias";
  if (t.relu) work->name += " + relu";
  if (t.gated) work->name += " + gate";
  if (t.updates) work->name += " + update";
  else if (t.has_epilogue) work->name += " + " + std::to_string(t.rest.program.steps) + " steps";
  return t;
}

}  // namespace

MatmulTask prepare_matmul(const Instruction& in, Work* work) {
  return prepare_product(in, work, true);
}

}  // namespace glassgrad
