// Proof of `map`, and of programs over the rows of a product: random programs, shapes and layouts against
// plain loops, on every instruction set, with pages around every operand that may not be touched.
#include "scripts.h"

namespace {

// -- map ---------------------------------------------------------------------------------------------------------

void test_map(bool keep) {
  const Script s = random_script(4, 7);
  const std::vector<int64_t> shape = random_shape();
  std::vector<std::unique_ptr<Array>> arrays;
  Instruction in{Kernel::map, true, {}, {static_cast<int64_t>(shape.size())}, {}};
  in.ints.insert(in.ints.end(), shape.begin(), shape.end());
  s.write(in.ints);
  for (const DType t : s.inputs) {
    arrays.push_back(std::make_unique<Array>(t, random_layout(shape, false, static_cast<int>(draw(6)))));
    in.operands.push_back(operand(static_cast<int>(arrays.size()) - 1, t, arrays.back()->layout));
  }
  for (const int o : s.outputs) {
    const DType t = s.dtype(o);
    int slot = -1;  // sometimes that of an input with numbers of the same size
    for (size_t i = 0; i < s.inputs.size() && chance(50); ++i) {
      const Layout& l = arrays[i]->layout;
      bool usable = size_of(s.inputs[i]) == size_of(t);
      for (size_t k = 0; k < shape.size(); ++k) usable = usable && (shape[k] == 1 || l.stride[k] > 0);
      for (size_t k = s.inputs.size(); k < in.operands.size(); ++k)
        usable = usable && in.operands[k].slot != static_cast<int>(i);
      if (usable) slot = static_cast<int>(i);
    }
    if (slot < 0) {
      arrays.push_back(std::make_unique<Array>(t, random_layout(shape, true, static_cast<int>(draw(3)))));
      slot = static_cast<int>(arrays.size()) - 1;
    }
    in.operands.push_back(operand(slot, t, arrays[static_cast<size_t>(slot)]->layout));
  }
  Work work;
  const MapTask task = prepare_map(in, &work, keep);
  std::vector<char*> slots;
  for (const auto& a : arrays) slots.push_back(a->slot());
  const int64_t total = size_of_shape(shape);
  std::vector<std::vector<Number>> expected;
  for (int64_t i = 0; i < total; ++i) {
    std::vector<Number> given;
    for (size_t k = 0; k < s.inputs.size(); ++k) given.push_back(arrays[k]->was(i));
    expected.push_back(evaluate(s, given));
  }
  for (const Table* table : tables()) {
    const int parts = 1 + static_cast<int>(draw(4));
    for (const auto& a : arrays) a->restore();
    for (int part = 0; part < parts; ++part) {
      const Scratch scratch(work.scratch);
      table->map(task, {slots.data(), part, parts, scratch.memory.at(), nullptr});
    }
    for (size_t o = 0; o < s.outputs.size(); ++o) {
      const Operand& to = in.operands[s.inputs.size() + o];
      const Array& out = *arrays[static_cast<size_t>(to.slot)];
      for (int64_t i = 0; i < total; ++i) {
        const Number found = read(out.memory->at() + place_of(out.layout, i) * size_of(to.dtype), to.dtype);
        const Number wanted = expected[static_cast<size_t>(i)][o];
        if (same(found, wanted)) continue;
        fail(std::string("map on ") + table->name + " " + describe(shape) + " output " + std::to_string(o) + " number " +
             std::to_string(i) + " of " + work.name + ": " + std::to_string(found.bits) + " for " + std::to_string(wanted.bits));
        for (const Line& l : s.lines)
          std::printf("   op %d on %d: %d %d %d\n", static_cast<int>(l.op), static_cast<int>(l.of), l.a, l.b, l.c);
        return;
      }
      // What lies between the numbers of an output stays as it was.
      std::vector<bool> written(static_cast<size_t>(out.layout.count), false);
      for (int64_t i = 0; i < total; ++i) written[static_cast<size_t>(place_of(out.layout, i))] = true;
      for (int64_t k = 0; k < out.layout.count; ++k)
        if (!written[static_cast<size_t>(k)] &&
            std::memcmp(out.memory->at() + k * size_of(to.dtype), out.before.data() + k * size_of(to.dtype),
                        static_cast<size_t>(size_of(to.dtype))) != 0)
          return fail("map wrote beside an output");
    }
  }
}

// -- programs over the rows of a product -------------------------------------------------------------------

void test_rows() {
  Script s = random_script(4, 6);
  if (s.inputs[0] != DType::f32 && s.inputs[0] != DType::f64) return;
  std::vector<int64_t> shape = {1 + draw(3), 1 + draw(20), chance(50) ? 1 + draw(40) : 190 + draw(20)};
  std::vector<int64_t> text;
  s.write(text);
  const int64_t* at = text.data();
  const Program program = read_program(&at, at + text.size(), static_cast<int>(s.inputs.size()), s.inputs.data());
  std::vector<std::unique_ptr<Array>> arrays;
  std::vector<Operand> operands;
  for (size_t i = 0; i < s.inputs.size() + s.outputs.size(); ++i) {
    const bool output = i >= s.inputs.size();
    const DType t = output ? s.dtype(s.outputs[i - s.inputs.size()]) : s.inputs[i];
    arrays.push_back(std::make_unique<Array>(t, random_layout(shape, output || i == 0, i == 0 ? 0 : static_cast<int>(draw(output ? 3 : 6)))));
    operands.push_back(operand(static_cast<int>(i), t, arrays.back()->layout));
  }
  std::vector<const Operand*> inputs, outputs;
  for (size_t i = 1; i < operands.size(); ++i) (i < s.inputs.size() ? inputs : outputs).push_back(&operands[i]);
  const RowsTask task = prepare_rows(operands[0], inputs.data(), outputs.data(), program);
  std::vector<char*> slots;
  for (const auto& a : arrays) slots.push_back(a->slot());
  const int64_t size = size_of(s.inputs[0]), m = shape[1], n = shape[2];
  const Array& product = *arrays[0];
  // Sometimes the product was computed where the first output will be.
  const Array& first = *arrays[s.inputs.size()];
  const bool there = first.t == s.inputs[0] && first.layout.stride[2] == 1 && chance(50);
  for (const Table* table : tables()) {
    for (const auto& a : arrays) a->restore();
    const Scratch scratch(task.space.scratch);
    const Frame frame{slots.data(), 0, 1, scratch.memory.at(), nullptr};
    const int64_t rows = 1 + draw(m), columns = chance(50) ? n : 1 + draw(n);
    for (int64_t b = 0; b < shape[0]; ++b)
      for (int64_t i = 0; i < m; i += rows)
        for (int64_t j = 0; j < n; j += columns) {
          const int64_t height = std::min(rows, m - i), width = std::min(columns, n - j);
          const Memory panel(height * width * size);
          char* to = there ? first.slot() + (b * first.layout.stride[0] + i * first.layout.stride[1] + j) * size : panel.at();
          const int64_t stride = there ? first.layout.stride[1] : width;
          for (int64_t r = 0; r < height; ++r)
            for (int64_t c = 0; c < width; ++c) {
              const Number x = product.was((b * m + i + r) * n + j + c);
              std::memcpy(to + (r * stride + c) * size, &x.bits, static_cast<size_t>(size));
            }
          table->rows(task, frame, b, i, height, j, width, to, stride);
        }
    for (int64_t k = 0; k < shape[0] * m * n; ++k) {
      std::vector<Number> given;
      for (size_t i = 0; i < s.inputs.size(); ++i) given.push_back(arrays[i]->was(k));
      const std::vector<Number> wanted = evaluate(s, given);
      for (size_t o = 0; o < outputs.size(); ++o)
        if (!same((*arrays[s.inputs.size() + o])[k], wanted[o]))
          return fail(std::string("rows on ") + table->name + " " + describe(shape) + " output " + std::to_string(o));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 1500;
  for (int i = 0; i < rounds && failures == 0; ++i) test_map(chance(20));
  for (int i = 0; i < rounds / 2 && failures == 0; ++i) test_rows();
  std::printf("%d rounds, %d failures\n", rounds, failures);
  return failures != 0;
}
