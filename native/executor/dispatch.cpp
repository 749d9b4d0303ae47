// Which instruction set this machine runs.
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "core/table.h"

namespace glassgrad {

const Table* table_named(const char* name) {
  if (std::strcmp(name, "reference") == 0) return &reference_table();
#ifdef GG_HAVE_AVX2
  if (std::strcmp(name, "avx2") == 0) {
    const bool able = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    return able ? &avx2_table() : nullptr;
  }
#endif
#ifdef GG_HAVE_AVX512
  if (std::strcmp(name, "avx512") == 0) {
    const bool able = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
    return able ? &avx512_table() : nullptr;
  }
#endif
#ifdef GG_HAVE_NEON
  if (std::strcmp(name, "neon") == 0) return &neon_table();
#endif
  return nullptr;
}

const Table* best_table() {
  if (const char* asked = std::getenv("GLASSGRAD_ISA"); asked && *asked) return table_named(asked);
  for (const char* name : {"avx512", "avx2", "neon"}) {
    if (const Table* found = table_named(name)) return found;
  }
  return nullptr;
}

}  // namespace glassgrad
