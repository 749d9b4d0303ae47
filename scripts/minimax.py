"""The polynomials of native/kernels/math_*.h: `python scripts/minimax.py [NAME...]` prints them.

Each is the best in the sense of Chebyshev, found by Remez's exchange on a fine grid in 60 digits. The
coefficients are then rounded to the type one by one, lowest first, and those that remain are found
again, so that they make up for what rounding took. Printed with each: the largest error of the polynomial
as a share of the function's value, in bits (what evaluation adds is measured by native/tests/ulp.cpp).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 60
Function = Callable[[Any], Any]


def remez(
    target: Function, weight: Function, low: Any, high: Any, terms: int, single: bool
) -> None:
    """Print c with sum c[k] x^k near target(x); weight(x) times its error is made small."""
    count = 40 * (terms + 2)
    grid = [
        (low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (mp.mpf(k) + 0.5) / count)
        for k in range(count)
    ]
    values = [target(x) for x in grid]
    weights = [weight(x) for x in grid]
    scaled = [float(w) for w in weights]
    coefficients: list[Any] = []
    bits = mp.inf
    for first in range(terms):
        left = [v - mp.polyval(coefficients[::-1], x) for v, x in zip(values, grid, strict=True)]
        free, bits = exchange(grid, left, weights, first, terms)
        coefficients.append(mp.mpf(float(np.float32(float(free[0]))) if single else float(free[0])))
    error = max(
        abs(w * (v - mp.polyval(coefficients[::-1], x)))
        for v, x, w in zip(values, grid, weights, strict=True)
    )
    print(
        f"  // 2^{float(mp.log(error, 2)):.1f} of its value, on [{float(low):.4f}, {float(high):.4f}]"
    )
    suffix = "f" if single else ""
    texts = [
        f"{np.format_float_scientific(np.float32(float(c)), unique=True)}{suffix}"
        if single
        else f"{float(c)!r}"
        for c in coefficients
    ]
    print("  {" + ", ".join(texts) + "};", flush=True)
    del scaled, bits


def exchange(
    grid: list[Any], values: list[Any], weights: list[Any], first: int, terms: int
) -> tuple[list[Any], Any]:
    """The best coefficients of x^first ... x^(terms - 1), and the largest weighted error."""
    free = terms - first
    at = [round((k + 0.5) * len(grid) / (free + 1)) for k in range(free + 1)]
    c: list[Any] = []
    worst: Any = mp.inf
    for _ in range(40):
        matrix = mp.matrix(free + 1, free + 1)
        right = mp.matrix(free + 1, 1)
        for i, g in enumerate(at):
            for k in range(free):
                matrix[i, k] = grid[g] ** (first + k) * weights[g]
            matrix[i, free] = (-1) ** i
            right[i] = values[g] * weights[g]
        solved = mp.lu_solve(matrix, right)
        c = list(solved)[:free]
        level = abs(solved[free])
        errors = [
            w * (v - x**first * mp.polyval(c[::-1], x))
            for x, v, w in zip(grid, values, weights, strict=True)
        ]
        worst = max(abs(e) for e in errors)
        if worst <= level * mp.mpf("1.001"):
            break
        at = alternating(errors, free + 1)
    return c, worst


def alternating(errors: list[Any], count: int) -> list[int]:
    """The peaks of the error, with signs that alternate; `count` of them, the largest."""
    peaks: list[int] = []
    for i, e in enumerate(errors):
        if peaks and (e > 0) == (errors[peaks[-1]] > 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    while len(peaks) > count:
        if len(peaks) == count + 1:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        else:
            i = min(
                range(len(peaks) - 1),
                key=lambda i: abs(errors[peaks[i]]) + abs(errors[peaks[i + 1]]),
            )
            del peaks[i : i + 2]
    if len(peaks) < count:  # a flat error: spread them
        peaks = [round((k + 0.5) * len(errors) / count) for k in range(count)]
    return peaks


def series(f: Function, x: Any, limit: Any) -> Any:
    """f(x), or its value at a tiny x where x is 0 or close to it."""
    return f(x if abs(x) > limit else limit)


TINY = mp.mpf(10) ** -12
HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.002")
QUARTER_PI = mp.pi / 4 * mp.mpf("1.001")
ROOT = mp.sqrt(2) - 1

# name: what the polynomial P(x) is near; the weight of its error; the interval; terms for float, double
POLYNOMIALS: dict[str, tuple[Function, Function, Any, Any, int, int]] = {
    # exp(x) = 1 + x + x^2 P(x)
    "exp": (
        lambda x: series(lambda r: (mp.exp(r) - 1 - r) / r**2, x, TINY),
        lambda x: series(lambda r: abs(r**2 / mp.expm1(r)), x, TINY),
        -HALF_LN2,
        HALF_LN2,
        6,
        11,
    ),
    # ln(1 + x) = x - x^2 / 2 + x^3 P(x)
    "log": (
        lambda x: series(lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3, x, TINY),
        lambda x: series(lambda f: abs(f**3 / mp.log1p(f)), x, TINY),
        mp.sqrt(0.5) - 1,
        ROOT,
        9,
        0,
    ),
    # ln((1 + s) / (1 - s)) = 2 s + s z P(z), z = s^2
    "atanh": (
        lambda z: series(lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, z, TINY),
        lambda z: z,
        mp.mpf(0),
        (ROOT / (2 + ROOT)) ** 2,
        0,
        7,
    ),
    # the same, but 2/3 is taken away first: 2 s + s z (2/3 + z P(z))
    "atanh_rest": (
        lambda z: series(
            lambda z: ((2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z - mp.mpf(2) / 3) / z, z, TINY
        ),
        lambda z: z**2 + mp.mpf(10) ** -20,
        mp.mpf(0),
        (ROOT / (2 + ROOT)) ** 2,
        0,
        9,
    ),
    # sin x = x + x z P(z), z = x^2
    "sin": (
        lambda z: series(lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, z, TINY),
        lambda z: series(lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)), z, TINY),
        mp.mpf(0),
        QUARTER_PI**2,
        3,
        6,
    ),
    # cos x = 1 - z / 2 + z^2 P(z)
    "cos": (
        lambda z: series(lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, z, TINY),
        lambda z: z**2 / mp.cos(mp.sqrt(z)) + mp.mpf(10) ** -20,
        mp.mpf(0),
        QUARTER_PI**2,
        3,
        6,
    ),
    # asin x = x + x z P(z)
    "arcsin": (
        lambda z: series(lambda z: (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, z, TINY),
        lambda z: series(lambda z: z * mp.sqrt(z) / mp.asin(mp.sqrt(z)), z, TINY),
        mp.mpf(0),
        mp.mpf("0.25"),
        5,
        13,
    ),
    # sinh x = x + x z P(z)
    "sinh": (
        lambda z: series(lambda z: (mp.sinh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, z, TINY),
        lambda z: series(lambda z: z * mp.sqrt(z) / mp.sinh(mp.sqrt(z)), z, TINY),
        mp.mpf(0),
        mp.mpf(1),
        4,
        7,
    ),
    # erf x = x + x P(z)
    "erf": (
        lambda z: series(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, z, TINY),
        lambda z: series(lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), z, TINY),
        mp.mpf(0),
        mp.mpf(1),
        7,
        13,
    ),
    # ln(1 - erf a) = P(a - 2), in double P(a - 1), to be taken away from 1 as exp(P)
    "erf_far": (
        lambda t: mp.log(mp.erfc(t + 2)),
        lambda t: mp.erfc(t + 2) / mp.erf(t + 2),
        mp.mpf(-1),
        mp.mpf(2),
        8,
        0,
    ),
    "erf_far64": (
        lambda t: mp.log(mp.erfc(t + 1)),
        lambda t: mp.erfc(t + 1) / mp.erf(t + 1),
        mp.mpf(0),
        mp.mpf(5),
        0,
        19,
    ),
}


def main() -> None:
    for name in sys.argv[1:] or POLYNOMIALS:
        target, weight, low, high, floats, doubles = POLYNOMIALS[name]
        for terms, single in ((floats, True), (doubles, False)):
            if terms:
                print(name, "float" if single else "double", flush=True)
                remez(target, weight, low, high, terms, single)


if __name__ == "__main__":
    main()
