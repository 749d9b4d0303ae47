#include "prepare/attention.h"

#include <algorithm>

#include "prepare/places.h"

namespace glassgrad {
namespace {

using namespace attention_operand;

constexpr int64_t widest_strip = 32;  // numbers: no instruction set has more in a strip of a product
constexpr int64_t block_bytes = 192 * 1024;  // of scores at once: a part of the second cache

int64_t times(int64_t a, int64_t b) {
  int64_t found = 0;
  require(!__builtin_mul_overflow(a, b, &found), "sizes are too large");
  return found;
}

int64_t whole_strips(int64_t size) { return times((size + widest_strip - 1) / widest_strip, widest_strip); }

// An operand of the instruction: a matrix of so many rows and columns for each batch.
struct Matrices {
  const Instruction& in;
  AttentionTask* task;
  Work* work;
  size_t taken = 0;
  const Operand* first = nullptr;  // says the batches
  const Operand* operand[attention_operand::count] = {};

  const Operand& take(int place, DType dtype, int64_t rows, int64_t columns) {
    require(taken < in.operands.size(), "a kernel has too few operands");
    const Operand& o = in.operands[taken];
    require(o.rank >= 2 && o.rank <= max_rank && o.dtype == dtype, "operands do not fit");
    count_of(o.shape, o.rank);
    if (first == nullptr) first = &o;
    require(o.rank == first->rank, "operands do not fit");
    for (int axis = 0; axis < o.rank - 2; ++axis)
      require(o.shape[axis] == first->shape[axis], "batches of another shape");
    require(o.shape[o.rank - 2] == rows && o.shape[o.rank - 1] == columns, "operands do not fit");
    operand[place] = &o;
    task->slot[place] = o.slot;
    task->row[place] = o.stride[o.rank - 2];
    task->column[place] = o.stride[o.rank - 1];
    if (place >= y) {
      require_writable(o);
      work->written.push_back(static_cast<int>(taken));
    }
    ++taken;
    return o;
  }

  void done() const {
    require(taken == in.operands.size(), "a kernel has too many operands");
    for (const int w : work->written)
      for (size_t i = 0; i < taken; ++i)
        require(i == static_cast<size_t>(w) || in.operands[i].slot != in.operands[static_cast<size_t>(w)].slot,
                "a result overlaps another operand");
  }
};

// The next piece of scratch: so many rows of so many numbers.
struct Scratch {
  int64_t used = 0;

  int64_t piece(int64_t rows, int64_t row) {
    const int64_t begin = used;
    require(!__builtin_add_overflow(used, whole_strips(times(rows, row)), &used), "sizes are too large");
    return begin;
  }
};

}  // namespace

AttentionTask prepare_attention(const Instruction& in, Work* work) {
  AttentionTask task{};
  std::fill(std::begin(task.slot), std::end(task.slot), -1);
  const bool back = in.kernel == Kernel::attention_back;
  require(in.ints.size() == (back ? 3 : 2) && in.reals.size() == 1, "a kernel has too few numbers, or too many");
  require(in.operands.size() >= 4, "a kernel has too few operands");
  const int64_t which = back ? in.ints[2] : 0;
  require(!back || (which > 0 && which < 8), "which operands is unclear");
  task.causal = in.ints[0] != 0;
  task.root = in.reals[0];
  require(task.root > 0, "a divisor is above 0");
  work->written.clear();

  const size_t at = back ? 1 : 0;
  for (size_t i = at; i < at + 3; ++i)
    require(in.operands[i].rank >= 2 && in.operands[i].rank <= max_rank, "a rank is out of range");
  const auto last = [&](size_t i, int from_end) { return in.operands[i].shape[in.operands[i].rank - from_end]; };
  task.dtype = in.operands[at].dtype;
  require(task.dtype == DType::f32 || task.dtype == DType::f64, "real numbers are needed");
  task.queries = last(at, 2);
  task.keys = last(at + 1, 2);
  task.width = last(at, 1);
  task.values = last(at + 2, 1);
  require(task.keys > 0 && task.width > 0, "there is nothing to attend to");

  Matrices all{in, &task, work};
  if (back) all.take(g, task.dtype, task.queries, task.values);
  all.take(q, task.dtype, task.queries, task.width);
  all.take(k, task.dtype, task.keys, task.width);
  all.take(v, task.dtype, task.keys, task.values);
  if (in.ints[1] != 0) all.take(mask, DType::b8, task.queries, task.keys);
  if (!back) all.take(y, task.dtype, task.queries, task.values);
  if (which & 1) all.take(dq, task.dtype, task.queries, task.width);
  if (which & 2) all.take(dk, task.dtype, task.keys, task.width);
  if (which & 4) all.take(dv, task.dtype, task.keys, task.values);
  all.done();

  const Operand& any = *all.first;
  std::array<const int64_t*, attention_operand::count> stride{};
  for (size_t i = 0; i < stride.size(); ++i)
    if (all.operand[i] != nullptr) stride[i] = all.operand[i]->stride;
  task.batch = places_of<attention_operand::count>(axes_of(any.rank - 2), any.shape, stride);

  const int64_t size = size_of(task.dtype);
  // Rows that do not begin in the same places of the cache.
  task.scores_row = whole_strips(task.keys) + 16;
  task.width_row = whole_strips(task.width);
  task.values_row = whole_strips(task.values);
  // Few go together where keys that come later need not be looked at. Tiles of a product have six rows.
  const int64_t most = task.causal ? 24 : 48;
  task.block = std::clamp<int64_t>(block_bytes / times(task.scores_row, size) / 6 * 6, 6, most);
  task.blocks = (task.queries + task.block - 1) / task.block;
  task.units = back ? task.batch.count : times(task.batch.count, task.blocks);

  Scratch scratch;
  task.keys_turned = scratch.piece(task.width, task.scores_row);
  if (back) {
    task.values_turned = scratch.piece(task.values, task.scores_row);
    task.keys_as_are = scratch.piece(task.keys, task.width_row);
    task.g_at = scratch.piece(task.block, task.values_row);
    task.d_scores_at = scratch.piece(task.block, task.scores_row);
    task.dk_at = scratch.piece(task.keys, task.width_row);
    task.dv_at = scratch.piece(task.keys, task.values_row);
  } else {
    task.values_as_are = scratch.piece(task.keys, task.values_row);
  }
  task.queries_at = scratch.piece(task.block, task.width_row);
  task.scores_at = scratch.piece(task.block, task.scores_row);
  task.result_at = scratch.piece(task.block, std::max(task.width_row, task.values_row));
  task.sums_at = scratch.piece(1, task.block);
  work->scratch = times(scratch.used, size);

  work->units = std::max<int64_t>(1, task.units);
  double pairs = 0;  // of queries and keys
  for (int64_t i = 0; i < task.blocks; ++i) {
    const int64_t end = std::min(task.queries, (i + 1) * task.block);
    pairs += static_cast<double>(end - i * task.block) * static_cast<double>(task.reach(end));
    if (i > 1 << 16) break;  // only an estimate
  }
  const double wide = static_cast<double>(task.width), deep = static_cast<double>(task.values);
  const double flop = back ? 2 * (3 * wide + 2 * deep) + 34 : 2 * (wide + deep) + 26;  // a power as 20
  work->flop = flop * pairs * static_cast<double>(task.batch.count);
  for (const Operand& o : in.operands)
    work->bytes += static_cast<double>(size_of(o.dtype)) * static_cast<double>(count_of(o.shape, o.rank));
  work->name = task.causal ? "causal" : task.slot[mask] >= 0 ? "masked" : "all keys";
  return task;
}

}  // namespace glassgrad
