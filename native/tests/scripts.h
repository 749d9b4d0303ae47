// What the drivers of maps and reductions share: memory that may not be overrun, operands that lie in all
// ways, and random programs with their meaning in plain loops.
#pragma once

#include "prepare/map.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>

#include "core/instruction.h"
#include "core/table.h"

using namespace glassgrad;

namespace {

uint64_t state = 88172645463325252ull;
uint64_t draw() {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
int64_t draw(int64_t below) { return static_cast<int64_t>(draw() % static_cast<uint64_t>(below)); }
bool chance(int percent) { return draw(100) < percent; }

int failures = 0;
void fail(const std::string& what) {
  if (++failures <= 20) std::printf("FAILED: %s\n", what.c_str());
}

// -- memory with a page behind it that may not be touched ------------------------------------------------

class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_(bytes) {
    pages_ = (bytes + 4095) / 4096 * 4096 + 8192;
    all_ = static_cast<char*>(mmap(nullptr, static_cast<size_t>(pages_), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(all_, 4096, PROT_NONE);
    mprotect(all_ + pages_ - 4096, 4096, PROT_NONE);
    at_ = all_ + pages_ - 4096 - bytes;
  }
  Memory(const Memory&) = delete;
  ~Memory() { munmap(all_, static_cast<size_t>(pages_)); }
  char* at() const { return at_; }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_, pages_;
  char *all_, *at_;
};

// -- single numbers ------------------------------------------------------------------------------------------

struct Number {
  DType t;
  uint64_t bits = 0;

  template <class T> T as() const { T x; std::memcpy(&x, &bits, sizeof x); return x; }
  template <class T> static Number of(DType t, T x) {
    Number n{t};
    std::memcpy(&n.bits, &x, sizeof x);
    return n;
  }
};

bool same(Number a, Number b) {
  if (a.t == DType::f32 && std::isnan(a.as<float>())) return std::isnan(b.as<float>());
  if (a.t == DType::f64 && std::isnan(a.as<double>())) return std::isnan(b.as<double>());
  return a.bits == b.bits;
}

Number read(const char* p, DType t) {
  Number n{t};
  std::memcpy(&n.bits, p, static_cast<size_t>(size_of(t)));
  return n;
}

Number random_number(DType t) {
  static const double special[] = {0.0, -0.0, 1.0, -1.0, 2.0, INFINITY, -INFINITY, NAN, 1e-40, 300.5, -7.0};
  const double x = chance(8) ? special[draw(11)]
                             : (static_cast<double>(draw() >> 11) / 9007199254740992.0 - 0.5) * 8;
  switch (t) {
    case DType::f32: return Number::of(t, static_cast<float>(x));
    case DType::f64: return Number::of(t, x);
    case DType::i64: return Number::of(t, chance(5) ? static_cast<int64_t>(draw()) : draw(21) - 10);
    case DType::u32: return Number::of(t, static_cast<uint32_t>(chance(5) ? draw() : draw() % 20));
    case DType::u8: return Number::of(t, static_cast<uint8_t>(draw()));
    default: return Number::of(t, static_cast<uint8_t>(draw() & 1));
  }
}

// -- operands that lie in all ways -----------------------------------------------------------------------------

struct Layout {
  std::vector<int64_t> shape, stride;
  int64_t first = 0, count = 0;  // numbers before the first one, and in all
};

int64_t size_of_shape(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

Layout random_layout(const std::vector<int64_t>& shape, bool output, int kind) {
  Layout l{shape, std::vector<int64_t>(shape.size())};
  const size_t rank = shape.size();
  std::vector<size_t> order(rank);
  std::iota(order.begin(), order.end(), 0);
  if (kind == 1 && rank > 1)
    for (size_t i = rank; i-- > 1;) std::swap(order[i], order[static_cast<size_t>(draw(static_cast<int64_t>(i) + 1))]);
  int64_t step = kind == 2 && chance(30) ? 2 : 1;
  for (size_t i = rank; i-- > 0;) {
    const size_t axis = order[i];
    l.stride[axis] = step;
    if (!output && (kind == 4 || (kind == 3 && chance(60)))) {
      l.stride[axis] = 0;
      continue;
    }
    step *= shape[axis] + (kind == 2 && chance(40) ? draw(3) : 0);
    if (!output && kind == 2 && chance(15)) l.stride[axis] = -l.stride[axis];
  }
  int64_t low = 0, high = 0;
  for (size_t i = 0; i < rank; ++i)
    (l.stride[i] < 0 ? low : high) += l.stride[i] * std::max<int64_t>(shape[i] - 1, 0);
  l.first = -low;
  l.count = high - low + 1;
  return l;
}

Operand operand(int slot, DType t, const Layout& l) {
  Operand o{};
  o.slot = slot;
  o.dtype = t;
  o.rank = static_cast<int>(l.shape.size());
  std::copy(l.shape.begin(), l.shape.end(), o.shape);
  std::copy(l.stride.begin(), l.stride.end(), o.stride);
  return o;
}

int64_t place_of(const Layout& l, int64_t position) {
  int64_t at = l.first;
  for (size_t i = l.shape.size(); i-- > 0;) {
    at += position % l.shape[i] * l.stride[i];
    position /= l.shape[i];
  }
  return at;
}

struct Array {
  DType t;
  Layout layout;
  std::unique_ptr<Memory> memory;
  std::vector<char> before;

  Array(DType type, const Layout& l) : t(type), layout(l) {
    memory = std::make_unique<Memory>(std::max<int64_t>(l.count, 1) * size_of(t));
    for (int64_t i = 0; i < l.count; ++i) {
      const Number x = random_number(t);
      std::memcpy(memory->at() + i * size_of(t), &x.bits, static_cast<size_t>(size_of(t)));
    }
    keep();
  }
  void keep() { before.assign(memory->at(), memory->at() + memory->bytes()); }
  void restore() { std::memcpy(memory->at(), before.data(), before.size()); }
  char* slot() const { return memory->at() + layout.first * size_of(t); }
  Number operator[](int64_t position) const {
    return read(memory->at() + place_of(layout, position) * size_of(t), t);
  }
  Number was(int64_t position) const { return read(before.data() + place_of(layout, position) * size_of(t), t); }
};

// -- programs, and what they mean -------------------------------------------------------------------------------

struct Line {
  Operation op;
  DType of, made;
  int a, b, c;
};

struct Script {
  std::vector<DType> inputs;
  std::vector<Number> constants;
  std::vector<Line> lines;
  std::vector<int> outputs;

  DType dtype(int v) const {
    const size_t i = static_cast<size_t>(v), n = inputs.size(), k = constants.size();
    return i < n ? inputs[i] : i < n + k ? constants[i - n].t : lines[i - n - k].made;
  }
  int values() const { return static_cast<int>(inputs.size() + constants.size() + lines.size()); }
  void write(std::vector<int64_t>& to) const {
    const auto put = [&](auto x) { to.push_back(static_cast<int64_t>(x)); };
    put(inputs.size()), put(constants.size()), put(lines.size()), put(outputs.size());
    for (const Number& n : constants) put(n.t), put(n.bits);
    for (const Line& l : lines) {
      put(l.op), put(l.of), put(l.a), put(l.b);
      put(l.op == Operation::cast ? static_cast<int>(l.made) : l.c);
    }
    for (int o : outputs) put(o);
  }
};

// Functions have no plain meaning here: one number of them is asked of the reference.
Number by_reference(Operation op, Number a, Number b) {
  Script s;
  s.inputs = {a.t};
  if (op == Operation::power) s.inputs.push_back(b.t);
  s.lines = {{op, a.t, a.t, 0, op == Operation::power ? 1 : -1, -1}};
  s.outputs = {static_cast<int>(s.inputs.size())};
  Instruction in{Kernel::map, false, {}, {0}, {}};
  s.write(in.ints);
  for (size_t i = 0; i <= s.inputs.size(); ++i)
    in.operands.push_back(operand(static_cast<int>(i), a.t, Layout{}));
  Work work;
  const MapTask t = prepare_map(in, &work, true);
  alignas(64) char scratch[65536];
  Number out{a.t};
  char* slots[] = {reinterpret_cast<char*>(&a.bits), reinterpret_cast<char*>(op == Operation::power ? &b.bits : &out.bits),
                   reinterpret_cast<char*>(&out.bits)};
  reference_table().map(t, {slots, 0, 1, scratch, nullptr});
  return out;
}

template <class T>
Number real_line(const Line& l, Number a, Number b, Number c) {
  using enum Operation;
  const T x = a.as<T>(), y = b.as<T>(), z = c.as<T>();
  const auto truth = [](bool v) { return Number::of(DType::b8, static_cast<uint8_t>(v)); };
  const auto number = [&](T v) { return Number::of(l.of, v); };
  switch (l.op) {
    case add: return number(x + y);
    case subtract: return number(x - y);
    case multiply: return number(b.t == DType::b8 ? x * (b.bits ? T(1) : T(0)) : x * y);
    case divide: return number(x / y);
    case negative: return number(-x);
    case absolute: return number(std::abs(x));
    case sign: return number(std::isnan(x) ? x : x > 0 ? T(1) : x < 0 ? T(-1) : T(0));
    case maximum: return number(std::isnan(x) ? x : std::isnan(y) ? y : x > y ? x : y);
    case minimum: return number(std::isnan(x) ? x : std::isnan(y) ? y : x < y ? x : y);
    case less: return truth(x < y);
    case less_equal: return truth(x <= y);
    case greater: return truth(x > y);
    case greater_equal: return truth(x >= y);
    case equal: return truth(x == y);
    case not_equal: return truth(x != y);
    case floor: return number(std::floor(x));
    case ceil: return number(std::ceil(x));
    case trunc: return number(std::trunc(x));
    case round: return number(std::nearbyint(x));
    case sqrt: return number(std::sqrt(x));
    case square: return number(x * x);
    case multiply_add: return number(std::fma(x, y, z));
    case gate: return number(x * (y > z ? T(1) : T(0)));
    case remainder: {
      T left = std::fmod(x, y);
      if (y == 0 || std::isnan(left)) return number(left);
      if (left == 0) return number(std::copysign(T(0), y));
      return number((left < 0) != (y < 0) ? left + y : left);
    }
    default: return by_reference(l.op, a, b);
  }
}

template <class T>
Number whole_line(const Line& l, Number a, Number b) {
  using enum Operation;
  const T x = a.as<T>(), y = b.as<T>();
  using U = uint64_t;
  const auto truth = [](bool v) { return Number::of(DType::b8, static_cast<uint8_t>(v)); };
  const auto number = [&](U v) { return Number::of(l.of, static_cast<T>(v)); };
  switch (l.op) {
    case add: return number(U(x) + U(y));
    case subtract: return number(U(x) - U(y));
    case multiply: return number(b.t == DType::b8 ? (b.bits ? U(x) : 0) : U(x) * U(y));
    case square: return number(U(x) * U(x));
    case negative: return number(-U(x));
    case absolute: return number(x < 0 ? -U(x) : U(x));
    case sign: return number(x > 0 ? 1 : x < 0 ? ~U(0) : 0);
    case maximum: return number(U(x > y ? x : y));
    case minimum: return number(U(x < y ? x : y));
    case less: return truth(x < y);
    case less_equal: return truth(x <= y);
    case greater: return truth(x > y);
    case greater_equal: return truth(x >= y);
    case equal: return truth(x == y);
    case not_equal: return truth(x != y);
    case logical_and: return truth(x && y);
    case logical_or: return truth(x || y);
    case logical_xor: return truth(!x != !y);
    case logical_not: return truth(!x);
    default: {  // remainder
      if (y == 0 || (x != 0 && y == T(-1) && T(-1) < 0)) return number(0);
      T left = static_cast<T>(x % y);
      if (left != 0 && (left < 0) != (y < 0)) left = static_cast<T>(left + y);
      return number(U(left));
    }
  }
}

int64_t to_whole(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? static_cast<int64_t>(x) : INT64_MIN;
}

Number cast_line(Number a, DType to) {
  const bool real = a.t == DType::f32 || a.t == DType::f64;
  const double x = a.t == DType::f32 ? a.as<float>() : a.as<double>();
  const int64_t i = real ? to_whole(x)
                    : a.t == DType::i64 ? a.as<int64_t>() : a.t == DType::u32 ? int64_t{a.as<uint32_t>()} : int64_t{a.as<uint8_t>()};
  switch (to) {
    case DType::f32: return Number::of(to, real ? static_cast<float>(x) : static_cast<float>(i));
    case DType::f64: return Number::of(to, real ? x : static_cast<double>(i));
    case DType::i64: return Number::of(to, i);
    case DType::u32: return Number::of(to, static_cast<uint32_t>(i));
    case DType::u8: return Number::of(to, static_cast<uint8_t>(i));
    default: return Number::of(to, static_cast<uint8_t>(real ? x != 0 : i != 0));
  }
}

Number line(const Line& l, Number a, Number b, Number c) {
  if (l.op == Operation::cast) return cast_line(a, l.made);
  if (l.op == Operation::select) return a.bits ? b : c;
  switch (l.of) {
    case DType::f32: return real_line<float>(l, a, b, c);
    case DType::f64: return real_line<double>(l, a, b, c);
    case DType::i64: return whole_line<int64_t>(l, a, b);
    case DType::u32: return whole_line<uint32_t>(l, a, b);
    default: return whole_line<uint8_t>(l, a, b);
  }
}

std::vector<Number> evaluate(const Script& s, std::vector<Number> values) {
  values.insert(values.end(), s.constants.begin(), s.constants.end());
  for (const Line& l : s.lines) {
    const auto value = [&](int v) { return v < 0 ? Number{DType::f32} : values[static_cast<size_t>(v)]; };
    values.push_back(line(l, value(l.a), value(l.b), value(l.c)));
  }
  std::vector<Number> out;
  for (int o : s.outputs) out.push_back(values[static_cast<size_t>(o)]);
  return out;
}

std::vector<Operation> operations_on(DType t) {
  using enum Operation;
  std::vector<Operation> all = {less, less_equal, greater, greater_equal, equal, not_equal, select, cast};
  const auto more = [&](std::initializer_list<Operation> some) { all.insert(all.end(), some); };
  if (t == DType::b8) more({logical_and, logical_or, logical_xor, logical_not});
  else more({add, add, subtract, multiply, multiply, negative, absolute, sign, maximum, minimum, remainder, square});
  if (t == DType::f32 || t == DType::f64) {
    more({add, subtract, multiply, divide, divide, floor, ceil, trunc, round, sqrt, multiply_add, gate});
    more({power, exp, expm1, log, log2, log10, log1p, tanh, sigmoid, erf, sin, cos, tan, arcsin, arccos, sinh,
            cosh});
  }
  return all;
}

[[maybe_unused]] Script random_script(int most_inputs, int most_lines) {
  Script s;
  const DType main = chance(60) ? DType::f32 : static_cast<DType>(draw(6));
  for (int64_t n = draw(most_inputs) + 1; n > 0; --n)
    s.inputs.push_back(chance(75) ? main : static_cast<DType>(draw(6)));
  for (int64_t n = draw(4); n > 0; --n) s.constants.push_back(random_number(chance(75) ? main : static_cast<DType>(draw(6))));
  for (int64_t n = draw(most_lines + 1); n > 0; --n) {
    using enum Operation;
    const int a = chance(70) ? s.values() - 1 - static_cast<int>(draw(std::min(3, s.values()))) : static_cast<int>(draw(s.values()));
    DType t = s.dtype(a);
    const auto some = [&](DType wanted) {
      std::vector<int> found;
      for (int v = 0; v < s.values(); ++v)
        if (s.dtype(v) == wanted) found.push_back(v);
      return found.empty() ? -1 : found[static_cast<size_t>(draw(static_cast<int64_t>(found.size())))];
    };
    const std::vector<Operation> all = operations_on(t);
    Line l{all[static_cast<size_t>(draw(static_cast<int64_t>(all.size())))], t, t, a, -1, -1};
    switch (l.op) {
      case select:
        l.a = some(DType::b8), l.b = some(t), l.c = some(t);
        if (l.a < 0) continue;
        break;
      case multiply:
        l.b = chance(30) && t != DType::b8 ? some(DType::b8) : some(t);
        if (l.b < 0) l.b = some(t);
        break;
      case cast: l.made = static_cast<DType>(draw(6)); break;
      case multiply_add: case gate: l.b = some(t), l.c = some(t); break;
      case less: case less_equal: case greater: case greater_equal: case equal: case not_equal:
        l.made = DType::b8, l.b = some(t);
        break;
      case add: case subtract: case divide: case power: case maximum: case minimum: case remainder:
      case logical_and: case logical_or: case logical_xor:
        l.b = some(t);
        break;
      default: break;
    }
    s.lines.push_back(l);
  }
  for (int64_t n = draw(3) + 1; n > 0; --n)
    s.outputs.push_back(chance(70) ? s.values() - 1 - static_cast<int>(draw(std::min(3, s.values()))) : static_cast<int>(draw(s.values())));
  return s;
}

std::vector<const Table*> tables() {
  std::vector<const Table*> all = {&reference_table()};
  for (const char* name : {"avx2", "avx512", "neon"})
    if (const Table* t = table_named(name)) all.push_back(t);
  return all;
}

std::vector<int64_t> random_shape() {
  static const int64_t sizes[] = {1, 2, 3, 5, 7, 8, 10, 16, 17, 31, 33, 64, 65, 100, 200, 257, 300, 1100};
  std::vector<int64_t> shape(static_cast<size_t>(draw(5)));
  int64_t total = 1;
  for (int64_t& n : shape) {
    n = chance(1) ? 0 : sizes[draw(18)];
    if (total * n > 6000) n = 1 + draw(3);
    total *= n;
  }
  return shape;
}

std::string describe(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (int64_t n : shape) text += std::to_string(n) + " ";
  return text + ")";
}

struct Scratch {
  explicit Scratch(int64_t bytes) : memory((bytes + 63) / 64 * 64) {}
  Memory memory;
};

}  // namespace
