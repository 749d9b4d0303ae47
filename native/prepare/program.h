// A program made ready: straight-line code on blocks of numbers. A plain struct, so that kernels may
// read it; program.cpp makes it.
#pragma once

#include "core/types.h"

namespace glassgrad {

constexpr int max_inputs = 24;
constexpr int max_constants = 32;
constexpr int max_steps = 64;
constexpr int max_outputs = 8;
constexpr int max_values = max_inputs + max_constants + max_steps;
constexpr int dtypes = 6;
constexpr int splat_bytes = 16 * 8;  // one number, repeated: 16 of the widest kind

// What a step may do is numbered in one row: first every operation of the catalogue for every kind
// of number, then what program.cpp makes of two operations that follow each other. Two in one take
// the same roundings as one after the other, hence give the same bits; they only spare the way
// through memory.
enum class First : int { add, subtract, multiply, divide, sqrt, square, negative, count };
enum class Second : int {
  add,            // t + c
  subtract,       // t - c
  subtract_from,  // c - t
  multiply,
  divide,         // t / c
  divide_into,    // c / t
  maximum,        // of t and c
  minimum,
  count
};
enum class Compare : int { less, less_equal, greater, greater_equal, equal, not_equal, count };

// Longer ones that updates and gates are full of.
enum class Chain : int {
  products,         // a b + c d
  square_products,  // a b + c d d
  root,             // sqrt(a / b) + c
  quotient,         // d - a b / c
  count
};

constexpr int first_cast = static_cast<int>(Operation::count) * dtypes;
constexpr int first_mask = first_cast + dtypes * dtypes;
constexpr int first_pair = first_mask + dtypes;
constexpr int first_gate =
    first_pair + 2 * static_cast<int>(First::count) * static_cast<int>(Second::count);
constexpr int first_choice = first_gate + 2 * static_cast<int>(Compare::count);
constexpr int first_chain = first_choice + 2 * static_cast<int>(Compare::count);
constexpr int step_functions = first_chain + 2 * static_cast<int>(Chain::count);

constexpr int plain_function(Operation f, DType t) {
  return static_cast<int>(f) * dtypes + static_cast<int>(t);
}
constexpr int cast_function(DType from, DType to) {  // a copy, where they are the same
  return first_cast + static_cast<int>(from) * dtypes + static_cast<int>(to);
}
// a times a truth value b
constexpr int mask_function(DType t) { return first_mask + static_cast<int>(t); }
// The rest is for f32 and f64 alone: t = first(a, b) or first(a), and then second(t, c).
constexpr int pair_function(First f, Second g, DType t) {
  return first_pair + 2 * (static_cast<int>(f) * static_cast<int>(Second::count) +
                           static_cast<int>(g)) + static_cast<int>(t);
}
// a * (b > c)
constexpr int gate_function(Compare f, DType t) {
  return first_gate + 2 * static_cast<int>(f) + static_cast<int>(t);
}
// c > d ? a : b
constexpr int choice_function(Compare f, DType t) {
  return first_choice + 2 * static_cast<int>(f) + static_cast<int>(t);
}

constexpr int chain_function(Chain f, DType t) {
  return first_chain + 2 * static_cast<int>(f) + static_cast<int>(t);
}

// The numbers of values: operands that are not there are 0.
struct Step {
  uint16_t function;
  uint8_t out, a, b, c, d;
};

// Values are numbered: inputs, constants, one for each step.
struct Program {
  int32_t inputs;
  int32_t constants;
  int32_t steps;
  int32_t outputs;
  DType dtype[max_values];
  Step step[max_steps];
  uint8_t output[max_outputs];  // values; each is the result of a step, and none is given twice
  alignas(64) char constant[max_constants][splat_bytes];

  int first_result() const { return inputs + constants; }
  int values() const { return inputs + constants + steps; }
};

static_assert(max_values <= 256);

// Reads a program from whole numbers (native/README.md) and raises PlanError for one that does not
// hold together. `at` is moved behind it. `keep` says that no two steps may become one.
Program read_program(const int64_t** at, const int64_t* end, int inputs, const DType* dtype,
                     bool keep = false);

// A program whose results are its inputs, each as another kind of number.
Program cast_program(int inputs, const DType* from, const DType* to);

// Where the program's outputs are nothing but one input.
bool is_copy(const Program&);

}  // namespace glassgrad
