// A whole small step, number by number: straight-line code on registers, one for each number.
#pragma once

#include "core/types.h"

namespace glassgrad {

struct Instruction;
struct Work;

// Eight bytes, whatever the kind of number.
union Number {
  float f;
  double d;
  uint64_t bits;
};

// What a line does. Those of float come first, those of double `tiny_doubles` further on.
enum class Line : uint16_t {
  add, subtract, multiply, divide, negative, multiply_add, maximum, minimum,
  less, less_equal, greater, greater_equal, equal, not_equal, select, absolute, square, gate,
  widen,     // float to double, and narrow the other way
  call_one,  // a function of one number, its Operation in c
  power,
  count
};

constexpr int tiny_doubles = static_cast<int>(Line::count);
constexpr int tiny_end = 2 * tiny_doubles;  // the line after the last
constexpr int tiny_most = 2048;             // registers, and numbers of anything else
constexpr int tiny_lines = 2048;
constexpr int tiny_blocks = 48;
constexpr int tiny_constants = 128;

struct TinyLine {
  uint16_t what, to, a, b, c;
};

struct TinyBlock {  // numbers of one kind end to end: an operand, and where its registers begin
  int slot;
  uint16_t first;
  uint16_t size;
  bool wide;
};

struct TinyConstant {
  uint64_t bits;
  uint16_t to;
};

struct TinyTask {
  int loads, stores, constants, lines, guards, wide_guards;
  TinyBlock load[tiny_blocks];
  TinyBlock store[tiny_blocks];       // `first` is where its registers stand in `stored`
  uint16_t stored[tiny_most];
  uint16_t guard[tiny_most];          // registers that must be finite, floats first
  TinyConstant constant[tiny_constants];
  TinyLine line[tiny_lines];          // the last is tiny_end
};

TinyTask prepare_tiny(const Instruction&, Work*);

}  // namespace glassgrad
