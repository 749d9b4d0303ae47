// Random numbers, made ready.
#pragma once

#include "core/types.h"

namespace glassgrad {

struct Instruction;
struct Work;

struct RandomTask {
  int seed, step, result;  // slots
  uint64_t stream;
  int64_t count;           // of numbers
  bool wide;               // 53 of 64 bits make a number, else 24 of 32
  bool mask;               // not the number is kept but whether it is at least the threshold
  uint64_t threshold;      // in units of the last bit of a number
};

constexpr int64_t random_unit = 256;  // numbers that are drawn by one part

RandomTask prepare_random(const Instruction& instruction, Work* work);

}  // namespace glassgrad
