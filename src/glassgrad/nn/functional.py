"""The activations as functions of a tensor (or a traced symbol)."""

from __future__ import annotations

from typing import TypeVar

from ..ops import OPS, Array

A = TypeVar("A", bound=Array)


def _apply(name: str, x: A, **settings: float) -> A:
    found: A = OPS[name](x, **settings)
    return found


def relu(x: A) -> A:
    """max(0, x); the derivative at 0 is 0."""
    return _apply("relu", x)


def leaky_relu(x: A, slope: float = 0.01) -> A:
    """x above 0, slope x below."""
    return _apply("leaky_relu", x, slope=slope)


def elu(x: A, alpha: float = 1.0) -> A:
    """x above 0, alpha (e^x - 1) below."""
    return _apply("elu", x, alpha=alpha)


def gelu(x: A) -> A:
    """x times the share of a normal distribution below x."""
    return _apply("gelu", x)


def silu(x: A) -> A:
    """x sigmoid(x)."""
    return _apply("silu", x)


def sigmoid(x: A) -> A:
    """1 / (1 + e^-x)."""
    return _apply("sigmoid", x)


def tanh(x: A) -> A:
    """Hyperbolic tangent."""
    return _apply("tanh", x)


def softplus(x: A) -> A:
    """ln(1 + e^x)."""
    return _apply("softplus", x)


def softmax(x: A, axis: int = -1) -> A:
    """Positive shares that sum to 1 along an axis."""
    return _apply("softmax", x, axis=axis)


def log_softmax(x: A, axis: int = -1) -> A:
    """Logarithm of softmax along an axis."""
    return _apply("log_softmax", x, axis=axis)
