#include "pool.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <shared_mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace glassgrad {
namespace {

constexpr auto awake = std::chrono::microseconds(40);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A worker reads the job when its own ticket changes, so that one which takes no part in a job
// never looks at it.
struct Worker {
  Signal ticket;
  std::thread thread;
};

struct Crew {
  std::vector<std::unique_ptr<Worker>> workers;
  Barrier barrier;
  void (*job)(void*, const Member&) = nullptr;  // nullptr: go home
  void* context = nullptr;
  int parts = 1;
  alignas(64) std::atomic<int> working{0};
  Signal finished;  // jobs
};

Crew* crew = nullptr;  // deleted at exit alone, and only when all threads have gone home
std::atomic<bool> busy{false};
std::atomic<int> chosen{0};

void work(Crew* mine, Worker* self, int part) {
  for (uint32_t seen = 0;; ++seen) {
    self->ticket.wait_beyond(seen);
    if (!mine->job) return;
    mine->job(mine->context, {part, mine->parts, &mine->barrier});
    if (mine->working.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      mine->finished.raise();
    }
  }
}

// At exit. A job that a thread of the caller still runs is left alone: the process takes it along.
void go_home() {
  if (!crew || busy.exchange(true)) return;
  crew->job = nullptr;
  for (auto& worker : crew->workers) {
    worker->ticket.raise();
    worker->thread.join();
  }
  delete crew;  // and busy stays: whoever comes later works alone
}

#if defined(__unix__) || defined(__APPLE__)
std::shared_mutex running;  // held by every run, and by a fork alone

void hold() { running.lock(); }
void let_go() { running.unlock(); }

// In a child after a fork, where the threads do not exist.
void forget() {
  new (&running) std::shared_mutex;
  crew = nullptr;
  busy.store(false);
}

void watch_forks() {
  static const int once = pthread_atfork(hold, let_go, forget);
  (void)once;
}
#endif

void hire(int count) {
  if (!crew) {
#if defined(__unix__) || defined(__APPLE__)
    watch_forks();
#endif
    static const bool once = [] {
      std::atexit(go_home);
      return true;
    }();
    (void)once;
    crew = new Crew;
  }
  if (static_cast<int>(crew->workers.size()) >= count) return;
#if defined(__unix__) || defined(__APPLE__)
  sigset_t all, before;  // signals are for the caller's threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
  try {
    while (static_cast<int>(crew->workers.size()) < count) {
      auto worker = std::make_unique<Worker>();
      Worker* self = worker.get();
      crew->workers.reserve(crew->workers.size() + 1);
      const int part = static_cast<int>(crew->workers.size()) + 1;
      worker->thread = std::thread(work, crew, self, part);
      crew->workers.push_back(std::move(worker));
    }
  } catch (const std::exception&) {  // no more threads to be had: those there are do the work
  }
#if defined(__unix__) || defined(__APPLE__)
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
}

// A whole number in an environment variable; 0 where there is none.
int asked(const char* variable) {
  const char* text = std::getenv(variable);
  if (!text) return 0;
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  return end != text && number > 0 ? static_cast<int>(std::min<long>(number, max_threads)) : 0;
}

#if defined(__linux__)
// CPUs' worth of time that the control group grants; 0 where it sets no bound.
int quota() {
  std::ifstream groups("/proc/self/cgroup");
  double least = 0;
  const auto bound = [&least](double time, double period) {
    if (time <= 0 || period <= 0) return;
    least = least == 0 ? time / period : std::min(least, time / period);
  };
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    const bool unified = controllers.empty();
    if (!unified && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    while (true) {  // the group's bound and those of the groups it is in
      const std::string folder =
          (unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu") + (path == "/" ? "" : path);
      double time = 0, period = 0;
      if (unified) {
        if (std::ifstream file(folder + "/cpu.max"); file >> time >> period) bound(time, period);
      } else {
        std::ifstream a(folder + "/cpu.cfs_quota_us"), b(folder + "/cpu.cfs_period_us");
        if (a >> time && b >> period) bound(time, period);
      }
      if (path.size() <= 1) break;
      path.resize(std::max<size_t>(path.rfind('/'), 1));
    }
  }
  return least == 0 ? 0 : std::max(1, static_cast<int>(least + 0.5));
}
#endif

}  // namespace

// In one order for all threads, here and below: a sleeper is seen, or sees the new count.
void Signal::raise() {
  count_.fetch_add(1);
  if (sleepers_.load() > 0) count_.notify_all();
}

// Sleeping costs many microseconds, so not at once; but others may run, because the thread that is
// waited for may need this very core.
void Signal::wait_beyond(uint32_t old) {
  for (int i = 0; i < 100; ++i) {
    if (count() != old) return;
    pause();
  }
  const auto until = std::chrono::steady_clock::now() + awake;
  do {
    for (int i = 0; i < 32; ++i) {
      if (count() != old) return;
      pause();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < until);
  sleepers_.fetch_add(1);
  while (count_.load() == old) count_.wait(old);
  sleepers_.fetch_sub(1);
}

#if defined(__unix__) || defined(__APPLE__)
Running::Running() {
  watch_forks();
  running.lock_shared();
}
Running::~Running() { running.unlock_shared(); }
#else
Running::Running() {}
Running::~Running() {}
#endif

void Barrier::reset(int parts) {
  parts_ = parts;
  for (int i = 0; i < parts; ++i) visits_[i].reset();
}

void Barrier::wait(int part) {
  const uint32_t before = visits_[part].count();
  visits_[part].raise();
  for (int i = 0; i < parts_; ++i) visits_[i].wait_beyond(before);
}

int usable_cpus() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  if (const int granted = quota()) count = std::min(count, granted);
#endif
  return std::clamp(count, 1, max_threads);
}

void set_threads(int count) { chosen.store(std::clamp(count, 0, max_threads)); }

int threads() {
  if (const int count = chosen.load(std::memory_order_relaxed)) return count;
  static const int usual = [] {
    const int wanted = asked("GLASSGRAD_NUM_THREADS"), bound = asked("OMP_NUM_THREADS");
    const int count = wanted ? wanted : usable_cpus();
    return bound ? std::min(count, bound) : count;
  }();
  return usual;
}

void together(int wanted, void (*job)(void*, const Member&), void* context) {
  wanted = std::min(wanted, threads());
  if (wanted <= 1 || busy.exchange(true, std::memory_order_acquire)) {
    job(context, {0, 1, nullptr});
    return;
  }
  hire(wanted - 1);
  const int parts = std::min(wanted, static_cast<int>(crew->workers.size()) + 1);
  if (parts == 1) {
    job(context, {0, 1, nullptr});
  } else {
    const uint32_t before = crew->finished.count();
    crew->job = job;
    crew->context = context;
    crew->parts = parts;
    crew->barrier.reset(parts);
    crew->working.store(parts - 1, std::memory_order_relaxed);
    for (int i = 0; i < parts - 1; ++i) crew->workers[static_cast<size_t>(i)]->ticket.raise();
    job(context, {0, parts, &crew->barrier});
    crew->finished.wait_beyond(before);
  }
  busy.store(false, std::memory_order_release);
}

}  // namespace glassgrad
