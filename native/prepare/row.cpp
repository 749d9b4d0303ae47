#include "prepare/row.h"

#include <algorithm>

#include "prepare/places.h"

namespace glassgrad {
namespace {

// An instruction on its way to a task: the operands by what they are.
struct Parts {
  const Instruction& in;
  RowTask* task;
  Work* work;
  const Operand* operand[row_operands] = {};
  size_t taken = 0;
  size_t ints = 0;

  const Operand& take(int place, bool written = false) {
    require(taken < in.operands.size(), "a kernel has too few operands");
    const Operand& o = in.operands[taken];
    require(o.rank >= 0 && o.rank <= max_rank, "a rank is out of range");
    count_of(o.shape, o.rank);
    operand[place] = &o;
    task->slot[place] = o.slot;
    if (written) {
      require_writable(o);
      work->written.push_back(static_cast<int>(taken));
    }
    ++taken;
    return o;
  }

  int64_t number() {
    require(ints < in.ints.size(), "a kernel has too few whole numbers");
    return in.ints[ints++];
  }

  // Nothing is left over, and every result lies apart from the inputs, or exactly on one.
  void done(size_t reals) const {
    require(taken == in.operands.size() && ints == in.ints.size() && in.reals.size() == reals,
            "a kernel has too many operands or numbers");
    for (const int w : work->written) {
      const Operand& result = in.operands[static_cast<size_t>(w)];
      for (size_t k = 0; k < taken; ++k) {
        const Operand& other = in.operands[k];
        if (&other == &result || other.slot != result.slot) continue;
        const bool read = std::find(work->written.begin(), work->written.end(),
                                    static_cast<int>(k)) == work->written.end();
        require(read && same_place(result, other), "a result overlaps another operand");
      }
    }
  }

  // The rows are the places along `axes`; an operand that lacks them has stride 0 there.
  void split(const Operand& whole, const std::vector<int>& axes,
             const std::array<const int64_t*, row_operands>& stride) {
    std::vector<int> others;
    for (int axis = 0; axis < whole.rank; ++axis) {
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) others.push_back(axis);
    }
    task->outer = places_of<row_operands>(others, whole.shape, stride);
    task->row = places_of<row_operands>(axes, whole.shape, stride);
    task->size = task->row.count;
    task->dtype = whole.dtype;
    require(whole.dtype == DType::f32 || whole.dtype == DType::f64, "real numbers are needed");
  }

