// Memory of a plan's own: zero at first, at the start of a cache line, in large pages where it is large.
#pragma once

#include <cstdint>
#include <memory>

namespace glassgrad {

struct FreeArena {
  void* block = nullptr;  // what was asked for, of which the arena is the aligned part
  void operator()(char*) const;
};

using Arena = std::unique_ptr<char[], FreeArena>;

Arena make_arena(int64_t bytes);  // raises std::bad_alloc

}  // namespace glassgrad
