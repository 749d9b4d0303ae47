#include "prepare/pool.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "prepare/places.h"

namespace glassgrad {
namespace {

constexpr int space_axes = 3;

// Which operand is which, and which of them is written in what shape.
struct Form {
  int position[pool_operand::count];  // among the operands, -1 where a kernel has none
  bool written[pool_operand::count];
};

Form form_of(const Instruction& in) {
  switch (in.kernel) {
    case Kernel::max_pool:
      return {{0, 1, in.operands.size() > 2 ? 2 : -1}, {false, true, true}};
    case Kernel::max_place: return {{0, 1, 2}, {false, false, true}};
    case Kernel::max_unpool: return {{2, 0, 1}, {true, false, false}};
    case Kernel::max_pick: return {{0, 2, 1}, {false, true, false}};
    case Kernel::mean_pool: return {{0, 1, -1}, {false, true, false}};
    case Kernel::mean_unpool:
    case Kernel::uncolumns: return {{1, 0, -1}, {true, false, false}};
    default: throw PlanError("this is no kernel of windows");
  }
}

int64_t times(int64_t a, int64_t b) {
  int64_t found;
  require(!__builtin_mul_overflow(a, b, &found), "sizes are too large");
  return found;
}

// An instruction on its way to a task.
struct Parts {
  const Instruction& in;
  PoolTask* task;
  Form form;
  const Operand* operand[pool_operand::count] = {};
  PoolAxis axis[pool_axes] = {};  // in the order of the images

  bool columns() const { return in.kernel == Kernel::uncolumns; }
  bool chooses() const { return in.kernel == Kernel::max_pool || in.kernel == Kernel::max_place; }
  bool goes_back() const { return form.written[pool_operand::image]; }

  void read_operands() {
    using namespace pool_operand;
    size_t there = 0;
    for (int k = 0; k < count; ++k) there += form.position[k] >= 0;
    require(in.operands.size() == there, "a kernel has too many operands, or too few");
    for (int k = 0; k < count; ++k) {
      task->slot[k] = -1;
      if (form.position[k] < 0) continue;
      const Operand& o = in.operands[static_cast<size_t>(form.position[k])];
      require(o.rank >= 0 && o.rank <= max_rank, "a rank is out of range");
      count_of(o.shape, o.rank);
      operand[k] = &o;
      task->slot[k] = o.slot;
      if (form.written[k]) require_writable(o);
      for (int other = 0; other < k; ++other) {
        if (operand[other] == nullptr || !(form.written[k] || form.written[other])) continue;
        require(o.slot != operand[other]->slot, "a result overlaps another operand");
      }
    }
    task->dtype = operand[image]->dtype;
    require(task->dtype == DType::f32 || task->dtype == DType::f64, "images are f32 or f64");
    require(operand[value]->dtype == task->dtype, "operands do not fit");
    task->rank = operand[image]->rank;
    require(task->rank >= 3 && task->rank <= 2 + space_axes, "images have one to three axes of space");
    require(operand[value]->rank == (columns() ? 3 : task->rank), "operands do not fit");
  }

  void read_numbers() {
    const int space = task->rank - 2;
    const size_t more = columns() ? static_cast<size_t>(space) : chooses() ? 1 : 0;
    const size_t wanted = 1 + 2 * static_cast<size_t>(space) + more;
    require(in.ints.size() == wanted && in.ints[0] == space && in.reals.empty(),
            "windows need a size and a stride for each axis of space");
    const int64_t* ints = in.ints.data() + 1;
    for (int a = 0; a < task->rank; ++a) {
      PoolAxis& x = axis[a];
      const int k = a - 2;
      x.pixels = operand[pool_operand::image]->shape[a];
      x.kernel = k < 0 ? 1 : ints[k];
      x.stride = k < 0 ? 1 : ints[space + k];
      x.dilation = k < 0 || !columns() || x.kernel == 1 ? 1 : ints[2 * space + k];
      require(x.kernel >= 1 && x.stride >= 1 && x.dilation >= 1, "a window has no size");
      int64_t room;
      require(!__builtin_mul_overflow(x.dilation, x.kernel - 1, &room) &&
                  (k < 0 || x.pixels > room),
              "a window is larger than its image");
      x.windows = k < 0 ? x.pixels : (x.pixels - room - 1) / x.stride + 1;
    }
    if (chooses()) {
      require(ints[2 * space] == 0 || ints[2 * space] == 1, "a choice is 0 or 1");
      task->positive = ints[2 * space] == 1;
      require(!task->positive || operand[pool_operand::place] != nullptr, "there are no places");
    }
    task->kernel_size = 1;
    for (int a = task->rank - 1; a >= 0; --a) {
      axis[a].weight = task->kernel_size;
      task->kernel_size = times(task->kernel_size, axis[a].kernel);
    }
    require(task->kernel_size < std::numeric_limits<int32_t>::max(), "a window is too large");
  }

