// Threads: every part runs once, barriers hold, callers at the same time, after a fork, counts.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "executor/pool.h"

using namespace glassgrad;

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

// Each part writes where it belongs and reads what the others wrote before the barrier.
void neighbours(int wanted, int rounds) {
  std::vector<int> seen(max_threads, -1);
  int parts = 0, wrong = 0;
  auto job = [&](const Member& m) noexcept {
    if (m.part == 0) parts = m.parts;
    for (int round = 0; round < rounds; ++round) {
      seen[static_cast<size_t>(m.part)] = round;
      m.meet();
      if (m.part == 0) {
        for (int i = 0; i < m.parts; ++i) wrong += seen[static_cast<size_t>(i)] != round;
      }
      m.meet();
    }
  };
  together(wanted, job);
  expect(wrong == 0, "a barrier was passed too early");
  expect(parts >= 1 && parts <= wanted, "more parts than wanted");
}

double nanoseconds_of(int wanted, int rounds) {
  auto job = [&](const Member& m) noexcept {
    for (int round = 0; round < rounds; ++round) m.meet();
  };
  double best = 1e30;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    together(wanted, job);
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count() / rounds);
  }
  return best;
}

}  // namespace

int main() {
  expect(threads() >= 1 && usable_cpus() >= 1, "no threads");
  for (int count : {1, 2, 3, 4}) {
    set_threads(count);
    expect(threads() == count, "set_threads");
    for (int i = 0; i < 200; ++i) neighbours(count, 5);
  }
  set_threads(2);
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back([] { for (int k = 0; k < 200; ++k) neighbours(2, 3); });
  for (auto& caller : callers) caller.join();
#ifndef __SANITIZE_THREAD__  // which knows no threads after a fork
  if (const pid_t child = fork(); child == 0) {
    neighbours(2, 10);
    std::exit(0);
  } else {
    int status = 1;
    waitpid(child, &status, 0);
    expect(status == 0, "a child after a fork");
  }
#endif
  std::printf("one barrier of 2: %.0f ns; a job of 2: %.0f ns\n", nanoseconds_of(2, 10000),
              nanoseconds_of(2, 1));
  set_threads(0);
  return 0;
}