  bool in_pieces(const std::vector<int>& operands) const {
    if (task->row.rank > 1) return false;
    for (const int k : operands) {
      if (operand[k] != nullptr && task->row.rank == 1 && task->row.stride[0][k] != 1) return false;
    }
    return true;
  }
};

void fits(const Operand& a, const Operand& b) {
  require(same_shape(a, b) && a.dtype == b.dtype, "operands do not fit");
}

// Short rows side by side where there are some; the sums are the same either way.
void softmax_way(const Parts& parts, std::vector<int> dense) {
  RowTask* task = parts.task;
  if (task->row.rank <= 1 && task->size <= lanes && task->outer.count >= 4) {
    task->way = RowWay::beside;
  } else {
    task->way = parts.in_pieces(dense) ? RowWay::along : RowWay::gathered;
    // The powers of a row, and the row itself where it is copied together.
    int64_t numbers = 0;
    require(!__builtin_mul_overflow(task->size + 16, 3 * 8, &numbers), "sizes are too large");
    parts.work->scratch = numbers;
  }
}

void softmax(Parts& parts) {
  const Operand& x = parts.take(softmax_operand::x);
  const Operand& y = parts.take(softmax_operand::y, true);
  const int64_t axis = parts.number();
  require(axis >= 0 && axis < x.rank, "an axis is out of range");
  parts.done(0);
  fits(x, y);
  parts.split(x, {static_cast<int>(axis)}, {x.stride, y.stride});
  softmax_way(parts, {softmax_operand::x, softmax_operand::y});
  parts.task->units = parts.task->outer.count;
}

void cross_entropy(Parts& parts) {
  RowTask* task = parts.task;
  const int64_t loss = parts.number(), d = parts.number();
  task->ignores = parts.number() != 0;
  task->ignored = parts.number();
  require(loss >= 0 && loss <= 2 && d >= 0 && d <= 2 && loss + d > 0, "which results is unclear");
  task->mean = loss == 2;
  task->shared = d == 2;
  const Operand& z = parts.take(entropy_operand::z);
  const Operand& target = parts.take(entropy_operand::target);
  require(z.rank >= 1 && lacks_axis(target, z, z.rank - 1) && target.dtype == DType::i64,
          "one position for each row is needed");
  std::array<const int64_t*, row_operands> stride{z.stride, target.stride};
  if (loss > 0) {
    const Operand& result = parts.take(entropy_operand::loss, true);
    require(result.dtype == z.dtype, "operands do not fit");
    require(task->mean ? count_of(result.shape, result.rank) == 1 : same_shape(result, target),
            "a loss does not fit");
    if (!task->mean) stride[entropy_operand::loss] = result.stride;
  }
  if (d > 0) {
    const Operand& result = parts.take(entropy_operand::d, true);
    fits(z, result);
    stride[entropy_operand::d] = result.stride;
  }
  parts.done(1);
  task->smoothing = parts.in.reals[0];
  require(task->smoothing >= 0 && task->smoothing <= 1, "smoothing is from 0 to 1");
  // Operands of the rows alone have no stride along the last axis.
  int64_t padded[2][max_rank] = {};
  for (int i = 0; i < z.rank - 1; ++i) {
    padded[0][i] = target.stride[i];
    if (stride[entropy_operand::loss]) padded[1][i] = stride[entropy_operand::loss][i];
  }
  stride[entropy_operand::target] = padded[0];
  stride[entropy_operand::loss] = padded[1];
  parts.split(z, {z.rank - 1}, stride);
  require(task->size > 0 || task->outer.count == 0, "there are no classes");
  softmax_way(parts, {entropy_operand::z, entropy_operand::d});
  task->units = task->mean ? 1 : task->outer.count;
}

std::vector<int> axes_in(Parts& parts) {
  const int64_t count = parts.number();
  require(count >= 1 && count <= max_rank, "too many axes");
  std::vector<int> axes;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t axis = parts.number();
    require(axis >= 0 && axis < max_rank && (axes.empty() || axis > axes.back()),
            "axes are ascending");
    axes.push_back(static_cast<int>(axis));
  }
  return axes;
}

// One number for each row: of size 1 along the axes.
void fits_rows(const Operand& operand, const Operand& whole, const std::vector<int>& axes) {
  bool fits = operand.rank == whole.rank && operand.dtype == whole.dtype;
  for (int axis = 0; fits && axis < whole.rank; ++axis) {
    const bool reduced = std::find(axes.begin(), axes.end(), axis) != axes.end();
    fits = operand.shape[axis] == (reduced ? 1 : whole.shape[axis]);
  }
  require(fits, "operands do not fit");
}

// `dense` lie as the numbers do, `stretched` may be the same for all rows or along each,
// `by_row` are one number for each row.
void normal_way(Parts& parts, const std::vector<int>& axes, const std::vector<int>& dense,
                const std::vector<int>& stretched, const std::vector<int>& by_row) {
  RowTask* task = parts.task;
  const Operand& x = *parts.operand[0];
  require(axes.back() < x.rank, "an axis is out of range");
  std::array<const int64_t*, row_operands> stride{};
  for (const std::vector<int>* group : {&dense, &stretched}) {
    for (const int k : *group) {
      if (parts.operand[k] == nullptr) continue;
      fits(x, *parts.operand[k]);
      stride[static_cast<size_t>(k)] = parts.operand[k]->stride;
    }
  }
  int64_t without[row_operands][max_rank] = {};
  for (const int k : by_row) {
    if (parts.operand[k] == nullptr) continue;
    fits_rows(*parts.operand[k], x, axes);
    for (int axis = 0; axis < x.rank; ++axis) {
      const bool reduced = std::find(axes.begin(), axes.end(), axis) != axes.end();
      without[k][axis] = reduced ? 0 : parts.operand[k]->stride[axis];
    }
    stride[static_cast<size_t>(k)] = without[k];
  }
  parts.split(x, axes, stride);
  require(task->size > 0 || task->outer.count == 0, "no numbers to take the mean of");

  const int last = task->outer.rank - 1;
  bool columns = last >= 0 && task->row.rank == 1;
  bool along = parts.in_pieces(dense);
  for (const int k : dense) {
    columns = columns && (parts.operand[k] == nullptr || task->outer.stride[last][k] == 1);
  }
  for (const int k : stretched) {
    if (parts.operand[k] == nullptr) continue;
    columns = columns && task->row.stride[0][k] == 0;
    along = along && (task->row.rank == 0 || task->row.stride[0][k] <= 1) &&
            (task->row.rank == 0 || task->row.stride[0][k] >= 0);
  }
  task->way = along ? RowWay::along : columns ? RowWay::columns : RowWay::gathered;
  task->units = task->outer.count;
  if (task->way == RowWay::columns) {
    task->blocks = task->outer;
    task->columns = task->outer.size[last];
    --task->blocks.rank;
    task->blocks.count = task->columns > 0 ? task->outer.count / task->columns : 0;
    task->units = task->blocks.count * ((task->columns + columns_at_once - 1) / columns_at_once);
  }
  if (task->way == RowWay::gathered) {
    const int64_t rows = static_cast<int64_t>(dense.size() + stretched.size());
    require(!__builtin_mul_overflow(task->size, rows * 8, &parts.work->scratch),
            "sizes are too large");
  }
}

