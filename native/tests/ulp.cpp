// How far the elementary functions are from the true values, in units in the last place, and
// whether every instruction set gives the same bits.
//
//   ulp                    every 257th float32, a million float64, powers and remainders: seconds
//   ulp STEP [NAME...]     every STEP-th float32 of these functions (1: all 2^32)
//   ulp speed              cycles per number
//
// The true values are the C library's in the next wider format: double for float32, long double for
// float64 (which is wider on x86-64 and on 64-bit ARM alike).
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/table.h"

using namespace glassgrad;

namespace {

template <class W> W sigmoid(W x) {
  const W z = std::exp(-std::fabs(x));
  return (x < 0 ? z : W(1)) / (1 + z);
}

// A function, what gives its true values, and what is promised: units in the last place.
struct Function {
  const char* name;
  Operation operation;
  double (*of_float)(double);
  long double (*of_double)(long double);
  double most_float, most_double;
};
#define GG_TRUE(name, call, most32, most64)           \
  {#name,                                             \
   Operation::name,                                   \
   [](double x) -> double { return call; },           \
   [](long double x) -> long double { return call; }, \
   most32,                                            \
   most64},
const Function functions[] = {
    GG_TRUE(exp, std::exp(x), 3, 2) GG_TRUE(expm1, std::expm1(x), 3, 2)
        GG_TRUE(log, std::log(x), 3, 2) GG_TRUE(log2, std::log2(x), 3, 2)
            GG_TRUE(log10, std::log10(x), 3, 2) GG_TRUE(log1p, std::log1p(x), 3, 2)
                GG_TRUE(tanh, std::tanh(x), 3, 2) GG_TRUE(sigmoid, sigmoid(x), 3, 2)
                    GG_TRUE(erf, std::erf(x), 3, 2) GG_TRUE(sqrt, std::sqrt(x), 0.51, 0.51)
                        GG_TRUE(sin, std::sin(x), 3, 2) GG_TRUE(cos, std::cos(x), 3, 2) GG_TRUE(
                            tan, std::tan(x), 3, 2) GG_TRUE(arcsin, std::asin(x), 3, 2)
                            GG_TRUE(arccos, std::acos(x), 3, 2) GG_TRUE(sinh, std::sinh(x), 3, 2)
                                GG_TRUE(cosh, std::cosh(x), 3, 2)};

constexpr double wrong = std::numeric_limits<double>::infinity();

// The distance between a result and the true value. Kinds of numbers and the sign of 0 must be
// right.
template <class T, class W> double distance(T got, W want) {
  if (want != want || got != got) return want != want && got != got ? 0 : wrong;
  if (got == static_cast<T>(want) && got != 0)
    return std::isinf(got) ? 0 : [&] {
      int e;
      std::frexp(want, &e);
      const int lowest = std::numeric_limits<T>::min_exponent;
      return static_cast<double>(
          std::fabs(want - W(got)) *
          std::ldexp(W(1), std::numeric_limits<T>::digits - std::max(e, lowest)));
    }();
  if (got == 0 && std::signbit(got) != std::signbit(want)) return wrong;
  if (std::isinf(want)) return wrong;
  // A result of inf counts as the number after the largest.
  const W value =
      std::isinf(got)
          ? std::copysign(std::ldexp(W(1), std::numeric_limits<T>::max_exponent), W(got))
          : W(got);
  int e;
  std::frexp(want, &e);
  const int lowest = std::numeric_limits<T>::min_exponent;
  return static_cast<double>(
      std::fabs(want - value) *
      std::ldexp(W(1), std::numeric_limits<T>::digits - std::max(e, lowest)));
}

struct Random {  // splitmix64
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
};

template <class T, class U> T from_bits(U bits) {
  T x;
  static_assert(sizeof x == sizeof bits);
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Random bits in half of the cases; otherwise numbers of the sizes functions live on.
template <class T> T draw(Random& random) {
  using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const uint64_t b = random.next();
  if (b & 1) return from_bits<T>(static_cast<U>(random.next()));
  const T unit = static_cast<T>(static_cast<double>(random.next() >> 11) * 0x1p-52 - 1);
  const T sizes[] = {T(0.5), T(1), T(4), T(30), T(100), T(800), T(100000), T(1e7)};
  return unit * sizes[b >> 1 & 7] + ((b >> 4 & 7) == 0 ? T(1) : T(0));
}

template <class T> bool same_bits(T a, T b) {
  return (a != a && b != b) || std::memcmp(&a, &b, sizeof a) == 0;
}

std::vector<const Table*> tables() {
  std::vector<const Table*> found;
  for (const char* name : {"avx512", "avx2", "neon"}) {
    if (const Table* t = table_named(name)) found.push_back(t);
  }
  found.push_back(&reference_table());
  return found;
}

int failures = 0;

void report(const char* what, const char* type, int64_t count, double worst, double at, double most,
            int64_t differ) {
  const bool good = worst <= most && differ == 0;
  failures += !good;
  std::printf("%-9s %s %11lld numbers  %6.3f ulp at %-14a %lld with other bits%s\n", what, type,
              static_cast<long long>(count), worst, at, static_cast<long long>(differ),
              good ? "" : "  FAILED");
  std::fflush(stdout);
}

constexpr int64_t block = 4099;  // no whole number of registers

template <class T, class W, class F, class Fill>
void unary(const Function& f, F truth, const char* type, double most, int64_t count, Fill fill) {
  const auto all = tables();
  std::vector<T> x(block), y(block), z(block);
  double worst = 0, at = 0;
  int64_t differ = 0;
  for (int64_t done = 0; done < count; done += block) {
    const int64_t n = std::min(block, count - done);
    for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(i)] = fill(done + i);
    const auto run = [&](const Table& t, std::vector<T>& to) {
      if constexpr (sizeof(T) == 4)
        t.unary_f32(f.operation, x.data(), to.data(), n);
      else
        t.unary_f64(f.operation, x.data(), to.data(), n);
    };
    run(*all[0], y);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const double d = distance<T, W>(y[i], truth(W(x[i])));
      if (d > worst) worst = d, at = static_cast<double>(x[i]);
    }
    for (size_t t = 1; t < all.size(); ++t) {
      run(*all[t], z);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) differ += !same_bits(y[i], z[i]);
    }
  }
  report(f.name, type, count, worst, at, most, differ);
}

