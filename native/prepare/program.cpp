#include "program.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/instruction.h"

namespace glassgrad {
namespace {

using enum Operation;

enum class Kind { input, constant, step };

// A value while the program is being read and improved.
struct Draft {
  Kind kind;
  DType dtype;
  Operation op;       // of a step
  DType of;           // kind of number it works on
  int operand[4];     // values, -1 where there is none
  int function = -1;  // set where it is not the plain one
  uint64_t bits = 0;  // of a constant
  int uses = 0;
};

using Drafts = std::vector<Draft>;

bool real(DType t) { return t == DType::f32 || t == DType::f64; }

[[noreturn]] void refuse(const std::string& what) { throw PlanError("program: " + what); }

bool compares(Operation op) { return op >= less && op <= not_equal; }

int operands_of(Operation op) {
  switch (op) {
    case add: case subtract: case multiply: case divide: case power: case maximum: case minimum:
    case less: case less_equal: case greater: case greater_equal: case equal: case not_equal:
    case logical_and: case logical_or: case logical_xor: case remainder:
      return 2;
    case select: case multiply_add: case gate:
      return 3;
    default:
      return 1;
  }
}

bool works_on(Operation op, DType t) {
  switch (op) {
    case add: case subtract: case multiply: case negative: case absolute: case sign: case maximum:
    case minimum: case remainder: case square:
      return t != DType::b8;
    case less: case less_equal: case greater: case greater_equal: case equal: case not_equal:
    case select: case cast:
      return true;
    case logical_and: case logical_or: case logical_xor: case logical_not:
      return t == DType::b8;
    default:
      return real(t);
  }
}

int64_t next(const int64_t** at, const int64_t* end) {
  if (*at == end) refuse("it ends too soon");
  return *(*at)++;
}

int64_t limited(const int64_t** at, const int64_t* end, int64_t most, const char* what) {
  const int64_t n = next(at, end);
  if (n < 0 || n > most)
    refuse(std::to_string(n) + " " + what + ", at most " + std::to_string(most) + " are possible");
  return n;
}

DType next_dtype(const int64_t** at, const int64_t* end) {
  const int64_t t = next(at, end);
  if (t < 0 || t >= dtypes) refuse("unknown kind of number " + std::to_string(t));
  return static_cast<DType>(t);
}

Draft read_step(const int64_t** at, const int64_t* end, const Drafts& values) {
  const int64_t number = next(at, end);
  if (number < 0 || number >= static_cast<int64_t>(Operation::count))
    refuse("unknown operation " + std::to_string(number));
  Draft step{Kind::step, {}, static_cast<Operation>(number), next_dtype(at, end), {-1, -1, -1, -1}};
  int64_t operand[3];
  for (int64_t& x : operand) x = next(at, end);
  if (!works_on(step.op, step.of)) refuse("an operation on a kind of number it has not");
  const int needed = operands_of(step.op);
  for (int i = 0; i < 3; ++i) {
    if (step.op == cast && i == 2) continue;
    if (i >= needed) {
      if (operand[i] != -1) refuse("an operand too many");
      continue;
    }
    if (operand[i] < 0 || operand[i] >= static_cast<int64_t>(values.size()))
      refuse("an operand that was not computed before");
    step.operand[i] = static_cast<int>(operand[i]);
    const DType given = values[static_cast<size_t>(operand[i])].dtype;
    const bool truth = (step.op == select && i == 0) ||
                       (step.op == multiply && i == 1 && given == DType::b8);
    if (given != (truth ? DType::b8 : step.of)) refuse("an operand of another kind of number");
  }
  step.dtype = compares(step.op) ? DType::b8 : step.of;
  if (step.op == cast) {
    if (operand[2] < 0 || operand[2] >= dtypes) refuse("a cast to no kind of number");
    step.dtype = static_cast<DType>(operand[2]);
    step.function = cast_function(step.of, step.dtype);
  }
  if (step.op == multiply && values[static_cast<size_t>(step.operand[1])].dtype == DType::b8)
    step.function = mask_function(step.of);
  return step;
}

double constant_of(const Draft& d) {
  if (d.dtype == DType::f32) return std::bit_cast<float>(static_cast<uint32_t>(d.bits));
  return std::bit_cast<double>(d.bits);
}

// Values added behind all others: constants that an improvement needs.
int add_one(Drafts& values, DType t) {
  const uint64_t bits = t == DType::f32 ? std::bit_cast<uint32_t>(1.0f) : std::bit_cast<uint64_t>(1.0);
  values.push_back({Kind::constant, t, {}, {}, {-1, -1, -1, -1}, -1, bits});
  return static_cast<int>(values.size()) - 1;
}

// Powers that NumPy has shorter ways for, too.
void simplify_powers(Drafts& values) {
  const size_t given = values.size();
  for (size_t i = 0; i < given; ++i) {
    if (values[i].kind != Kind::step || values[i].op != power) continue;
    const Draft& exponent = values[static_cast<size_t>(values[i].operand[1])];
    if (exponent.kind != Kind::constant) continue;
    const double p = constant_of(exponent);
    if (p == -1.0) {
      const int one = add_one(values, values[i].of);
      Draft& step = values[i];
      step.op = divide;
      step.operand[1] = step.operand[0];
      step.operand[0] = one;
      continue;
    }
    Draft& step = values[i];
    if (p == 1.0) {
      step.op = cast;
      step.function = cast_function(step.of, step.of);
    } else if (p == 2.0) {
      step.op = square;
    } else if (p == 0.5) {
      step.op = sqrt;
    } else {
      continue;
    }
    step.operand[1] = -1;
  }
}

void count_uses(Drafts& values, const std::vector<int>& outputs) {
  for (Draft& d : values) d.uses = 0;
  for (int o : outputs) values[static_cast<size_t>(o)].uses += 2;  // an output is never taken away
  // Later values first, so that what is not used does not count.
  for (size_t i = values.size(); i-- > 0;) {
    if (values[i].kind != Kind::step || values[i].uses == 0) continue;
    for (int o : values[i].operand)
      if (o >= 0) ++values[static_cast<size_t>(o)].uses;
  }
}

int first_of(const Draft& d) {
  if (d.function >= 0 || !real(d.of)) return -1;
  switch (d.op) {
    case add: return static_cast<int>(First::add);
    case subtract: return static_cast<int>(First::subtract);
    case multiply: return static_cast<int>(First::multiply);
    case divide: return static_cast<int>(First::divide);
    case sqrt: return static_cast<int>(First::sqrt);
    case square: return static_cast<int>(First::square);
    case negative: return static_cast<int>(First::negative);
    default: return -1;
  }
}

// What `op` does to operand number `side`; -1 where it cannot be the second of two.
int second_of(Operation op, int side) {
  switch (op) {
    case add: return static_cast<int>(Second::add);
    case multiply: return static_cast<int>(Second::multiply);
    // Of zeros with two signs these give the second.
    case maximum: return side ? -1 : static_cast<int>(Second::maximum);
    case minimum: return side ? -1 : static_cast<int>(Second::minimum);
    case subtract: return static_cast<int>(side ? Second::subtract_from : Second::subtract);
    case divide: return static_cast<int>(side ? Second::divide_into : Second::divide);
    default: return -1;
  }
}

// A comparison that only one step needs becomes part of that step.
bool join_comparison(Drafts& values, Draft& step) {
  const int side = step.op == multiply ? 1 : 0;
  if (!real(step.of) || (step.op != multiply && step.op != select)) return false;
  Draft& asked = values[static_cast<size_t>(step.operand[side])];
  if (asked.kind != Kind::step || !compares(asked.op) || asked.uses != 1 || asked.of != step.of)
    return false;
  const Compare f = static_cast<Compare>(static_cast<int>(asked.op) - static_cast<int>(less));
  if (step.op == multiply) {
    step.function = gate_function(f, step.of);
    step.operand[1] = asked.operand[0];
    step.operand[2] = asked.operand[1];
  } else {
    step.function = choice_function(f, step.of);
    step.operand[0] = step.operand[1];
    step.operand[1] = step.operand[2];
    step.operand[2] = asked.operand[0];
    step.operand[3] = asked.operand[1];
  }
  asked.uses = 0;
  return true;
}

void join_pair(Drafts& values, Draft& step) {
  if (step.function >= 0 || !real(step.of) || operands_of(step.op) != 2) return;
  for (int side = 0; side < 2; ++side) {
    const int g = second_of(step.op, side);
    Draft& t = values[static_cast<size_t>(step.operand[side])];
    if (g < 0 || t.kind != Kind::step || t.uses != 1 || first_of(t) < 0) continue;
    const int other = step.operand[1 - side];
    step.function = pair_function(static_cast<First>(first_of(t)), static_cast<Second>(g), step.of);
    step.operand[0] = t.operand[0];
    step.operand[1] = t.operand[1] < 0 ? other : t.operand[1];
    step.operand[2] = t.operand[1] < 0 ? -1 : other;
    t.uses = 0;
    return;
  }
}

// A chain that ends with a step becomes that step.
void join_chain(Drafts& values, Draft& end) {
  if (end.function >= 0 || !real(end.of) || (end.op != add && end.op != subtract)) return;
  // The step that makes a value which nothing else needs.
  const auto alone = [&](int value, Operation op) -> Draft* {
    Draft& d = values[static_cast<size_t>(value)];
    const bool fits = d.kind == Kind::step && d.uses == 1 && d.function < 0 && d.of == end.of;
    return fits && d.op == op ? &d : nullptr;
  };
  const auto make = [&](Chain chain, std::initializer_list<Draft*> taken, int a, int b, int c, int d) {
    for (Draft* t : taken) t->uses = 0;
    end.function = chain_function(chain, end.of);
    end.operand[0] = a, end.operand[1] = b, end.operand[2] = c, end.operand[3] = d;
  };
  const int left = end.operand[0], right = end.operand[1];
  if (end.op == subtract) {
    Draft* over = alone(right, divide);
    Draft* product = over ? alone(over->operand[0], multiply) : nullptr;
    if (product) {
      make(Chain::quotient, {over, product}, product->operand[0], product->operand[1],
           over->operand[1], left);
    }
    return;
  }
  for (const auto& [here, other] : {std::pair(left, right), std::pair(right, left)}) {
    Draft* root = alone(here, sqrt);
    Draft* inner = root ? alone(root->operand[0], divide) : nullptr;
    if (inner) return make(Chain::root, {root, inner}, inner->operand[0], inner->operand[1], other, -1);
  }
  Draft* x = alone(left, multiply);
  Draft* y = alone(right, multiply);
  if (!x || !y) return;
  for (const auto& [one, two] : {std::pair(x, y), std::pair(y, x)}) {
    for (int side = 0; side < 2; ++side) {
      Draft* squared = alone(two->operand[side], square);
      Draft* times = alone(two->operand[side], multiply);
      if (times && times->operand[0] == times->operand[1]) squared = times;
      if (!squared) continue;
      return make(Chain::square_products, {one, two, squared}, one->operand[0], one->operand[1],
                  two->operand[1 - side], squared->operand[0]);
    }
  }
  make(Chain::products, {x, y}, x->operand[0], x->operand[1], y->operand[0], y->operand[1]);
}

void join_steps(Drafts& values) {
  for (Draft& step : values) {
    if (step.kind == Kind::step && step.uses > 0) join_chain(values, step);
  }
  for (Draft& step : values) {
    if (step.kind != Kind::step || step.uses == 0) continue;
    if (step.op == gate) step.function = gate_function(Compare::greater, step.of);
    else if (!join_comparison(values, step)) join_pair(values, step);
  }
}

void splat(char* to, uint64_t bits, DType t) {
  const size_t size = static_cast<size_t>(size_of(t));
  for (size_t i = 0; i < splat_bytes; i += size) std::memcpy(to + i, &bits, size);
}

// Numbers the values anew, without those that nothing needs.
Program finish(const Drafts& values, const std::vector<int>& outputs) {
  Program p{};
  std::vector<int> number(values.size(), -1);
  int last = 0;
  const auto take = [&](Kind kind) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].kind != kind || (kind != Kind::input && values[i].uses == 0)) continue;
      p.dtype[last] = values[i].dtype;
      number[i] = last++;
      if (kind == Kind::input) {
        ++p.inputs;
      } else if (kind == Kind::constant) {
        if (p.constants == max_constants) refuse("too many constants");
        splat(p.constant[p.constants++], values[i].bits, values[i].dtype);
      } else {
        const Draft& d = values[i];
        const auto operand = [&](int k) -> uint8_t {
          const int o = d.operand[k];
          return static_cast<uint8_t>(o < 0 ? 0 : number[static_cast<size_t>(o)]);
        };
        const int f = d.function >= 0 ? d.function : plain_function(d.op, d.of);
        p.step[p.steps++] = {static_cast<uint16_t>(f), static_cast<uint8_t>(number[i]), operand(0),
                             operand(1), operand(2), operand(3)};
      }
    }
  };
  take(Kind::input);
  take(Kind::constant);
  take(Kind::step);
  for (int o : outputs)
    p.output[p.outputs++] = static_cast<uint8_t>(number[static_cast<size_t>(o)]);
  return p;
}

