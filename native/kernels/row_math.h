// exp and log of numbers in a row, in place.
#pragma once

#include "kernels/math.h"

namespace glassgrad::GG_ISA {
namespace {

template <typename T>
void exp_all(T* x, int64_t count) {
  each(count, x, [](Vec<T> number) { return exp(number); }, x);
}

template <typename T>
void log_all(T* x, int64_t count) {
  each(count, x, [](Vec<T> number) { return log(number); }, x);
}

}  // namespace
}  // namespace glassgrad::GG_ISA
