// Every part of a plan computes with the same rounding and the same denormal numbers, whatever mode the
// calling thread was left in by others; its mode is put back afterwards.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace glassgrad {

class FloatMode {
 public:
  FloatMode() : before_(read()) {
    if ((before_ & kept) != standard) write(standard | (before_ & ~kept));
  }
  ~FloatMode() {
    if ((before_ & kept) != standard) write(before_);
  }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint64_t kept = 0xFFC0;      // all but the flags of what happened
  static constexpr uint64_t standard = 0x1F80;  // round to nearest, denormals count, no traps
  static uint64_t read() { return _mm_getcsr(); }
  static void write(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr uint64_t kept = ~uint64_t{0};
  static constexpr uint64_t standard = 0;
  static uint64_t read() {
    uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr uint64_t kept = 0;
  static constexpr uint64_t standard = 0;
  static uint64_t read() { return 0; }
  static void write(uint64_t) {}
#endif
  uint64_t before_;
};

}  // namespace glassgrad
