// What one step of a program does to a block of numbers: one function for each operation and kind of
// number, all in one table, numbered as prepare/program.h says.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/math.h"
#include "kernels/vec.h"
#include "prepare/program.h"

namespace glassgrad::GG_ISA {
namespace {

// Where the numbers of a value are. One that is the same everywhere lies there as a register full.
struct Value {
  char* at;
  int32_t move;  // 0: the same everywhere; 1: one after the other
  int32_t room;  // whole registers may be written behind the last number
};

using StepFunction = void (*)(const Value*, Step, int64_t);

template <class T>
T* numbers(const Value& v) {
  return reinterpret_cast<T*>(v.at);
}

// -- real numbers, a register at a time -----------------------------------------------------------

// F::of makes one register of `operands` others. Two are in flight at a time where F is short; functions
// such as exp have enough to do with one.
template <class T, class F, int operands, bool brief = true>
void real_step(const Value* v, Step s, int64_t n) {
  using V = Vec<T>;
  constexpr int64_t w = V::width;
  T* out = numbers<T>(v[s.out]);
  const T* in[4] = {numbers<T>(v[s.a]), numbers<T>(v[s.b]), numbers<T>(v[s.c]), numbers<T>(v[s.d])};
  const int64_t move[4] = {v[s.a].move * w, v[s.b].move * w, v[s.c].move * w, v[s.d].move * w};
  const auto make = [&](auto read) {
    if constexpr (operands == 1) return F::of(read(0));
    else if constexpr (operands == 2) return F::of(read(0), read(1));
    else if constexpr (operands == 3) return F::of(read(0), read(1), read(2));
    else return F::of(read(0), read(1), read(2), read(3));
  };
  int64_t i = 0;
  if constexpr (brief) {
    for (; i + 2 * w <= n; i += 2 * w) {
      const V low = make([&](int k) { return V::load(in[k]); });
      const V high = make([&](int k) { return V::load(in[k] + move[k]); });
      low.store(out + i);
      high.store(out + i + w);
      for (int k = 0; k < operands; ++k) in[k] += 2 * move[k];
    }
  }
  for (; i + w <= n; i += w) {
    make([&](int k) { return V::load(in[k]); }).store(out + i);
    for (int k = 0; k < operands; ++k) in[k] += move[k];
  }
  if (i < n) {
    const int64_t rest = n - i;
    const V last = make([&](int k) { return V::load_first(in[k], rest); });
    if (v[s.out].room) last.store(out + i);
    else last.store_first(out + i, rest);
  }
}

// -- everything else, 16 numbers at a time; the compiler makes registers of them ---------------------

// An operand of so many numbers, or one repeated.
template <class T>
struct Reader {
  const T* p;
  int64_t move;
  T last[lanes];

