// A tiny step: lines of code on registers that lie in scratch. Each line costs about a nanosecond,
// which is what calling a kernel for a few numbers costs many times over.
#pragma once

#include <cstring>

#include "prepare/tiny.h"
#include "kernels/math.h"

namespace glassgrad::GG_ISA {
namespace {
namespace tiny_step {

template <typename T>
T& of(Number& number) {
  if constexpr (sizeof(T) == 4) {
    return number.f;
  } else {
    return number.d;
  }
}

template <typename T>
T fused(T a, T b, T c) {
  if constexpr (sizeof(T) == 4) {
    return __builtin_fmaf(a, b, c);
  } else {
    return __builtin_fma(a, b, c);
  }
}

// Functions are those of whole vectors, so that their bits are the same; and in registers: what was
// stored as one number and is loaded as a vector waits for memory.
template <typename T>
T call(int operation, T number) {
  const Vec<T> a = Vec<T>::splat(number);
  switch (static_cast<Operation>(operation)) {
#define GG_CASE(name, expression) \
  case Operation::name:           \
    return (expression)[0];
    GG_ELEMENTARY(GG_CASE)
#undef GG_CASE
    default:
      return number;
  }
}

template <typename T>
T to_the(T a, T b) {
  return power(Vec<T>::splat(a), Vec<T>::splat(b))[0];
}

// Whether a number is finite: it differs from itself by 0 only then.
template <typename T>
bool finite(T x) {
  return x - x == 0;
}

#define GG_LINE(name, expression)                                              \
  case static_cast<int>(Line::name): {                                         \
    of<float>(r[line->to]) = [&](float a, float b, float c) -> float {         \
      (void)b;                                                                 \
      (void)c;                                                                 \
      using T [[maybe_unused]] = float;                                                      \
      return expression;                                                       \
    }(r[line->a].f, r[line->b].f, r[line->c].f);                               \
    break;                                                                     \
  }                                                                            \
  case static_cast<int>(Line::name) + tiny_doubles: {                          \
    of<double>(r[line->to]) = [&](double a, double b, double c) -> double {    \
      (void)b;                                                                 \
      (void)c;                                                                 \
      using T [[maybe_unused]] = double;                                                      \
      return expression;                                                       \
    }(r[line->a].d, r[line->b].d, r[line->c].d);                               \
    break;                                                                     \
  }

inline void walk(const TinyLine* line, Number* r) {
  for (;; ++line) {
    switch (line->what) {
      GG_LINE(add, a + b)
      GG_LINE(subtract, a - b)
      GG_LINE(multiply, a * b)
      GG_LINE(divide, a / b)
      GG_LINE(negative, -a)
      GG_LINE(multiply_add, fused<T>(a, b, c))
      GG_LINE(maximum, a > b || a != a ? a : b)
      GG_LINE(minimum, a < b || a != a ? a : b)
      GG_LINE(less, static_cast<T>(a < b))
      GG_LINE(less_equal, static_cast<T>(a <= b))
      GG_LINE(greater, static_cast<T>(a > b))
      GG_LINE(greater_equal, static_cast<T>(a >= b))
      GG_LINE(equal, static_cast<T>(a == b))
      GG_LINE(not_equal, static_cast<T>(a != b))
      GG_LINE(select, a != 0 ? b : c)
      GG_LINE(absolute, static_cast<T>(sizeof(T) == 4 ? __builtin_fabsf(static_cast<float>(a))
                                                      : __builtin_fabs(a)))
      GG_LINE(square, a * a)
      GG_LINE(gate, a * static_cast<T>(b > c))
      case static_cast<int>(Line::widen):
        r[line->to].d = static_cast<double>(r[line->a].f);
        break;
      case static_cast<int>(Line::widen) + tiny_doubles:
        r[line->to].f = static_cast<float>(r[line->a].d);
        break;
      case static_cast<int>(Line::call_one):
        r[line->to].f = call<float>(line->c, r[line->a].f);
        break;
      case static_cast<int>(Line::call_one) + tiny_doubles:
        r[line->to].d = call<double>(line->c, r[line->a].d);
        break;
      case static_cast<int>(Line::power):
        r[line->to].f = to_the<float>(r[line->a].f, r[line->b].f);
        break;
      case static_cast<int>(Line::power) + tiny_doubles:
        r[line->to].d = to_the<double>(r[line->a].d, r[line->b].d);
        break;
      default:
        return;
    }
  }
}

#undef GG_LINE

}  // namespace tiny_step

inline void run_tiny(const TinyTask& task, const Frame& frame) {
  if (frame.part != 0) return;
  Number* r = reinterpret_cast<Number*>(frame.scratch);
  for (int i = 0; i < task.loads; ++i) {
    const TinyBlock& block = task.load[i];
    const char* from = frame.slot[block.slot];
    for (int k = 0; k < block.size; ++k) {
      if (block.wide) {
        std::memcpy(&r[block.first + k].d, from + 8 * k, 8);
      } else {
        std::memcpy(&r[block.first + k].f, from + 4 * k, 4);
      }
    }
  }
  for (int i = 0; i < task.constants; ++i) r[task.constant[i].to].bits = task.constant[i].bits;
  tiny_step::walk(task.line, r);
  bool finite = true;
  for (int i = 0; i < task.guards; ++i) finite &= tiny_step::finite(r[task.guard[i]].f);
  for (int i = task.guards; i < task.guards + task.wide_guards; ++i) {
    finite &= tiny_step::finite(r[task.guard[i]].d);
  }
  if (!finite) {
    *frame.fault = {true, 0, 0};
    return;
  }
  for (int i = 0; i < task.stores; ++i) {
    const TinyBlock& block = task.store[i];
    char* to = frame.slot[block.slot];
    for (int k = 0; k < block.size; ++k) {
      const Number& number = r[task.stored[block.first + k]];
      if (block.wide) {
        std::memcpy(to + 8 * k, &number.d, 8);
      } else {
        std::memcpy(to + 4 * k, &number.f, 4);
      }
    }
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
