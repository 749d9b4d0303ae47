#include "prepare/random.h"

#include <cmath>

#include "prepare/places.h"

namespace glassgrad {

RandomTask prepare_random(const Instruction& in, Work* work) {
  require(in.kernel == Kernel::uniform, "this is no kernel of random numbers");
  require(in.operands.size() == 3 && in.ints.size() == 2,
          "random numbers need seed, step and result; the stream and a dtype");
  const Operand &seed = in.operands[0], &step = in.operands[1], &y = in.operands[2];
  for (const Operand* word : {&seed, &step}) {
    require(word->dtype == DType::i64 && count_of(word->shape, word->rank) == 1,
            "seed and step are one i64 each");
    require(word->slot != y.slot, "a result overlaps an input");
  }
  require(y.rank >= 0 && y.rank <= max_rank, "a rank is out of range");
  require(contiguous(y), "random numbers are written one after the other");
  const DType drawn = static_cast<DType>(in.ints[1]);
  require(drawn == DType::f32 || drawn == DType::f64, "random numbers are f32 or f64");

  RandomTask task{};
  task.seed = seed.slot;
  task.step = step.slot;
  task.result = y.slot;
  task.stream = static_cast<uint64_t>(in.ints[0]);
  task.count = count_of(y.shape, y.rank);
  task.wide = drawn == DType::f64;
  task.mask = y.dtype == DType::b8;
  if (task.mask) {
    require(in.reals.size() == 1 && in.reals[0] >= 0 && in.reals[0] <= 1,
            "a mask needs a threshold from 0 to 1");
    // Whole numbers compare as the real ones would: the threshold is rounded as the numbers are.
    const double p = task.wide ? in.reals[0] : static_cast<double>(static_cast<float>(in.reals[0]));
    task.threshold = static_cast<uint64_t>(std::ceil(std::ldexp(p, task.wide ? 53 : 24)));
  } else {
    require(y.dtype == drawn && in.reals.empty(), "a result has another dtype");
  }
  work->units = (task.count + random_unit - 1) / random_unit;
  if (work->units < 1) work->units = 1;
  work->bytes = static_cast<double>(task.count * size_of(y.dtype));
  work->flop = static_cast<double>(task.count);
  work->written = {2};
  work->name = task.mask ? "mask" : "uniform";
  return task;
}

}  // namespace glassgrad
