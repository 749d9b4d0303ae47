// What every part of the native executor shares: kinds of numbers, operands, instructions, frames.
#pragma once

#include <cstdint>

namespace glassgrad {

enum class DType : int64_t { f32 = 0, f64 = 1, i64 = 2, u32 = 3, u8 = 4, b8 = 5 };

constexpr int64_t size_of(DType t) {
  return t == DType::f64 || t == DType::i64 ? 8 : t == DType::f32 || t == DType::u32 ? 4 : 1;
}

constexpr int max_rank = 8;
constexpr int lanes = 16;  // virtual lanes of every sum that is not a chain

// Kernels and elementwise operations; their order here is their number.
enum class Kernel : int64_t {
#define GG_KERNEL(name) name,
#include "catalogue.def"
#undef GG_KERNEL
  count
};

enum class Operation : int64_t {
#define GG_OPERATION(name) name,
#include "catalogue.def"
#undef GG_OPERATION
  count
};

enum class Reduction : int64_t {
#define GG_REDUCTION(name) name,
#include "catalogue.def"
#undef GG_REDUCTION
  count
};

// A position outside its table, which a kernel met and did not follow: it wrote this and returned.
struct Fault {
  bool found;
  int64_t position;
  int64_t size;  // 0 <= position < size would have been inside
};

// Where a kernel finds its operands, and which share of the work is meant.
struct Frame {
  char* const* slot;  // addresses, by slot
  int part;
  int parts;
  char* scratch;  // of this part, 64-byte aligned
  Fault* fault;   // of this part; where it says found, the plan stops after this instruction
};

struct Range {
  int64_t begin;
  int64_t end;
};

// The units that a part works on: the same for every kernel that divides as many units.
constexpr Range share(int64_t units, int part, int parts) {
  return {units * part / parts, units * (part + 1) / parts};
}

// Rows of 16 are not torn apart where there are many, so that a part has whole vectors.
constexpr Range share_rows(int64_t rows, int part, int parts) {
  const int64_t block = rows >= 64 ? 16 : 1;
  const Range blocks = share((rows + block - 1) / block, part, parts);
  const int64_t begin = blocks.begin * block;
  const int64_t end = blocks.end * block;
  return {begin < rows ? begin : rows, end < rows ? end : rows};
}

}  // namespace glassgrad
