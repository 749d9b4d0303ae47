// Running a program over one block of its space after the other.
#pragma once

#include "core/types.h"
#include "kernels/steps.h"
#include "kernels/stride.h"

namespace glassgrad::GG_ISA {
namespace {

// A program at work: where each value of the present block is.
class Blocks {
 public:
  // `inner` is the address of an input that has no slot (-1), if there is one.
  [[gnu::noinline]] Blocks(const Program& program, const Space& space, const Frame& frame, char* inner = nullptr)
      : program_(program), space_(space), scratch_(frame.scratch) {
    const int constants = program.inputs;
    for (int i = 0; i < program.constants; ++i)
      value_[constants + i] = {const_cast<char*>(program.constant[i]), 0, 1};
    for (int i = 0; i < program.steps; ++i) {
      const int v = constants + program.constants + i;
      value_[v] = {frame.scratch + space.home[v], 1, 1};
    }
    for (int i = 0; i < space.inputs; ++i) {
      const Place& p = space.place[i];
      base_[i] = p.slot < 0 ? inner : frame.slot[p.slot];
      Value& v = value_[i];
      v = {base_[i], 1, 0};
      if (p.access == Access::flat || p.access == Access::row) continue;
      v = {frame.scratch + p.base, 1, 1};
      if (p.access == Access::scalar) {
        v.move = 0;
        splat(v.at, base_[i], p.size);
      } else if (p.access == Access::row_scalar) {
        v.move = 0;
      } else if (p.access == Access::periodic) {
        expand(p, base_[i], v.at);
      }
    }
    for (int i = space.inputs; i < space.inputs + space.outputs; ++i) {
      const Place& p = space.place[i];
      if (p.slot >= 0) base_[i] = frame.slot[p.slot];
      if (p.access != Access::strided) value_[p.value] = {base_[i], 1, 0};
    }
  }

  // Computes the block of so many numbers from a position on, and stores what is stored.
  [[gnu::noinline]] void run(int64_t position, int64_t count) {
    for (int i = 0; i < space_.inputs; ++i) {
      const Place& p = space_.place[i];
      Value& v = value_[i];
      switch (p.access) {
        case Access::flat:
          v.at = base_[i] + position * p.size;
          break;
        case Access::scalar:
          break;
        case Access::row:
          v.at = base_[i] + offset_of(space_, p, position) * p.size;
          break;
        case Access::row_scalar:
          splat(v.at, base_[i] + offset_of(space_, p, position) * p.size, p.size);
          break;
        case Access::periodic:
          v.at = block_of(p) + position % p.period * p.size;
          break;
        case Access::strided:
          gather(space_, p, base_[i], v.at, position, count);
          break;
      }
    }
    for (int i = space_.inputs; i < space_.inputs + space_.outputs; ++i) {
      const Place& p = space_.place[i];
      if (p.access == Access::flat) value_[p.value].at = base_[i] + position * p.size;
      else if (p.access == Access::row) value_[p.value].at = base_[i] + offset_of(space_, p, position) * p.size;
    }
    for (int k = 0; k < program_.steps; ++k) {
      const Step step = program_.step[k];
      step_table.function[step.function](value_, step, count);
    }
    for (int i = space_.inputs; i < space_.inputs + space_.outputs; ++i) {
      const Place& p = space_.place[i];
      if (p.access == Access::strided && p.slot >= 0)
        scatter(space_, p, base_[i], value_[p.value].at, position, count);
    }
  }

  void move_inner(char* inner) { base_[0] = inner; }

  // The numbers of a value of the block that was run last.
  char* value(int v) const { return value_[v].at; }

 private:
  char* block_of(const Place& p) const { return scratch_ + p.base; }

  static void splat(char* to, const char* from, int size) {
    if (size == 4) splat_as<Bytes4>(to, from);
    else if (size == 8) splat_as<Bytes8>(to, from);
    else splat_as<Bytes1>(to, from);
  }

  template <class T>
  static void splat_as(char* to, const char* from) {
    const T x = *reinterpret_cast<const T*>(from);
    for (size_t i = 0; i < splat_bytes / sizeof(T); ++i) reinterpret_cast<T*>(to)[i] = x;
  }

  // One period, and then copies of what is there already.
  void expand(const Place& p, const char* from, char* to) const {
    const int64_t wanted = space_.block + p.period;
    gather(space_, p, from, to, 0, p.period);
    for (int64_t have = p.period; have < wanted;) {
      const int64_t more = have < wanted - have ? have : wanted - have;
      std::memcpy(to + have * p.size, to, static_cast<size_t>(more * p.size));
      have += more;
    }
  }

  const Program& program_;
  const Space& space_;
  char* scratch_;
  char* base_[max_operands];
  Value value_[max_values];
};

}  // namespace
}  // namespace glassgrad::GG_ISA