  // Places are one byte each where that is enough.
  void read_places() {
    const Operand* o = operand[pool_operand::place];
    if (o == nullptr) return;
    task->wide = task->kernel_size > 255;
    require(o->dtype == (task->wide ? DType::u32 : DType::u8), "places have another dtype");
    require(same_shape(*o, *operand[pool_operand::value]), "operands do not fit");
  }

  void read_steps() {
    const Operand& value = *operand[pool_operand::value];
    int64_t after = 1;  // columns: windows along the axes that follow
    for (int a = task->rank - 1; a >= 0; --a) {
      PoolAxis& x = axis[a];
      for (int k = 0; k < pool_operand::count; ++k) {
        if (operand[k] != nullptr && (k != pool_operand::value || !columns())) {
          x.step[k] = operand[k]->stride[a];
        }
      }
      if (!columns()) {
        require(value.shape[a] == x.windows, "these are not the windows of these images");
      } else if (a >= 2) {
        x.step[pool_operand::value] = times(value.stride[2], after);
        after = times(after, x.windows);
      } else {
        x.step[pool_operand::value] = a == 0 ? value.stride[0] : times(value.stride[1], task->kernel_size);
      }
    }
    if (!columns()) return;
    task->column = value.stride[1];
    require(value.shape[0] == axis[0].pixels && value.shape[2] == after &&
                value.shape[1] == times(axis[1].pixels, task->kernel_size),
            "these are not the columns of these images");
  }

  void choose_way() {
    bool apart = true;  // no two windows share a pixel
    for (int a = 0; a < task->rank; ++a) {
      apart = apart && (axis[a].windows <= 1 || axis[a].kernel <= axis[a].stride);
    }
    task->way = goes_back() && (columns() || !apart) ? PoolWay::pixels : PoolWay::windows;
    task->covered = true;
    for (int a = 0; a < task->rank; ++a) {
      PoolAxis& x = axis[a];
      // Where there is one window only, no step leads to the next.
      if (x.windows <= 1) x.stride = task->way == PoolWay::pixels ? 1 : x.kernel;
      task->covered = task->covered && x.kernel == x.stride && times(x.windows, x.stride) == x.pixels;
    }
  }

