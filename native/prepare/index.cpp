#include "prepare/index.h"

#include "prepare/places.h"

namespace glassgrad {
namespace {

const Operand& operand(const Instruction& in, size_t k) { return in.operands[k]; }

void require_operands(const Instruction& in, size_t count, size_t ints) {
  require(in.operands.size() == count, "a kernel has too many operands, or too few");
  require(in.ints.size() == ints, "a kernel has too many whole numbers, or too few");
  require(in.reals.empty(), "a kernel takes no reals");
  for (const Operand& o : in.operands) {
    require(o.rank >= 0 && o.rank <= max_rank, "a rank is out of range");
    count_of(o.shape, o.rank);
  }
}

void require_positions(const Operand& index) {
  require(index.dtype == DType::i64, "positions are i64");
}

void require_arithmetic(DType dtype) {
  require(dtype == DType::f32 || dtype == DType::f64 || dtype == DType::i64,
          "sums are of f32, f64 or i64");
}

void require_order(DType dtype) { require(dtype != DType::b8, "truth values have no order"); }

// The result lies apart from an input, or, where that is allowed, exactly on it.
void require_apart(const Operand& result, const Operand& input, bool on_it = false) {
  require(result.slot != input.slot || (on_it && same_place(result, input)),
          "a result overlaps an input");
}

int axis_of(const Instruction& in, size_t k, const Operand& operand) {
  require(in.ints[k] >= 0 && in.ints[k] < operand.rank, "an axis is out of range");
  return static_cast<int>(in.ints[k]);
}

// A row of a table is what lies behind its first axis.
void take_rows(const Operand& table, const Operand& index, const Operand& rows) {
  require(table.rank >= 1, "a scalar has no rows");
  require(rows.rank == index.rank + table.rank - 1 && rows.dtype == table.dtype,
          "rows do not fit their table");
  for (int i = 0; i < rows.rank; ++i) {
    const int64_t size = i < index.rank ? index.shape[i] : table.shape[i - index.rank + 1];
    require(rows.shape[i] == size, "rows do not fit their table");
  }
}

void take(const Instruction& in, IndexTask* task) {
  require_operands(in, 3, 0);
  const Operand &x = operand(in, 0), &index = operand(in, 1), &y = operand(in, 2);
  require_positions(index);
  take_rows(x, index, y);
  require_apart(y, x);
  require_apart(y, index);
  require_writable(y);
  task->size = x.shape[0];
  task->along[0] = x.stride[0];
  task->outer = places_of<3>(axes_of(index.rank), index.shape, {index.stride, y.stride, nullptr});
  task->row = places_of<3>(axes_of(x.rank - 1), x.shape + 1,
                          {x.stride + 1, y.stride + index.rank, nullptr});
  task->whole_rows = task->row.rank == 0 || (task->row.rank == 1 && task->row.stride[0][0] == 1 &&
                                             task->row.stride[0][1] == 1);
  task->units = task->outer.count;
}

void add_at(const Instruction& in, IndexTask* task) {
  require_operands(in, 4, 0);
  const Operand &x = operand(in, 0), &index = operand(in, 1), &values = operand(in, 2),
                &y = operand(in, 3);
  require_positions(index);
  require_arithmetic(x.dtype);
  take_rows(x, index, values);
  require(same_shape(x, y) && x.dtype == y.dtype, "a result does not fit");
  require_apart(y, x, true);
  require_apart(y, index);
  require_apart(y, values);
  require_writable(y);
  task->size = x.shape[0];
  task->along[0] = x.stride[0];
  task->along[3] = y.stride[0];
  task->outer =
      places_of<3>(axes_of(index.rank), index.shape, {index.stride, values.stride, nullptr});
  task->row = places_of<3>(axes_of(x.rank - 1), x.shape + 1,
                          {x.stride + 1, values.stride + index.rank, y.stride + 1});
  // Wide rows are divided among all, of narrow ones each part has some. Either way a number is
  // added to by one part alone, in ascending order of the positions.
  constexpr int64_t block = 16;
  task->by_columns = task->row.rank == 1 && task->row.count >= 2 * block;
  task->units = task->by_columns ? (task->row.count + block - 1) / block : task->size;
}

void pick(const Instruction& in, IndexTask* task) {
  require_operands(in, 3, 0);
  const Operand &x = operand(in, 0), &index = operand(in, 1), &y = operand(in, 2);
  require_positions(index);
  require(x.rank >= 1 && lacks_axis(index, x, x.rank - 1), "positions do not fit");
  require(same_shape(index, y) && x.dtype == y.dtype, "a result does not fit");
  require_apart(y, x);
  require_apart(y, index);
  require_writable(y);
  task->size = x.shape[x.rank - 1];
  task->along[0] = x.stride[x.rank - 1];
  task->outer = places_of<3>(axes_of(index.rank), index.shape, {x.stride, index.stride, y.stride});
  task->units = task->outer.count;
}

void put_at(const Instruction& in, IndexTask* task) {
  require_operands(in, 3, 0);
  const Operand &index = operand(in, 0), &values = operand(in, 1), &y = operand(in, 2);
  require_positions(index);
  require(y.rank >= 1 && lacks_axis(index, y, y.rank - 1), "positions do not fit");
  require(same_shape(index, values) && values.dtype == y.dtype, "a result does not fit");
  require_apart(y, index);
  require_apart(y, values);
  require_writable(y);
  task->size = y.shape[y.rank - 1];
  task->along[2] = y.stride[y.rank - 1];
  task->outer =
      places_of<3>(axes_of(index.rank), index.shape, {index.stride, values.stride, y.stride});
  task->units = task->outer.count;
}

void subtract_one_at(const Instruction& in, IndexTask* task) {
  require_operands(in, 3, 0);
  const Operand &x = operand(in, 0), &index = operand(in, 1), &y = operand(in, 2);
  require_positions(index);
  require_arithmetic(x.dtype);
  require(x.rank >= 1 && lacks_axis(index, x, x.rank - 1), "positions do not fit");
  require(same_shape(x, y) && x.dtype == y.dtype, "a result does not fit");
  require_apart(y, x, true);
  require_apart(y, index);
  require_writable(y);
  task->size = x.shape[x.rank - 1];
  task->along[0] = x.stride[x.rank - 1];
  task->along[2] = y.stride[x.rank - 1];
  task->outer = places_of<3>(axes_of(index.rank), index.shape, {x.stride, index.stride, y.stride});
  task->units = task->outer.count;
}

// take_along_axis reads at positions of a table, add_along_axis adds there.
void along_axis(const Instruction& in, IndexTask* task) {
  require_operands(in, 3, 1);
  const bool takes = in.kernel == Kernel::take_along_axis;
  const size_t at = takes ? 0 : 2;  // of the table
  const Operand &table = operand(in, at), &index = operand(in, takes ? 1 : 0);
  const Operand &other = operand(in, takes ? 2 : 1), &y = operand(in, 2);
  require_positions(index);
  if (!takes) require_arithmetic(table.dtype);
  const int axis = axis_of(in, 0, table);
  require(index.rank == table.rank && same_shape(index, other) && other.dtype == table.dtype,
          "positions do not fit");
  for (int i = 0; i < table.rank; ++i) {
    require(i == axis || index.shape[i] == table.shape[i], "positions do not fit");
  }
  require_apart(y, operand(in, 0));
  require_apart(y, operand(in, 1));
  require_writable(y);
  task->size = table.shape[axis];
  task->count = index.shape[axis];
  for (size_t k = 0; k < 3; ++k) task->along[k] = operand(in, k).stride[axis];
  task->outer = places_of<3>(
      axes_of(index.rank, axis), index.shape,
      {operand(in, 0).stride, operand(in, 1).stride, operand(in, 2).stride});
  task->units = task->outer.count;
}

// argmax, argmin, argsort, cumsum: from the numbers along an axis.
void along(const Instruction& in, IndexTask* task) {
  const bool sorts = in.kernel == Kernel::argsort, adds = in.kernel == Kernel::cumsum;
  require_operands(in, 2, sorts ? 2 : 1);
  const Operand &x = operand(in, 0), &y = operand(in, 1);
  const int axis = axis_of(in, 0, x);
  require(y.dtype == (adds ? x.dtype : DType::i64), "a result has another dtype");
  require_apart(y, x, adds);
  require_writable(y);
  task->size = x.shape[axis];
  task->along[0] = x.stride[axis];
  if (adds) {
    require_arithmetic(x.dtype);
  } else {
    require_order(x.dtype);
  }
  if (adds || sorts) {
    require(same_shape(x, y), "a result does not fit");
    task->along[1] = y.stride[axis];
    task->outer = places_of<3>(axes_of(x.rank, axis), x.shape, {x.stride, y.stride, nullptr});
    task->descending = sorts && in.ints[1] != 0;
  } else {
    require(lacks_axis(y, x, axis), "a result does not fit");
    const auto strides = without_axis(y, axis);
    task->outer = places_of<3>(axes_of(x.rank, axis), x.shape, {x.stride, strides.data(), nullptr});
    require(task->outer.count == 0 || task->size > 0, "no numbers to choose from");
  }
  task->units = task->outer.count;
}

void arange(const Instruction& in, IndexTask* task) {
  require_operands(in, 1, 0);
  const Operand& y = operand(in, 0);
  require(y.rank == 1 && y.dtype == DType::i64, "positions are i64, along one axis");
  require_writable(y);
  task->size = y.shape[0];
  task->along[0] = y.stride[0];
  task->units = task->size;
}

// What is read and written, for the profile.
double bytes_of(const Instruction& in) {
  double bytes = 0;
  for (const Operand& o : in.operands) {
    bytes += static_cast<double>(count_of(o.shape, o.rank) * size_of(o.dtype));
  }
  return bytes;
}

}  // namespace

IndexTask prepare_index(const Instruction& in, Work* work) {
  IndexTask task{};
  task.kernel = in.kernel;
  switch (in.kernel) {
    case Kernel::take: take(in, &task); break;
    case Kernel::add_at: add_at(in, &task); break;
    case Kernel::pick: pick(in, &task); break;
    case Kernel::put_at: put_at(in, &task); break;
    case Kernel::subtract_one_at: subtract_one_at(in, &task); break;
    case Kernel::take_along_axis:
    case Kernel::add_along_axis: along_axis(in, &task); break;
    case Kernel::argmax:
    case Kernel::argmin:
    case Kernel::argsort:
    case Kernel::cumsum: along(in, &task); break;
    case Kernel::arange: arange(in, &task); break;
    default: require(false, "this is no kernel of positions");
  }
  const bool values_second = in.kernel == Kernel::put_at || in.kernel == Kernel::add_along_axis;
  task.dtype = operand(in, values_second ? 1 : 0).dtype;
  for (size_t k = 0; k < in.operands.size(); ++k) task.slot[k] = operand(in, k).slot;

  work->units = task.units < 1 ? 1 : task.units;
  work->bytes = bytes_of(in);
  work->written = {static_cast<int>(in.operands.size()) - 1};
  work->name = "rows";
  if (in.kernel == Kernel::argsort) {
    require(!__builtin_mul_overflow(task.size, 32, &work->scratch), "sizes are too large");
  }
  if (in.kernel == Kernel::add_at) work->name = task.by_columns ? "by columns" : "by rows";
  return task;
}

}  // namespace glassgrad
