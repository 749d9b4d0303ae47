// The error function.
#pragma once

#include "kernels/math_exp.h"

namespace glassgrad::GG_ISA {
namespace {

// erf(x) / x - 1, z = x^2 up to 1
GG_INLINE Vec<float> erf_rest(Vec<float> z) {
  constexpr float c[] = {1.2837917e-01f, -3.7612626e-01f, 1.1283579e-01f, -2.6853347e-02f,
                         5.187162e-03f,  -7.997853e-04f,  7.806903e-05f};
  return polynomial(z, c);
}
GG_INLINE Vec<double> erf_rest(Vec<double> z) {
  constexpr double c[] = {0.1283791670955126,      -0.376126389031841,     0.11283791670971101,
                          -0.026866170648032518,   0.005223977652718093,   -0.0008548328538231694,
                          0.0001205538632860413,   -1.492688609246044e-05, 1.6481158628275005e-06,
                          -1.6558482050905793e-07, 1.6024396379033158e-08, -1.651599966628487e-09,
                          1.4443753594849148e-10};
  return polynomial(z, c);
}

// ln(1 - erf(a)), a from 1 to where erf is 1
GG_INLINE Vec<float> log_erfc(Vec<float> a) {
  constexpr float c[] = {-5.364941e+00f, -4.41816e+00f,   -9.237529e-01f, -1.6479896e-02f,
                         3.555122e-03f,  -7.1678637e-04f, 1.6823578e-04f, -8.512202e-06f};
  return polynomial(at_most(a, 4) - constant<float>(2), c);
}
GG_INLINE Vec<double> log_erfc(Vec<double> a) {
  constexpr double c[] = {-1.8496055099332482,    -2.6389675142347944,     -0.8431072563583505,
                          -0.041561098048602814,  0.01003382544763854,     -0.001977903045752636,
                          0.00023732454954187315, 2.6271609662557146e-05,  -2.7145397192669358e-05,
                          9.586806079719926e-06,  -2.0333170954640258e-06, 1.1924374189834215e-07,
                          1.1326430816752859e-07, -5.975397550208588e-08,  1.76592382502408e-08,
                          -3.551944207055505e-09, 4.827197342664342e-10,   -4.0156524165826975e-11,
                          1.5442417837944854e-12};
  return polynomial(at_most(a, 6) - constant<double>(1), c);
}

template <class T> GG_INLINE Vec<T> erf(Vec<T> x) {
  const Vec<T> a = absolute(x), one = constant<T>(1);
  const auto [n, r, low] = by_ln2(log_erfc(a), Format<T>::bias);
  const Vec<T> s = power_of_two<T>(n);
  const Vec<T> far = fma(negative(s), small_expm1(r), one - s);  // 1 - exp
  return select(a < one, fma(x, erf_rest(x * x), x), signed_as(far, x));
}

}  // namespace
}  // namespace glassgrad::GG_ISA