  // The axes by the memory that is written, those of one number left out. Gives the order, as axes of
  // the images: the one that moves slowest first, the one of the vectors last.
  std::vector<int> order_axes() const {
    const Operand& result = *operand[goes_back() ? pool_operand::image
                                     : form.written[pool_operand::value] ? pool_operand::value
                                                                         : pool_operand::place];
    const auto step = [&](int a) { return result.shape[a] > 1 ? std::abs(result.stride[a]) : 0; };
    std::vector<int> order;
    for (int a = 0; a < task->rank; ++a) {
      if (axis[a].pixels != 1) order.push_back(a);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return step(a) > step(b); });
    const auto last = std::find_if(order.rbegin(), order.rend(), [&](int a) { return step(a) > 0; });
    if (last != order.rend()) std::rotate(last.base() - 1, last.base(), order.end());
    return order;
  }
};

PoolAxis axis_of_one() {
  PoolAxis one{};
  one.pixels = one.windows = one.kernel = one.stride = one.dilation = one.weight = 1;
  return one;
}

void choose_blocks(PoolTask* task, Work* work) {
  const PoolAxis& last = task->axis[task->rank - 1];
  const int64_t* step = last.step;
  using namespace pool_operand;
  const auto together = [&](int k) { return task->slot[k] < 0 || step[k] == 1 || last.windows == 1; };
  const int64_t size = size_of(task->dtype);
  int64_t numbers, image_numbers;
  if (task->way == PoolWay::windows) {
    task->direct = together(value) && together(place) &&
                   (step[image] * last.stride == 1 || last.windows == 1);
    const int64_t most = std::max<int64_t>(1, pool_block / task->kernel_size);
    task->length = std::min(std::max<int64_t>(last.windows, 1), most);
    task->rows = std::max<int64_t>(1, most / task->length);
    numbers = task->length * task->rows;
    image_numbers = times(numbers, task->kernel_size);
    task->stage = (2 * task->kernel_size * 8 + 63) / 64 * 64;
  } else {
    task->direct = last.kernel == 1 && last.stride == 1 && step[image] == 1;
    numbers = last.windows;
    image_numbers = times((last.pixels + last.stride - 1) / last.stride, last.stride);
    task->stage = 0;
  }
  require(std::max(numbers, image_numbers) < std::numeric_limits<int64_t>::max() / 64,
          "sizes are too large");
  task->value_at = task->stage + (image_numbers * size + 63) / 64 * 64;
  task->place_at = task->value_at + (numbers * size + 63) / 64 * 64;
  work->scratch = task->place_at + numbers * 4;
  if (task->direct && task->way == PoolWay::windows) work->scratch = task->stage;
}

}  // namespace

PoolTask prepare_pool(const Instruction& in, Work* work) {
  PoolTask task{};
  Parts parts{in, &task, form_of(in)};
  task.kernel = in.kernel;
  parts.read_operands();
  parts.read_numbers();
  parts.read_places();
  parts.read_steps();
  parts.choose_way();

  const std::vector<int> order = parts.order_axes();
  task.rank = 0;
  for (size_t missing = order.size(); missing < 2; ++missing) task.axis[task.rank++] = axis_of_one();
  for (const int a : order) task.axis[task.rank++] = parts.axis[a];
  for (int a = task.rank; a < pool_axes; ++a) task.axis[a] = axis_of_one();
  std::vector<int> by_place;
  for (int i = 0; i < task.rank; ++i) by_place.push_back(i);
  std::stable_sort(by_place.begin(), by_place.end(),
                   [&](int a, int b) { return task.axis[a].weight > task.axis[b].weight; });
  std::copy(by_place.begin(), by_place.end(), task.by_place);
  choose_blocks(&task, work);

  // Rows of the axis that moves slowest, unless it is the only one.
  const PoolAxis& first = task.axis[0];
  work->units = task.way == PoolWay::pixels ? first.pixels : first.windows;
  work->units = std::max<int64_t>(work->units, 1);
  work->written.clear();
  work->bytes = 0;
  for (int k = 0; k < pool_operand::count; ++k) {
    if (parts.operand[k] == nullptr) continue;
    if (parts.form.written[k]) work->written.push_back(parts.form.position[k]);
    const Operand& o = *parts.operand[k];
    work->bytes += static_cast<double>(count_of(o.shape, o.rank)) * static_cast<double>(size_of(o.dtype));
  }
  double windows = 1;
  for (int i = 0; i < task.rank; ++i) windows *= static_cast<double>(task.axis[i].windows);
  work->flop = windows * static_cast<double>(task.kernel_size);
  if (order.size() >= 2 && first.kernel == 1 && first.windows == first.pixels) {
    work->rows = first.pixels;
    work->row_axis.assign(in.operands.size(), order[0]);
    if (parts.columns() && order[0] > 0) work->row_axis[0] = -1;
  }
  work->name = task.way == PoolWay::pixels ? "pixels" : "windows";
  if (!task.direct) work->name += ", moved";
  return task;
}

}  // namespace glassgrad
