#include "prepare/tiny.h"

#include <vector>

#include "prepare/places.h"

namespace glassgrad {
namespace {

enum Kind : uint8_t { nothing, narrow, wide };  // of number that a register holds

// Reads the whole numbers one after the other, and registers that are there.
class Reader {
 public:
  explicit Reader(const std::vector<int64_t>& ints) : ints_(ints) {}

  int64_t next() {
    require(at_ < ints_.size(), "the code of a tiny step ends early");
    return ints_[at_++];
  }
  int64_t below(int64_t end, const char* what) {
    const int64_t found = next();
    require(found >= 0 && found < end, what);
    return found;
  }
  uint16_t of_register(int registers) {
    return static_cast<uint16_t>(below(registers, "there is no such register"));
  }
  bool done() const { return at_ == ints_.size(); }

 private:
  const std::vector<int64_t>& ints_;
  size_t at_ = 0;
};

struct Shape {
  Line line;
  int operands;
};

Shape shape_of(Operation operation) {
  switch (operation) {
    case Operation::add: return {Line::add, 2};
    case Operation::subtract: return {Line::subtract, 2};
    case Operation::multiply: return {Line::multiply, 2};
    case Operation::divide: return {Line::divide, 2};
    case Operation::negative: return {Line::negative, 1};
    case Operation::multiply_add: return {Line::multiply_add, 3};
    case Operation::maximum: return {Line::maximum, 2};
    case Operation::minimum: return {Line::minimum, 2};
    case Operation::less: return {Line::less, 2};
    case Operation::less_equal: return {Line::less_equal, 2};
    case Operation::greater: return {Line::greater, 2};
    case Operation::greater_equal: return {Line::greater_equal, 2};
    case Operation::equal: return {Line::equal, 2};
    case Operation::not_equal: return {Line::not_equal, 2};
    case Operation::select: return {Line::select, 3};
    case Operation::absolute: return {Line::absolute, 1};
    case Operation::square: return {Line::square, 1};
    case Operation::gate: return {Line::gate, 3};
    case Operation::cast: return {Line::widen, 1};
    case Operation::power: return {Line::power, 2};
    case Operation::remainder:
    case Operation::sign:
    case Operation::floor:
    case Operation::ceil:
    case Operation::trunc:
    case Operation::round:
    case Operation::logical_and:
    case Operation::logical_or:
    case Operation::logical_xor:
    case Operation::logical_not:
    case Operation::count: throw PlanError("an operation that a tiny step does not have");
    default: return {Line::call_one, 1};
  }
}

TinyLine line(Reader& read, int registers, std::vector<uint8_t>& kind) {
  const auto operation = static_cast<Operation>(
      read.below(static_cast<int64_t>(Operation::count), "there is no such operation"));
  const bool doubles = read.below(2, "a tiny step is of f32 and f64") == 1;
  const uint16_t to = read.of_register(registers);
  const Shape shape = shape_of(operation);
  uint16_t from[3] = {0, 0, 0};
  for (int k = 0; k < 3; ++k) {
    if (k < shape.operands) {
      from[k] = read.of_register(registers);
      require(kind[from[k]] == (doubles ? wide : narrow), "a register holds another kind");
    } else if (operation == Operation::cast && k == 2) {
      require(read.next() == (doubles ? 0 : 1), "a cast goes between f32 and f64");
    } else {
      require(read.next() == -1, "an operation has too many operands");
    }
  }
  if (shape.line == Line::call_one) {
    from[2] = static_cast<uint16_t>(operation);
  }
  kind[to] = (operation == Operation::cast) != doubles ? wide : narrow;
  const int what = static_cast<int>(shape.line) + (doubles ? tiny_doubles : 0);
  return {static_cast<uint16_t>(what), to, from[0], from[1], from[2]};
}

}  // namespace

TinyTask prepare_tiny(const Instruction& in, Work* work) {
  require(in.kernel == Kernel::tiny && in.reals.empty(), "this is no tiny step");
  TinyTask task{};
  Reader read(in.ints);
  const auto few = [&](int64_t end) {
    return static_cast<int>(read.below(end, "a tiny step is too large"));
  };
  const int registers = few(tiny_most + 1);
  task.loads = few(tiny_blocks);
  task.stores = few(tiny_blocks);
  require(static_cast<size_t>(task.loads + task.stores) == in.operands.size(),
          "operands are missing");
  task.constants = few(tiny_constants);
  task.lines = few(tiny_lines);
  const int guards = few(tiny_most);

  // Kinds are checked as lines are read: a register holds what was last written to it.
  std::vector<uint8_t> kind(static_cast<size_t>(registers), nothing);
  const auto block = [&](int i) {
    const Operand& operand = in.operands[static_cast<size_t>(i)];
    require(operand.dtype == DType::f32 || operand.dtype == DType::f64,
            "a tiny step is of f32 and f64");
    require(contiguous(operand), "operands of a tiny step lie end to end");
    const int64_t size = count_of(operand.shape, operand.rank);
    require(size <= tiny_most, "an operand is too large for a tiny step");
    return TinyBlock{operand.slot, 0, static_cast<uint16_t>(size), operand.dtype == DType::f64};
  };
  for (int i = 0; i < task.loads; ++i) {
    TinyBlock found = block(i);
    const int64_t first = read.next();
    require(first >= 0 && first + found.size <= registers, "there is no such register");
    found.first = static_cast<uint16_t>(first);
    for (int k = 0; k < found.size; ++k) {
      kind[static_cast<size_t>(first + k)] = found.wide ? wide : narrow;
    }
    task.load[i] = found;
  }
  for (int i = 0; i < task.constants; ++i) {
    const int64_t dtype = read.below(2, "a constant of a tiny step is f32 or f64");
    const uint64_t bits = static_cast<uint64_t>(read.next());
    const uint16_t to = read.of_register(registers);
    kind[to] = dtype ? wide : narrow;
    task.constant[i] = {bits, to};
  }
  for (int i = 0; i < task.lines; ++i) task.line[i] = line(read, registers, kind);
  task.line[task.lines] = {static_cast<uint16_t>(tiny_end), 0, 0, 0, 0};
  std::vector<uint16_t> wide_guard;
  for (int i = 0; i < guards; ++i) {
    const uint16_t at = read.of_register(registers);
    require(kind[at] != nothing, "a register is guarded that holds nothing");
    if (kind[at] == wide) {
      wide_guard.push_back(at);
    } else {
      task.guard[task.guards++] = at;
    }
  }
  for (const uint16_t at : wide_guard) task.guard[task.guards + task.wide_guards++] = at;
  int stored = 0;
  for (int i = 0; i < task.stores; ++i) {
    TinyBlock found = block(task.loads + i);
    require(stored + found.size <= tiny_most, "a tiny step stores too much");
    found.first = static_cast<uint16_t>(stored);
    for (int k = 0; k < found.size; ++k) {
      const uint16_t from = read.of_register(registers);
      require(kind[from] == (found.wide ? wide : narrow), "a register holds another kind");
      task.stored[stored++] = from;
    }
    task.store[i] = found;
    work->written.push_back(task.loads + i);
    work->bytes += static_cast<double>(found.size * (found.wide ? 8 : 4));
  }
  require(read.done(), "a tiny step has more numbers than it needs");
  work->scratch = registers * static_cast<int64_t>(sizeof(Number)) + 64;
  work->flop = static_cast<double>(task.lines);
  work->name = "tiny";
  return task;
}

}  // namespace glassgrad
