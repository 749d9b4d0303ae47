#include "ready.h"

#include "guard.h"
#include "prepare/attention.h"
#include "prepare/conv.h"
#include "prepare/index.h"
#include "prepare/map.h"
#include "prepare/matmul.h"
#include "prepare/pool.h"
#include "prepare/random.h"
#include "prepare/reduce.h"
#include "prepare/row.h"
#include "prepare/tiny.h"

namespace glassgrad {
namespace {

template <typename Task>
void call(const Ready& ready, const Frame& frame) {
  const auto kernel = reinterpret_cast<void (*)(const Task&, const Frame&)>(ready.function);
  kernel(*static_cast<const Task*>(ready.task.get()), frame);
}

template <typename Task>
void fill(Ready& ready, void (*kernel)(const Task&, const Frame&), const Task& task) {
  if (!kernel) throw PlanError("a kernel that this instruction set has not");
  ready.call = call<Task>;
  ready.function = reinterpret_cast<Ready::Function>(kernel);
  ready.task = std::make_shared<const Task>(task);
}

}  // namespace

Ready make_ready(const Instruction& in, const Table& table) {
  Ready ready;
  Work* work = &ready.work;
  switch (in.kernel) {
    case Kernel::guard:
      fill<GuardTask>(ready, run_guard, prepare_guard(in, table, work));
      break;
    case Kernel::map:
      fill(ready, table.map, prepare_map(in, work));
      break;
    case Kernel::reduce:
      fill(ready, table.reduce, prepare_reduce(in, work));
      break;
    case Kernel::cumsum:
    case Kernel::argmax:
    case Kernel::argmin:
    case Kernel::argsort:
    case Kernel::take:
    case Kernel::add_at:
    case Kernel::pick:
    case Kernel::put_at:
    case Kernel::subtract_one_at:
    case Kernel::take_along_axis:
    case Kernel::add_along_axis:
    case Kernel::arange:
      fill(ready, table.index, prepare_index(in, work));
      break;
    case Kernel::matmul:
      fill(ready, table.matmul, prepare_matmul(in, work));
      break;
    case Kernel::conv:
    case Kernel::conv_dx:
    case Kernel::conv_dw:
      fill(ready, table.conv, prepare_conv(in, work));
      break;
    case Kernel::attention:
    case Kernel::attention_back:
      fill(ready, table.attention, prepare_attention(in, work));
      break;
    case Kernel::tiny:
      fill(ready, table.tiny, prepare_tiny(in, work));
      break;
    case Kernel::log_softmax:
    case Kernel::softmax:
    case Kernel::cross_entropy:
    case Kernel::normalise:
    case Kernel::normalise_back:
      fill(ready, table.row, prepare_row(in, work));
      break;
    case Kernel::max_pool:
    case Kernel::max_place:
    case Kernel::max_unpool:
    case Kernel::max_pick:
    case Kernel::mean_pool:
    case Kernel::mean_unpool:
    case Kernel::uncolumns:
      fill(ready, table.pool, prepare_pool(in, work));
      break;
    case Kernel::uniform:
      fill(ready, table.random, prepare_random(in, work));
      break;
    default:
      throw PlanError("a kernel that is not there yet");
  }
  return ready;
}

bool may_stop(Kernel kernel) {
  switch (kernel) {
    case Kernel::guard:
    case Kernel::cross_entropy:
    case Kernel::take:
    case Kernel::add_at:
    case Kernel::pick:
    case Kernel::put_at:
    case Kernel::subtract_one_at:
    case Kernel::take_along_axis:
    case Kernel::add_along_axis:
    case Kernel::tiny:
      return true;
    default:
      return false;
  }
}

}  // namespace glassgrad