  explicit Reader(const Value& v) : p(numbers<T>(v)), move(v.move * lanes) {}
  // The last few, in a place where 16 may be read.
  const T* rest(int64_t n) {
    std::memset(last, 0, sizeof last);
    std::memcpy(last, p, static_cast<size_t>(n) * sizeof(T));
    return last;
  }
};

// F::of makes one number of others. What is written at one place is never read at another, hence the
// promise to the compiler that no turn of the loop needs another. Called, for it is good code only alone.
template <class R, class F, class... A>
[[gnu::noinline]] void sixteen(R* to, const A*... from) {
#pragma GCC ivdep
  for (int i = 0; i < lanes; ++i) to[i] = F::of(from[i]...);
}

template <class R, class F, class... A>
void by_sixteen(const Value& result, int64_t n, Reader<A>... in) {
  R* out = numbers<R>(result);
  for (; n >= lanes; n -= lanes, out += lanes) {
    sixteen<R, F>(out, in.p...);
    ((in.p += in.move), ...);
  }
  if (n > 0) {
    R last[lanes];
    sixteen<R, F>(last, in.rest(n)...);
    std::memcpy(out, last, static_cast<size_t>(n) * sizeof(R));
  }
}

template <class R, class A, class F>
void plain_unary(const Value* v, Step s, int64_t n) {
  by_sixteen<R, F>(v[s.out], n, Reader<A>(v[s.a]));
}

template <class R, class A, class B, class F>
void plain_binary(const Value* v, Step s, int64_t n) {
  by_sixteen<R, F>(v[s.out], n, Reader<A>(v[s.a]), Reader<B>(v[s.b]));
}

struct Choose {
  template <class T> static T of(uint8_t c, T yes, T no) { return c ? yes : no; }
};

template <class T>
void plain_select(const Value* v, Step s, int64_t n) {
  by_sixteen<T, Choose>(v[s.out], n, Reader<uint8_t>(v[s.a]), Reader<T>(v[s.b]), Reader<T>(v[s.c]));
}

// Whole numbers wrap: what is done to them is done without a sign.
template <class T> struct Unsigned { using type = T; };
template <> struct Unsigned<int64_t> { using type = uint64_t; };
template <class T> using Wrap = typename Unsigned<T>::type;

struct Add { template <class T> static T of(T a, T b) { return T(Wrap<T>(a) + Wrap<T>(b)); } };
struct Subtract { template <class T> static T of(T a, T b) { return T(Wrap<T>(a) - Wrap<T>(b)); } };
struct Multiply { template <class T> static T of(T a, T b) { return T(Wrap<T>(a) * Wrap<T>(b)); } };
struct Square { template <class T> static T of(T a) { return Multiply::of(a, a); } };
struct Negative { template <class T> static T of(T a) { return T(0 - Wrap<T>(a)); } };
struct Absolute { template <class T> static T of(T a) { return a < T(0) ? Negative::of(a) : a; } };
struct Sign { template <class T> static T of(T a) { return T(T(a > T(0)) - T(a < T(0))); } };
struct Maximum { template <class T> static T of(T a, T b) { return a > b ? a : b; } };
struct Minimum { template <class T> static T of(T a, T b) { return a < b ? a : b; } };
struct Less { template <class T> static uint8_t of(T a, T b) { return a < b; } };
struct LessEqual { template <class T> static uint8_t of(T a, T b) { return a <= b; } };
struct Greater { template <class T> static uint8_t of(T a, T b) { return a > b; } };
struct GreaterEqual { template <class T> static uint8_t of(T a, T b) { return a >= b; } };
struct Equal { template <class T> static uint8_t of(T a, T b) { return a == b; } };
struct NotEqual { template <class T> static uint8_t of(T a, T b) { return a != b; } };
struct And { static uint8_t of(uint8_t a, uint8_t b) { return a & b; } };
struct Or { static uint8_t of(uint8_t a, uint8_t b) { return a | b; } };
struct Xor { static uint8_t of(uint8_t a, uint8_t b) { return a ^ b; } };
struct Not { static uint8_t of(uint8_t a) { return a ^ 1; } };
struct OneOrNone {  // times 1 or 0
  template <class T> static T of(T a, uint8_t b) { return T(a * T(b)); }
};

// With the sign of the divisor; 0 by 0, as NumPy says.
struct Remainder {
  static int64_t of(int64_t a, int64_t b) {
    if (b == 0 || b == -1) return 0;
    const int64_t left = a % b;
    return left != 0 && (left < 0) != (b < 0) ? left + b : left;
  }
  static uint32_t of(uint32_t a, uint32_t b) { return b == 0 ? 0 : a % b; }
  static uint8_t of(uint8_t a, uint8_t b) { return b == 0 ? uint8_t(0) : uint8_t(a % b); }
  static float of(float a, float b) { return real(__builtin_fmodf(a, b), b); }
  static double of(double a, double b) { return real(__builtin_fmod(a, b), b); }
  template <class T>
  static T real(T left, T b) {
    if (left == 0) return b < 0 ? -T(0) : T(0);
    return b != 0 && (left < 0) != (b < 0) ? left + b : left;
  }
};

// From real numbers to whole ones: towards 0, and beyond what an int64 holds as x86 does; narrower ones
// are its low bytes.
struct ToB8 { template <class T> static uint8_t of(T a) { return a != T(0); } };
template <class R> struct To {
  template <class T> static R of(T a) { return static_cast<R>(a); }
  static R of(float a) { return real(a); }
  static R of(double a) { return real(a); }
  template <class T>
  static R real(T a) {
    if constexpr (R(0.5) != R(0)) {
      return static_cast<R>(a);
    } else {
      const bool fits = a >= T(-9223372036854775808.0) && a < T(9223372036854775808.0);
      return static_cast<R>(fits ? static_cast<int64_t>(a) : INT64_MIN);
    }
  }
};

// -- real operations, on registers -----------------------------------------------------------------

struct RealAdd { template <class V> static V of(V a, V b) { return a + b; } };
struct RealSubtract { template <class V> static V of(V a, V b) { return a - b; } };
struct RealMultiply { template <class V> static V of(V a, V b) { return a * b; } };
struct RealDivide { template <class V> static V of(V a, V b) { return a / b; } };
struct RealMaximum { template <class V> static V of(V a, V b) { return maximum(a, b); } };
struct RealMinimum { template <class V> static V of(V a, V b) { return minimum(a, b); } };
struct RealSquare { template <class V> static V of(V a) { return a * a; } };
struct RealNegative { template <class V> static V of(V a) { return negative(a); } };
struct RealAbsolute { template <class V> static V of(V a) { return absolute(a); } };
struct RealSign {
  template <class V> static V of(V a) {
    const V zero = V::splat(0), one = V::splat(1);
    const V found = select(a > zero, one, select(a < zero, zero - one, zero));
    return select(a == a, found, a);
  }
};
struct RealFloor { template <class V> static V of(V a) { return floor(a); } };
struct RealCeil { template <class V> static V of(V a) { return ceil(a); } };
struct RealTrunc { template <class V> static V of(V a) { return trunc(a); } };
struct RealRound { template <class V> static V of(V a) { return round_even(a); } };
struct RealSqrt { template <class V> static V of(V a) { return sqrt(a); } };
struct RealMultiplyAdd { template <class V> static V of(V a, V b, V c) { return fma(a, b, c); } };

// Functions of kernels/math.h, by their name in the catalogue.
#define GG_FUNCTION(name)                                             \
  struct Function_##name {                                            \
    template <class V> static V of(V a) { return name(a); }           \
  };
GG_FUNCTION(exp) GG_FUNCTION(expm1) GG_FUNCTION(log) GG_FUNCTION(log2) GG_FUNCTION(log10)
GG_FUNCTION(log1p) GG_FUNCTION(tanh) GG_FUNCTION(sigmoid) GG_FUNCTION(erf) GG_FUNCTION(sin)
GG_FUNCTION(cos) GG_FUNCTION(tan) GG_FUNCTION(arcsin) GG_FUNCTION(arccos) GG_FUNCTION(sinh)
GG_FUNCTION(cosh)
#undef GG_FUNCTION
struct RealPower { template <class V> static V of(V a, V b) { return power(a, b); } };

// t = First(a, b), then Second(t, c).
template <class F, class G>
struct Pair {
  template <class V> static V of(V a, V b, V c) { return G::of(F::of(a, b), c); }
};
template <class F, class G>
struct UnaryPair {
  template <class V> static V of(V a, V c) { return G::of(F::of(a), c); }
};
template <class G>
struct Turned {
  template <class V> static V of(V a, V b) { return G::of(b, a); }
};
template <class C>
struct Gate {  // a * (b ? c)
  template <class V> static V of(V a, V b, V c) {
    return a * select(C::mask(b, c), V::splat(1), V::splat(0));
  }
};
template <class C>
struct Choice {  // c ? d gives a, otherwise b
  template <class V> static V of(V a, V b, V c, V d) { return select(C::mask(c, d), a, b); }
};
struct Products {
  template <class V> static V of(V a, V b, V c, V d) { return a * b + c * d; }
};
struct SquareProducts {
  template <class V> static V of(V a, V b, V c, V d) { return a * b + c * (d * d); }
};
struct Root {
  template <class V> static V of(V a, V b, V c) { return sqrt(a / b) + c; }
};
struct Quotient {
  template <class V> static V of(V a, V b, V c, V d) { return d - a * b / c; }
};
struct RealLess { template <class V> static auto mask(V a, V b) { return a < b; } };
struct RealLessEqual { template <class V> static auto mask(V a, V b) { return a <= b; } };
struct RealGreater { template <class V> static auto mask(V a, V b) { return a > b; } };
struct RealGreaterEqual { template <class V> static auto mask(V a, V b) { return a >= b; } };
struct RealEqual { template <class V> static auto mask(V a, V b) { return a == b; } };
struct RealNotEqual { template <class V> static auto mask(V a, V b) { return a != b; } };

// -- the table ----------------------------------------------------------------------------------

struct StepTable {
  StepFunction function[step_functions];

