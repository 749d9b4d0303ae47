// Threads that do one job together. They are made when first needed, wait awake for a moment and then
// asleep, are forgotten in a child after a fork and joined at exit.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace glassgrad {

constexpr int max_threads = 256;

// A number that counts up in a cache line of its own, for one thread to raise and others to wait for.
class alignas(128) Signal {
 public:
  uint32_t count() const { return count_.load(std::memory_order_acquire); }
  void raise();
  void wait_beyond(uint32_t old);  // awake for a moment, then asleep
  void reset() { count_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> count_{0};
  std::atomic<int> sleepers_{0};
};

// Where the parts of a job wait for each other. Each part says by a signal of its own how often it
// has been here, so that two parts meet after one transfer between their cores.
class Barrier {
 public:
  void reset(int parts);
  void wait(int part);

 private:
  Signal visits_[max_threads];
  int parts_ = 1;
};

// One part of a job.
struct Member {
  int part;
  int parts;
  Barrier* barrier;

  void meet() const {
    if (parts > 1) barrier->wait(part);
  }
};

// CPUs this process may use: its affinity and the quota of its control group.
int usable_cpus();

// How many threads a job may have. 0 goes back to the default: GLASSGRAD_NUM_THREADS or the usable
// CPUs, and no more than OMP_NUM_THREADS.
void set_threads(int count);
int threads();

// There while a plan runs. A fork waits until no plan does, so that its child finds every plan whole
// and no lock held by a thread that it has not.
class Running {
 public:
  Running();
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
};

// Runs job(context, member) for every part, part 0 on this thread, and returns when all are done.
// There are `wanted` parts at most: fewer where threads are lacking, one where the threads are busy
// with a job of another caller. Jobs do not raise.
void together(int wanted, void (*job)(void*, const Member&), void* context);

template <typename Job>
void together(int wanted, Job& job) {
  static_assert(std::is_nothrow_invocable_v<Job&, const Member&>);
  together(wanted, [](void* context, const Member& m) { (*static_cast<Job*>(context))(m); }, &job);
}

}  // namespace glassgrad
