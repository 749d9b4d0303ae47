#include "guard.h"

#include <algorithm>

#include "core/table.h"

namespace glassgrad {
namespace {

constexpr int64_t chunk = 4096;  // numbers that one part looks at together

// Numbers without a gap become one piece.
GuardArray guarded(const Operand& x) {
  GuardArray a{};
  a.slot = x.slot;
  a.wide = x.dtype == DType::f64;
  a.pieces = 1;
  a.length = 1;
  int last = x.rank - 1;
  for (; last >= 0 && (x.shape[last] == 1 || x.stride[last] == a.length); --last) {
    a.length *= x.shape[last];
  }
  for (int axis = 0; axis <= last; ++axis) {
    a.size[a.rank] = x.shape[axis];
    a.stride[a.rank++] = x.stride[axis] * size_of(x.dtype);
    a.pieces *= x.shape[axis];
  }
  if (a.length == 0) a.pieces = 0;
  return a;
}

bool finite(const GuardTask& task, const GuardArray& a, const char* start, int64_t count) {
  return a.wide ? task.finite_f64(reinterpret_cast<const double*>(start), count)
                : task.finite_f32(reinterpret_cast<const float*>(start), count);
}

bool finite(const GuardTask& task, const GuardArray& a, const Frame& f) {
  const char* base = f.slot[a.slot];
  const int64_t width = a.wide ? 8 : 4;
  if (a.pieces == 1) {
    const Range chunks = share((a.length + chunk - 1) / chunk, f.part, f.parts);
    const int64_t begin = chunks.begin * chunk, end = std::min(chunks.end * chunk, a.length);
    return begin >= end || finite(task, a, base + begin * width, end - begin);
  }
  const Range pieces = share(a.pieces, f.part, f.parts);
  for (int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
    const char* start = base;
    for (int64_t axis = a.rank - 1, rest = piece; axis >= 0; --axis) {
      start += rest % a.size[axis] * a.stride[axis];
      rest /= a.size[axis];
    }
    if (!finite(task, a, start, a.length)) return false;
  }
  return true;
}

}  // namespace

GuardTask prepare_guard(const Instruction& in, const Table& table, Work* work) {
  if (!in.ints.empty() || !in.reals.empty()) throw PlanError("guard takes no numbers");
  if (!table.finite_f32 || !table.finite_f64) throw PlanError("guard: not in this instruction set");
  GuardTask task{{}, table.finite_f32, table.finite_f64};
  work->name = "guard";
  for (const Operand& x : in.operands) {
    if (x.dtype != DType::f32 && x.dtype != DType::f64) throw PlanError("guard looks at real numbers");
    task.arrays.push_back(guarded(x));
    const GuardArray& a = task.arrays.back();
    const int64_t count = a.pieces * a.length;
    work->bytes += static_cast<double>(count * size_of(x.dtype));
    work->flop += static_cast<double>(count);
    work->units = std::max(work->units, a.pieces == 1 ? (a.length + chunk - 1) / chunk : a.pieces);
  }
  return task;
}

void run_guard(const GuardTask& task, const Frame& frame) {
  for (const GuardArray& a : task.arrays) {
    if (finite(task, a, frame)) continue;
    frame.fault->found = true;
    return;
  }
}

}  // namespace glassgrad
