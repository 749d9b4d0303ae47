// Proof of `reduce`: against plain loops in long double, and the same bits wherever the numbers lie, on
// every instruction set, for any number of parts.
#include "prepare/reduce.h"

#include "scripts.h"

namespace {

// -- reduce ------------------------------------------------------------------------------------------------------

bool close(Number found, long double exact, long double size, int64_t count) {
  const long double eps = found.t == DType::f32 ? 6e-8L : 1.2e-16L;
  const long double x = found.t == DType::f32 ? found.as<float>() : found.as<double>();
  return std::abs(x - exact) <= eps * (2 + std::log2(static_cast<long double>(count) + 1)) * size + (found.t == DType::f32 ? 2e-45L : 1e-323L);
}

void test_reduce() {
  Script s;
  const Reduction kind = static_cast<Reduction>(draw(6));
  const bool truth = kind == Reduction::any || kind == Reduction::all;
  const bool product = kind == Reduction::prod;
  const DType t = truth ? DType::b8 : chance(60) ? DType::f32 : static_cast<DType>(draw(5));
  const bool real = t == DType::f32 || t == DType::f64;
  s.inputs = {t};
  s.outputs = {0};
  if (!truth && chance(50)) {  // the sum of a product, or of a square
    s.inputs.push_back(t);
    s.lines = {{Operation::multiply, t, t, 0, static_cast<int>(draw(2)), -1}};
    s.outputs = {2};
  }
  std::vector<int64_t> shape = random_shape();
  if (chance(5)) shape = {3000, 1 + draw(20)};
  if (chance(5)) shape = {1 + draw(3), 1 + draw(3000)};
  if (chance(2)) shape = {100000};
  std::vector<int64_t> axes, kept = shape;
  int64_t count = 1;
  for (size_t k = 0; k < shape.size(); ++k)
    if (chance(55)) axes.push_back(static_cast<int64_t>(k)), count *= shape[k], kept[k] = 1;
  if (count == 0 && (kind == Reduction::max || kind == Reduction::min)) return;
  const bool narrow = (t == DType::u32 || t == DType::u8) && (kind == Reduction::sum || product);
  const DType made = narrow ? DType::i64 : t;
  const double divisor = real && kind == Reduction::sum && chance(40) ? 7.0 : 1.0;

  std::vector<std::unique_ptr<Array>> inputs;
  const bool tame = !chance(10);  // numbers to be added or multiplied, without inf and NaN
  for (const DType d : s.inputs) {
    inputs.push_back(std::make_unique<Array>(d, random_layout(shape, false, 0)));
    Array& a = *inputs.back();
    if (real && tame)
      for (int64_t i = 0; i < a.layout.count; ++i) {
        const double x = (static_cast<double>(draw() >> 11) / 9007199254740992.0 - 0.4) * (product ? 0.1 : 2) + (product ? 1 : 0);
        const Number n = d == DType::f32 ? Number::of(d, static_cast<float>(x)) : Number::of(d, x);
        std::memcpy(a.memory->at() + i * size_of(d), &n.bits, static_cast<size_t>(size_of(d)));
      }
    a.keep();
  }
  Array first_result(made, random_layout(kept, true, 0));
  const int64_t results = size_of_shape(kept), total = size_of_shape(shape);
  std::vector<Number> bits;
  for (int layout = 0; layout < 3; ++layout) {
    // The same numbers in other places: the sums must be the same.
    std::vector<std::unique_ptr<Array>> arrays;
    Instruction in{Kernel::reduce, true, {}, {static_cast<int64_t>(kind), static_cast<int64_t>(shape.size())}, {divisor}};
    in.ints.insert(in.ints.end(), shape.begin(), shape.end());
    in.ints.push_back(static_cast<int64_t>(axes.size()));
    in.ints.insert(in.ints.end(), axes.begin(), axes.end());
    s.write(in.ints);
    for (size_t k = 0; k < s.inputs.size(); ++k) {
      arrays.push_back(std::make_unique<Array>(s.inputs[k], random_layout(shape, true, layout)));
      Array& a = *arrays.back();
      for (int64_t i = 0; i < total; ++i) {
        const Number n = (*inputs[k])[i];
        std::memcpy(a.memory->at() + place_of(a.layout, i) * size_of(n.t), &n.bits, static_cast<size_t>(size_of(n.t)));
      }
      in.operands.push_back(operand(static_cast<int>(k), s.inputs[k], a.layout));
    }
    arrays.push_back(std::make_unique<Array>(made, random_layout(kept, true, static_cast<int>(draw(3)))));
    const Array& out = *arrays.back();
    in.operands.push_back(operand(static_cast<int>(s.inputs.size()), made, out.layout));
    Work work;
    const ReduceTask task = prepare_reduce(in, &work);
    std::vector<char*> slots;
    for (const auto& a : arrays) slots.push_back(a->slot());
    for (const Table* table : tables()) {
      const int parts = 1 + static_cast<int>(draw(4));
      for (const auto& a : arrays) a->restore();
      for (size_t k = 0; k < s.inputs.size(); ++k)
        for (int64_t i = 0; i < total; ++i) {
          const Number n = (*inputs[k])[i];
          std::memcpy(arrays[k]->memory->at() + place_of(arrays[k]->layout, i) * size_of(n.t), &n.bits, static_cast<size_t>(size_of(n.t)));
        }
      for (int part = 0; part < parts; ++part) {
        const Scratch scratch(work.scratch);
        table->reduce(task, {slots.data(), part, parts, scratch.memory.at(), nullptr});
      }
      for (int64_t i = 0; i < results; ++i) {
        if (bits.size() <= static_cast<size_t>(i)) bits.push_back(out[i]);
        if (!same(bits[static_cast<size_t>(i)], out[i]))
          return fail(std::string("reduce on ") + table->name + " " + describe(shape) + " over " + describe(axes) +
                      ": other bits in layout " + std::to_string(layout) + " " + work.name);
      }
    }
  }
  // What it should be, by plain loops.
  std::vector<long double> sum(static_cast<size_t>(results), product ? 1 : 0), size(static_cast<size_t>(results), 0);
  std::vector<int64_t> whole(static_cast<size_t>(results), 0);
  std::vector<bool> begun(static_cast<size_t>(results), false), nan(static_cast<size_t>(results), false);
  for (int64_t i = 0; i < total; ++i) {
    int64_t rest = i, at = 0, step = 1;
    for (size_t k = shape.size(); k-- > 0;) {
      const int64_t index = rest % shape[k];
      rest /= shape[k];
      if (kept[k] != 1) at += index * step;
      step *= kept[k];
    }
    std::vector<Number> given;
    for (const auto& a : inputs) given.push_back((*a)[i]);
    const Number x = evaluate(s, given)[0];
    const size_t r = static_cast<size_t>(at);
    const long double v = t == DType::f32 ? x.as<float>() : t == DType::f64 ? x.as<double>() : 0;
    const int64_t w = t == DType::i64 ? x.as<int64_t>() : t == DType::u32 ? int64_t{x.as<uint32_t>()} : int64_t{x.as<uint8_t>()};
    if (std::isnan(v)) nan[r] = true;
    const bool begin = !begun[r];
    begun[r] = true;
    switch (kind) {
      case Reduction::sum: sum[r] += v, size[r] += std::abs(v), whole[r] = static_cast<int64_t>(static_cast<uint64_t>(whole[r]) + static_cast<uint64_t>(w)); break;
      case Reduction::prod: sum[r] *= v; whole[r] = begin ? w : static_cast<int64_t>(static_cast<uint64_t>(whole[r]) * static_cast<uint64_t>(w)); break;
      case Reduction::max: sum[r] = begin || v > sum[r] ? v : sum[r]; whole[r] = begin || w > whole[r] ? w : whole[r]; break;
      case Reduction::min: sum[r] = begin || v < sum[r] ? v : sum[r]; whole[r] = begin || w < whole[r] ? w : whole[r]; break;
      case Reduction::any: whole[r] = begin ? w : whole[r] | w; break;
      default: whole[r] = begin ? w : whole[r] & w; break;
    }
  }
  for (int64_t i = 0; i < results; ++i) {
    const size_t r = static_cast<size_t>(i);
    const Number found = bits[r];
    bool right;
    if (!real) {
      if (!begun[r]) whole[r] = product || kind == Reduction::all;
      right = found.bits == cast_line(Number::of(DType::i64, whole[r]), made).bits;
    } else {
      const long double x = found.t == DType::f32 ? found.as<float>() : found.as<double>();
      const long double wanted = sum[r] / divisor;
      if (nan[r] || !std::isfinite(found.t == DType::f32 ? static_cast<float>(wanted) : static_cast<double>(wanted))) right = std::isnan(x) || x == wanted || product || kind == Reduction::sum;
      else if (kind == Reduction::sum) right = close(found, wanted, size[r] / divisor, count);
      else if (product) right = !tame || close(found, wanted, std::abs(wanted) * static_cast<long double>(count), count);
      else right = x == wanted;
      if (nan[r] && !std::isnan(x)) right = false;
    }
    if (!right) {
      std::printf("found %.9g wanted %.9Lg whole %ld bits %lu\n", found.t == DType::f32 ? double(found.as<float>()) : found.as<double>(), sum[r] / divisor, whole[r], found.bits);
      return fail("reduce kind " + std::to_string(static_cast<int>(kind)) + " dtype " + std::to_string(static_cast<int>(t)) + " " + describe(shape) + " over " + describe(axes) + " result " + std::to_string(i));
    }
  }
}
}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 500;
  for (int i = 0; i < rounds && failures == 0; ++i) test_reduce();
  std::printf("%d rounds, %d failures\n", rounds, failures);
  return failures != 0;
}
