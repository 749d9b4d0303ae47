// exp and log over numbers in a row, in place.
#pragma once

#include "core/types.h"

namespace glassgrad::GG_ISA {
namespace {

inline void exp_all(float* x, int64_t n) { for (int64_t i = 0; i < n; ++i) x[i] = __builtin_expf(x[i]); }
inline void exp_all(double* x, int64_t n) { for (int64_t i = 0; i < n; ++i) x[i] = __builtin_exp(x[i]); }
inline void log_all(float* x, int64_t n) { for (int64_t i = 0; i < n; ++i) x[i] = __builtin_logf(x[i]); }
inline void log_all(double* x, int64_t n) { for (int64_t i = 0; i < n; ++i) x[i] = __builtin_log(x[i]); }

}  // namespace
}  // namespace glassgrad::GG_ISA