void every_float(const Function& f, int64_t step) {
  const int64_t count = ((int64_t(1) << 32) + step - 1) / step;
  unary<float, double>(f, f.of_float, "float32", f.most_float, count, [&](int64_t i) {
    return from_bits<float>(static_cast<uint32_t>(i * step));
  });
}

template <class T, class W, class F>
void binary(const char* name, Operation operation, const char* type, double most, F truth) {
  const auto all = tables();
  const int64_t count = 1000000;
  std::vector<T> a(block), b(block), y(block), z(block);
  Random random{7};
  double worst = 0, at = 0;
  int64_t differ = 0;
  const T odd[] = {T(0),
                   -T(0),
                   T(1),
                   T(-1),
                   T(2),
                   T(-3),
                   T(0.5),
                   T(0.999),
                   T(1e6),
                   T(-1e6),
                   T(1e-30),
                   std::numeric_limits<T>::infinity(),
                   -std::numeric_limits<T>::infinity(),
                   std::numeric_limits<T>::quiet_NaN(),
                   std::numeric_limits<T>::denorm_min(),
                   std::numeric_limits<T>::max(),
                   std::nextafter(T(1), T(2)),
                   T(16777217),
                   T(9007199254740993)};
  constexpr uint64_t odds = sizeof odd / sizeof *odd;
  for (int64_t done = 0; done < count; done += block) {
    for (size_t i = 0; i < static_cast<size_t>(block); ++i) {
      const uint64_t kind = random.next();
      a[i] = kind % 4 == 0 ? odd[random.next() % odds] : draw<T>(random);
      b[i] = kind / 4 % 4 == 0 ? odd[random.next() % odds] : draw<T>(random);
      if (kind / 16 % 4 == 0) a[i] = std::fabs(a[i]);
      if (kind / 64 % 4 == 0) b[i] = std::round(b[i]);
      // The hardest powers: near the largest number, or the smallest
      if (kind / 256 % 4 == 0) {
        a[i] = std::fabs(a[i]);
        b[i] = T((kind & 1 ? 1 : -1.05) * std::log(std::numeric_limits<T>::max()) / std::log(a[i]));
      }
    }
    const auto run = [&](const Table& t, std::vector<T>& to) {
      if constexpr (sizeof(T) == 4)
        t.binary_f32(operation, a.data(), b.data(), to.data(), block);
      else
        t.binary_f64(operation, a.data(), b.data(), to.data(), block);
    };
    run(*all[0], y);
    for (size_t i = 0; i < static_cast<size_t>(block); ++i) {
      const double d = distance<T, W>(y[i], truth(a[i], b[i]));
      if (d > worst) worst = d, at = static_cast<double>(a[i]);
    }
    for (size_t t = 1; t < all.size(); ++t) {
      run(*all[t], z);
      for (size_t i = 0; i < static_cast<size_t>(block); ++i) differ += !same_bits(y[i], z[i]);
    }
  }
  report(name, type, count, worst, at, most, differ);
}