// An output that is an input, a constant or another output becomes a copy of it.
void copy_outputs(Drafts& values, std::vector<int>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const int o = outputs[i];
    const bool given = std::find(outputs.begin(), outputs.begin() + static_cast<long>(i), o) !=
                       outputs.begin() + static_cast<long>(i);
    const Draft& from = values[static_cast<size_t>(o)];
    if (from.kind == Kind::step && !given) continue;
    const DType t = from.dtype;
    values.push_back({Kind::step, t, cast, t, {o, -1, -1, -1}, cast_function(t, t)});
    outputs[i] = static_cast<int>(values.size()) - 1;
  }
}

Program improve(Drafts& values, std::vector<int>& outputs, bool keep) {
  copy_outputs(values, outputs);
  if (!keep) simplify_powers(values);
  count_uses(values, outputs);
  if (keep) {
    for (Draft& d : values)
      if (d.kind == Kind::step && d.op == gate) d.function = gate_function(Compare::greater, d.of);
  } else {
    join_steps(values);
  }
  if (std::count_if(values.begin(), values.end(), [](const Draft& d) {
        return d.kind == Kind::step && d.uses > 0;
      }) > max_steps)
    refuse("too many instructions");
  return finish(values, outputs);
}

}  // namespace

Program read_program(const int64_t** at, const int64_t* end, int inputs, const DType* dtype,
                     bool keep) {
  if (limited(at, end, max_inputs, "inputs") != inputs) refuse("other inputs than operands");
  const int64_t constants = limited(at, end, max_constants, "constants");
  const int64_t steps = limited(at, end, max_steps, "instructions");
  const int64_t results = limited(at, end, max_outputs, "outputs");
  Drafts values;
  values.reserve(max_values * 2);
  for (int i = 0; i < inputs; ++i) values.push_back({Kind::input, dtype[i], {}, {}, {-1, -1, -1, -1}});
  for (int64_t i = 0; i < constants; ++i) {
    const DType t = next_dtype(at, end);
    const uint64_t bits = static_cast<uint64_t>(next(at, end));
    if (t == DType::b8 && (bits & 255) > 1) refuse("a truth value that is neither 0 nor 1");
    values.push_back({Kind::constant, t, {}, {}, {-1, -1, -1, -1}, -1, bits});
  }
  for (int64_t i = 0; i < steps; ++i) values.push_back(read_step(at, end, values));
  std::vector<int> outputs;
  for (int64_t i = 0; i < results; ++i) {
    const int64_t o = next(at, end);
    if (o < 0 || o >= static_cast<int64_t>(values.size())) refuse("an output that is no value");
    outputs.push_back(static_cast<int>(o));
  }
  return improve(values, outputs, keep);
}

Program cast_program(int inputs, const DType* from, const DType* to) {
  Drafts values;
  std::vector<int> outputs;
  for (int i = 0; i < inputs; ++i) values.push_back({Kind::input, from[i], {}, {}, {-1, -1, -1, -1}});
  for (int i = 0; i < inputs; ++i) {
    values.push_back({Kind::step, to[i], cast, from[i], {i, -1, -1, -1}, cast_function(from[i], to[i])});
    outputs.push_back(inputs + i);
  }
  return improve(values, outputs, true);
}

bool is_copy(const Program& p) {
  return p.inputs == 1 && p.steps == 1 && p.outputs == 1 && p.step[0].a == 0 &&
         p.step[0].function == cast_function(p.dtype[0], p.dtype[0]);
}

}  // namespace glassgrad
