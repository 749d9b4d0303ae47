// Elementary functions on registers: the same sequence of operations in every lane and on every
// instruction set, to the last bit. float32 within 3 units in the last place for every input,
// float64 within 2 (native/tests/ulp.cpp and tests/backends/native/test_elementary.py hold them to
// it).
//
//   exp expm1 tanh sigmoid sinh cosh    math_exp.h
//   log log2 log10 log1p                math_log.h
//   sin cos tan arcsin arccos           math_trig.h
//   erf                                 math_erf.h
//   power(x, y), remainder(a, b)        math_power.h
//
// each from Vec<T> to Vec<T>, T float or double.
#pragma once

#include "core/types.h"
#include "kernels/math_base.h"
#include "kernels/math_erf.h"
#include "kernels/math_exp.h"
#include "kernels/math_log.h"
#include "kernels/math_power.h"
#include "kernels/math_trig.h"

namespace glassgrad::GG_ISA {
namespace {

// y = f(x...) for n numbers in a row, a register at a time; y may be one of them. The last few take the
// same turn of the loop, so that the function stands here once.
template <class T, class F, class... A> void each(int64_t n, T* y, F f, const A*... x) {
  constexpr int64_t w = Vec<T>::width;
  for (int64_t i = 0; i < n; i += w) {
    const int64_t left = n - i;
    const Vec<T> made = f((left >= w ? Vec<T>::load(x + i) : Vec<T>::load_first(x + i, left))...);
    if (left >= w) made.store(y + i);
    else made.store_first(y + i, left);
  }
}

// The functions of one number, by name. X(name of the operation, expression in a)
#define GG_ELEMENTARY(X) \
  X(exp, exp(a))         \
  X(expm1, expm1(a))     \
  X(log, log(a))         \
  X(log2, log2(a))       \
  X(log10, log10(a))     \
  X(log1p, log1p(a))     \
  X(tanh, tanh(a))       \
  X(sigmoid, sigmoid(a)) \
  X(erf, erf(a))         \
  X(sqrt, sqrt(a))       \
  X(sin, sin(a))         \
  X(cos, cos(a))         \
  X(tan, tan(a))         \
  X(arcsin, arcsin(a))   \
  X(arccos, arccos(a))   \
  X(sinh, sinh(a))       \
  X(cosh, cosh(a))

// Other operations do nothing.
template <class T> void run_unary(Operation f, const T* x, T* y, int64_t n) {
  switch (f) {
#define GG_CASE(name, expression) \
  case Operation::name:           \
    return each(n, y, [](Vec<T> a) { return expression; }, x);
    GG_ELEMENTARY(GG_CASE)
#undef GG_CASE
    default:
      return;
  }
}

template <class T> void run_binary(Operation f, const T* x, const T* y, T* z, int64_t n) {
  switch (f) {
    case Operation::power:
      return each(n, z, [](Vec<T> a, Vec<T> b) { return power(a, b); }, x, y);
    case Operation::remainder:
      return each(n, z, [](Vec<T> a, Vec<T> b) { return remainder(a, b); }, x, y);
    default:
      return;
  }
}

}  // namespace
}  // namespace glassgrad::GG_ISA