// As NumPy: fmod, brought to the side of the divisor.
template <class T> T left_over(T a, T b) {
  const T left = std::fmod(a, b);
  if (left != left) return left;
  if (left == 0) return std::copysign(T(0), b);
  return (left < 0) != (b < 0) ? left + b : left;
}

// -- speed --------------------------------------------------------------------------------------

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class F> double least(F f) {
  double best = 1;
  for (int i = 0; i < 400; ++i) {
    const double start = now();
    f();
    best = std::min(best, now() - start);
  }
  return best;
}

// The time of a cycle: of a chain of additions, each of which takes one.
double cycle() {
  constexpr int64_t n = 20000;
  volatile uint64_t sink = 1;
  return least([&] {
           uint64_t a = sink;
           for (int64_t i = 0; i < n; ++i) {
             a += 3;
             __asm__ volatile("" : "+r"(a));
           }
           sink = a;
         }) /
         n;
}

void speed() {
  constexpr int64_t n = 4096;
  std::vector<float> x(n), y(n), p(n, 2.7f);
  std::vector<double> u(n), v(n), q(n, 2.7);
  for (size_t i = 0; i < n; ++i) u[i] = 0.9 * std::sin(double(i)), x[i] = float(u[i]);
  const double unit = cycle();
  std::printf("cycles for each number, %.2f GHz\n%-10s", 1e-9 / unit, "");
  const auto all = tables();
  for (const Table* t : all) std::printf(" %9s f32  f64", t->name);
  std::printf("\n");
  for (const Function& f : functions) {
    std::printf("%-10s", f.name);
    for (const Table* t : all) {
      std::printf(" %12.2f %5.2f",
                  least([&] { t->unary_f32(f.operation, x.data(), y.data(), n); }) / n / unit,
                  least([&] { t->unary_f64(f.operation, u.data(), v.data(), n); }) / n / unit);
    }
    std::printf("\n");
  }
  for (const Operation o : {Operation::power, Operation::remainder}) {
    std::printf("%-10s", o == Operation::power ? "power" : "remainder");
    for (const Table* t : all) {
      std::printf(" %12.2f %5.2f",
                  least([&] { t->binary_f32(o, x.data(), p.data(), y.data(), n); }) / n / unit,
                  least([&] { t->binary_f64(o, u.data(), q.data(), v.data(), n); }) / n / unit);
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string(arguments[1]) == "speed") {
    speed();
    return 0;
  }
  const int64_t step = count > 1 ? std::atoll(arguments[1]) : 257;
  std::printf("instruction sets:");
  for (const Table* t : tables()) std::printf(" %s", t->name);
  std::printf("\n");
  for (const Function& f : functions) {
    bool wanted = count <= 2;
    for (int i = 2; i < count; ++i) wanted |= std::string(arguments[i]) == f.name;
    if (wanted) every_float(f, step);
  }
  if (count > 1) return failures != 0;
  for (const Function& f : functions) {
    Random random{1};
    unary<double, long double>(f, f.of_double, "float64", f.most_double, 1000000,
                               [&](int64_t) { return draw<double>(random); });
  }
  binary<float, double>("power", Operation::power, "float32", 3,
                        [](float a, float b) { return std::pow(double(a), double(b)); });
  binary<double, long double>("power", Operation::power, "float64", 2, [](double a, double b) {
    return std::pow(static_cast<long double>(a), static_cast<long double>(b));
  });
  binary<float, double>("remainder", Operation::remainder, "float32", 0,
                        [](float a, float b) { return double(left_over(a, b)); });
  binary<double, long double>(
      "remainder", Operation::remainder, "float64", 0,
      [](double a, double b) { return static_cast<long double>(left_over(a, b)); });
  return failures != 0;
}