  constexpr void set(Operation f, DType t, StepFunction to) { function[plain_function(f, t)] = to; }
};

// An operation whose struct of() works on all kinds of whole numbers.
template <class F>
constexpr void set_whole_unary(StepTable& t, Operation f) {
  t.set(f, DType::i64, plain_unary<int64_t, int64_t, F>);
  t.set(f, DType::u32, plain_unary<uint32_t, uint32_t, F>);
  t.set(f, DType::u8, plain_unary<uint8_t, uint8_t, F>);
}
template <class F>
constexpr void set_whole_binary(StepTable& t, Operation f) {
  t.set(f, DType::i64, plain_binary<int64_t, int64_t, int64_t, F>);
  t.set(f, DType::u32, plain_binary<uint32_t, uint32_t, uint32_t, F>);
  t.set(f, DType::u8, plain_binary<uint8_t, uint8_t, uint8_t, F>);
}
template <class F, int operands, bool brief = true>
constexpr void set_real(StepTable& t, Operation f) {
  t.set(f, DType::f32, real_step<float, F, operands, brief>);
  t.set(f, DType::f64, real_step<double, F, operands, brief>);
}
template <class F>
constexpr void set_function(StepTable& t, Operation f) {
  set_real<F, 1, false>(t, f);
}
template <class F>
constexpr void set_truth(StepTable& t, Operation f) {
  t.set(f, DType::f32, plain_binary<uint8_t, float, float, F>);
  t.set(f, DType::f64, plain_binary<uint8_t, double, double, F>);
  t.set(f, DType::i64, plain_binary<uint8_t, int64_t, int64_t, F>);
  t.set(f, DType::u32, plain_binary<uint8_t, uint32_t, uint32_t, F>);
  t.set(f, DType::u8, plain_binary<uint8_t, uint8_t, uint8_t, F>);
  t.set(f, DType::b8, plain_binary<uint8_t, uint8_t, uint8_t, F>);
}

template <class T>
constexpr void set_casts(StepTable& t, DType from) {
  t.function[cast_function(from, DType::f32)] = plain_unary<float, T, To<float>>;
  t.function[cast_function(from, DType::f64)] = plain_unary<double, T, To<double>>;
  t.function[cast_function(from, DType::i64)] = plain_unary<int64_t, T, To<int64_t>>;
  t.function[cast_function(from, DType::u32)] = plain_unary<uint32_t, T, To<uint32_t>>;
  t.function[cast_function(from, DType::u8)] = plain_unary<uint8_t, T, To<uint8_t>>;
  t.function[cast_function(from, DType::b8)] = plain_unary<uint8_t, T, ToB8>;
}

template <class T, DType d, class G>
constexpr void set_pairs_with(StepTable& t, Second g) {
  const auto set = [&](First f, StepFunction to) { t.function[pair_function(f, g, d)] = to; };
  set(First::add, real_step<T, Pair<RealAdd, G>, 3>);
  set(First::subtract, real_step<T, Pair<RealSubtract, G>, 3>);
  set(First::multiply, real_step<T, Pair<RealMultiply, G>, 3>);
  set(First::divide, real_step<T, Pair<RealDivide, G>, 3>);
  set(First::sqrt, real_step<T, UnaryPair<RealSqrt, G>, 2>);
  set(First::square, real_step<T, UnaryPair<RealSquare, G>, 2>);
  set(First::negative, real_step<T, UnaryPair<RealNegative, G>, 2>);
}

template <class T, DType d>
constexpr void set_joined(StepTable& t) {
  set_pairs_with<T, d, RealAdd>(t, Second::add);
  set_pairs_with<T, d, RealSubtract>(t, Second::subtract);
  set_pairs_with<T, d, Turned<RealSubtract>>(t, Second::subtract_from);
  set_pairs_with<T, d, RealMultiply>(t, Second::multiply);
  set_pairs_with<T, d, RealDivide>(t, Second::divide);
  set_pairs_with<T, d, Turned<RealDivide>>(t, Second::divide_into);
  set_pairs_with<T, d, RealMaximum>(t, Second::maximum);
  set_pairs_with<T, d, RealMinimum>(t, Second::minimum);
  t.function[chain_function(Chain::products, d)] = real_step<T, Products, 4>;
  t.function[chain_function(Chain::square_products, d)] = real_step<T, SquareProducts, 4>;
  t.function[chain_function(Chain::root, d)] = real_step<T, Root, 3>;
  t.function[chain_function(Chain::quotient, d)] = real_step<T, Quotient, 4>;
  t.function[gate_function(Compare::less, d)] = real_step<T, Gate<RealLess>, 3>;
  t.function[gate_function(Compare::less_equal, d)] = real_step<T, Gate<RealLessEqual>, 3>;
  t.function[gate_function(Compare::greater, d)] = real_step<T, Gate<RealGreater>, 3>;
  t.function[gate_function(Compare::greater_equal, d)] = real_step<T, Gate<RealGreaterEqual>, 3>;
  t.function[gate_function(Compare::equal, d)] = real_step<T, Gate<RealEqual>, 3>;
  t.function[gate_function(Compare::not_equal, d)] = real_step<T, Gate<RealNotEqual>, 3>;
  t.function[choice_function(Compare::less, d)] = real_step<T, Choice<RealLess>, 4>;
  t.function[choice_function(Compare::less_equal, d)] = real_step<T, Choice<RealLessEqual>, 4>;
  t.function[choice_function(Compare::greater, d)] = real_step<T, Choice<RealGreater>, 4>;
  t.function[choice_function(Compare::greater_equal, d)] = real_step<T, Choice<RealGreaterEqual>, 4>;
  t.function[choice_function(Compare::equal, d)] = real_step<T, Choice<RealEqual>, 4>;
  t.function[choice_function(Compare::not_equal, d)] = real_step<T, Choice<RealNotEqual>, 4>;
}

constexpr StepTable make_step_table() {
  StepTable t{};
  using enum Operation;
  set_real<RealAdd, 2>(t, add);
  set_real<RealSubtract, 2>(t, subtract);
  set_real<RealMultiply, 2>(t, multiply);
  set_real<RealDivide, 2>(t, divide);
  set_real<RealMaximum, 2>(t, maximum);
  set_real<RealMinimum, 2>(t, minimum);
  set_real<RealNegative, 1>(t, negative);
  set_real<RealSquare, 1>(t, square);
  set_real<RealSqrt, 1>(t, sqrt);
  set_real<RealAbsolute, 1>(t, absolute);
  set_real<RealSign, 1>(t, sign);
  set_real<RealFloor, 1>(t, floor);
  set_real<RealCeil, 1>(t, ceil);
  set_real<RealTrunc, 1>(t, trunc);
  set_real<RealRound, 1>(t, round);
  set_real<RealMultiplyAdd, 3>(t, multiply_add);
  set_real<RealPower, 2, false>(t, power);
  set_function<Function_exp>(t, exp);
  set_function<Function_expm1>(t, expm1);
  set_function<Function_log>(t, log);
  set_function<Function_log2>(t, log2);
  set_function<Function_log10>(t, log10);
  set_function<Function_log1p>(t, log1p);
  set_function<Function_tanh>(t, tanh);
  set_function<Function_sigmoid>(t, sigmoid);
  set_function<Function_erf>(t, erf);
  set_function<Function_sin>(t, sin);
  set_function<Function_cos>(t, cos);
  set_function<Function_tan>(t, tan);
  set_function<Function_arcsin>(t, arcsin);
  set_function<Function_arccos>(t, arccos);
  set_function<Function_sinh>(t, sinh);
  set_function<Function_cosh>(t, cosh);

  set_whole_binary<Add>(t, add);
  set_whole_binary<Subtract>(t, subtract);
  set_whole_binary<Multiply>(t, multiply);
  set_whole_binary<Maximum>(t, maximum);
  set_whole_binary<Minimum>(t, minimum);
  set_whole_unary<Negative>(t, negative);
  set_whole_unary<Absolute>(t, absolute);
  set_whole_unary<Sign>(t, sign);
  set_whole_unary<Square>(t, square);
  set_whole_binary<Remainder>(t, remainder);
  t.set(remainder, DType::f32, plain_binary<float, float, float, Remainder>);
  t.set(remainder, DType::f64, plain_binary<double, double, double, Remainder>);

  set_truth<Less>(t, less);
  set_truth<LessEqual>(t, less_equal);
  set_truth<Greater>(t, greater);
  set_truth<GreaterEqual>(t, greater_equal);
  set_truth<Equal>(t, equal);
  set_truth<NotEqual>(t, not_equal);
  t.set(select, DType::f32, plain_select<float>);
  t.set(select, DType::f64, plain_select<double>);
  t.set(select, DType::i64, plain_select<int64_t>);
  t.set(select, DType::u32, plain_select<uint32_t>);
  t.set(select, DType::u8, plain_select<uint8_t>);
  t.set(select, DType::b8, plain_select<uint8_t>);
  t.set(logical_and, DType::b8, plain_binary<uint8_t, uint8_t, uint8_t, And>);
  t.set(logical_or, DType::b8, plain_binary<uint8_t, uint8_t, uint8_t, Or>);
  t.set(logical_xor, DType::b8, plain_binary<uint8_t, uint8_t, uint8_t, Xor>);
  t.set(logical_not, DType::b8, plain_unary<uint8_t, uint8_t, Not>);

  set_casts<float>(t, DType::f32);
  set_casts<double>(t, DType::f64);
  set_casts<int64_t>(t, DType::i64);
  set_casts<uint32_t>(t, DType::u32);
  set_casts<uint8_t>(t, DType::u8);
  set_casts<uint8_t>(t, DType::b8);

  t.function[mask_function(DType::f32)] = plain_binary<float, float, uint8_t, OneOrNone>;
  t.function[mask_function(DType::f64)] = plain_binary<double, double, uint8_t, OneOrNone>;
  t.function[mask_function(DType::i64)] = plain_binary<int64_t, int64_t, uint8_t, OneOrNone>;
  t.function[mask_function(DType::u32)] = plain_binary<uint32_t, uint32_t, uint8_t, OneOrNone>;
  t.function[mask_function(DType::u8)] = plain_binary<uint8_t, uint8_t, uint8_t, OneOrNone>;
  set_joined<float, DType::f32>(t);
  set_joined<double, DType::f64>(t);
  return t;
}

constexpr StepTable step_table = make_step_table();

}  // namespace
}  // namespace glassgrad::GG_ISA
