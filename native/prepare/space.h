// Where a program runs: the space of its numbers, cut into blocks that stay in the first cache, and how
// each operand lies in it. A plain struct, so that kernels may read it; space.cpp makes it.
#pragma once

#include "program.h"

namespace glassgrad {

struct Operand;

constexpr int max_operands = max_inputs + max_outputs;

// How a block of an operand is found.
enum class Access : uint8_t {
  flat,      // in place: its numbers lie in the order of the space
  scalar,    // one number for all, repeated once for each call
  row,       // in place: a block never crosses a row, and along a row the stride is 1
  row_scalar,  // one number for each row, repeated for each block
  periodic,  // the same in every row (or group of rows): copied out once for each call
  strided    // anything else: copied into, or out of, a block of its own
};

struct Place {
  int32_t slot;
  Access access;
  uint8_t value;    // of the program
  uint8_t size;     // bytes of a number
  int32_t base;     // offset in scratch of the block of an operand that is not in place
  int64_t period;   // periodic: how many numbers until it repeats
  int64_t stride[max_rank];  // in elements, along the axes of the space
};

struct Space {
  int rank;                 // axes after those that can be taken together were
  int64_t size[max_rank];
  int64_t total;
  int64_t block;            // numbers at once, at most
  int64_t row;              // blocks do not cross multiples of it; 0: they may
  int inputs;
  int outputs;
  Place place[max_operands];  // inputs, then outputs
  int32_t home[max_values];   // offset in scratch of the block of a step's result; -1: in place
  int64_t scratch;            // bytes
};

// What a space is made of. `order` says which axes of the operands are its axes, the slowest first.
struct SpaceRequest {
  const Operand* inputs[max_inputs];
  const Operand* outputs[max_outputs];  // nullptr: the result stays in its block
  int rank;
  int order[max_rank];
  int64_t size[max_rank];    // of the axes of the operands
  int64_t whole = 16;        // a block within a row is a multiple of so many numbers
  int64_t rows_from = 192;   // rows of so many numbers or more are never crossed
};

Space make_space(const Program&, const SpaceRequest&);

// Raises PlanError unless every output has numbers of its own, and shares memory with an input only by
// having its slot and its layout.
void check_memory(const SpaceRequest&, const Program&);

}  // namespace glassgrad