void normalise(Parts& parts) {
  using namespace normalise_operand;
  const std::vector<int> axes = axes_in(parts);
  const int64_t which = parts.number();
  require(which > 0 && which < 1 << 7, "which operands is unclear");
  parts.task->centred = parts.number() != 0;
  require(parts.task->centred || (which >> (mean - scale) & 1) == 0, "a mean is not taken");
  parts.take(x);
  for (int k = scale; k <= std; ++k) {
    if (which >> (k - scale) & 1) parts.take(k, k >= normalised);
  }
  parts.done(1);
  require(which >> 2 != 0, "a result is needed");
  require(parts.operand[result] == nullptr || (which & 3) != 0, "a result needs scale or shift");
  parts.task->eps = parts.in.reals[0];
  normal_way(parts, axes, {x, normalised, result}, {scale, shift}, {mean, variance, std});
}

void normalise_back(Parts& parts) {
  using namespace back_operand;
  const std::vector<int> axes = axes_in(parts);
  const bool scaled = parts.number() != 0;
  parts.task->centred = parts.number() != 0;
  parts.take(d);
  if (scaled) parts.take(scale);
  parts.take(normalised);
  parts.take(std);
  parts.take(dx, true);
  parts.done(0);
  normal_way(parts, axes, {d, normalised, dx}, {scale}, {std});
}

}  // namespace

RowTask prepare_row(const Instruction& in, Work* work) {
  RowTask task{};
  task.kernel = in.kernel;
  for (int& slot : task.slot) slot = -1;
  work->written.clear();
  Parts parts{in, &task, work};
  double cost = 0;  // flop for each number, a power as 20
  switch (in.kernel) {
    case Kernel::softmax:
    case Kernel::log_softmax: softmax(parts), cost = 25; break;
    case Kernel::cross_entropy: cross_entropy(parts), cost = 26; break;
    case Kernel::normalise: normalise(parts), cost = 7; break;
    case Kernel::normalise_back: normalise_back(parts), cost = 8; break;
    default: require(false, "this is no kernel of rows");
  }
  const double numbers = static_cast<double>(task.outer.count) * static_cast<double>(task.size);
  work->flop = cost * numbers;
  work->bytes = 0;
  for (const Operand& o : in.operands) {
    work->bytes += static_cast<double>(count_of(o.shape, o.rank) * size_of(o.dtype));
  }
  work->units = task.units < 1 ? 1 : task.units;
  // Rows of a matrix; what has one number for each row has the axis, too.
  const Operand& first = in.operands[0];
  if (first.rank == 2 && task.size == first.shape[1] && task.units == first.shape[0]) {
    work->rows = task.units;
    for (const Operand& o : in.operands) work->row_axis.push_back(o.rank > 0 ? 0 : -1);
  }
  const char* names[] = {"beside", "along", "columns", "gathered"};
  work->name = names[static_cast<int>(task.way)];
  return task;
}

}  // namespace glassgrad
