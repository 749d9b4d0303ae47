#include "arena.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace glassgrad {

void FreeArena::operator()(char*) const { std::free(block); }

Arena make_arena(int64_t bytes) {
  constexpr int64_t line = 64, large = int64_t{2} << 20;
  const int64_t alignment = bytes >= large ? large : line;
  if (bytes < 0 || bytes > INT64_MAX - 2 * alignment) throw std::bad_alloc();
  const int64_t size = (bytes / alignment + 1) * alignment;
  // Of large memory, calloc gives pages that take no room before they are touched.
  void* block = std::calloc(1, static_cast<size_t>(size + alignment));
  if (!block) throw std::bad_alloc();
  const auto step = static_cast<uintptr_t>(alignment);
  const uintptr_t start = (reinterpret_cast<uintptr_t>(block) + step - 1) / step * step;
  char* memory = static_cast<char*>(block) + (start - reinterpret_cast<uintptr_t>(block));
#if defined(__linux__)
  if (alignment == large) madvise(memory, static_cast<size_t>(size), MADV_HUGEPAGE);
#endif
  return Arena(memory, FreeArena{block});
}

}  // namespace glassgrad
