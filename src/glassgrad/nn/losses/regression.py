"""Losses of numbers: of an error, of a likelihood, of a direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from glassgrad.errors import DataError
from glassgrad.ops import OPS, Spelled, named
from glassgrad.ops.loss import reduced
from glassgrad.tensors.tensor import Tensor

from .operands import alike, array


def mse(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Mean squared error: mean (p - t)^2 over all numbers.

    Shapes: prediction and target equal. Raises ShapeError otherwise. `reduction` is "mean",
    "sum" or "none", as for every loss here. Definition: torch.nn.MSELoss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.mse(gg.tensor([0.0, 1.0, 1.0]), gg.tensor([0.0, 1.0, 2.0])).item()
    0.3333333432674408
    """
    return OPS["mse"](prediction, array(target), reduction=reduction)


def mae(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Mean absolute error: mean |p - t| over all numbers; the derivative of no error is 0.

    Shapes: equal, or ShapeError. Definition: torch.nn.L1Loss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.mae(gg.tensor([0.0, 1.0]), gg.tensor([0.5, 3.0])).item()
    1.25
    """
    return OPS["mae"](prediction, array(target), reduction=reduction)


def huber(prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean") -> Any:
    """Squared error where small, absolute error where large.

    The mean of e^2 / 2 where |e| = |p - t| <= delta, of delta (|e| - delta / 2) beyond.

    Shapes: equal, or ShapeError. ConfigError for a delta that is not above 0. Huber 1964;
    definition: torch.nn.HuberLoss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.huber(gg.tensor([0.5, 3.0]), gg.tensor([0.0, 0.0]), reduction="none")
    tensor([0.125, 2.5  ])
    """
    return OPS["huber"](prediction, array(target), delta=delta, reduction=reduction)


def smooth_l1(prediction: Any, target: Any, *, beta: float = 1.0, reduction: str = "mean") -> Any:
    """Huber's loss of delta = beta, over beta: for small beta it is the absolute error.

    Shapes: equal, or ShapeError. ConfigError for a beta below 0. Girshick 2015; definition:
    torch.nn.SmoothL1Loss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.smooth_l1(gg.tensor([3.0]), gg.tensor([0.0]), beta=2.0).item()
    2.0
    """
    return OPS["smooth_l1"](prediction, array(target), beta=beta, reduction=reduction)


def log_cosh(prediction: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Mean of log cosh(p - t): a squared error (halved) where small, an absolute one where large.

    It is finite for any error. Shapes: equal, or ShapeError. Definition: keras.losses.LogCosh.

    >>> import glassgrad as gg
    >>> round(gg.nn.losses.log_cosh(gg.tensor([0.0, 1e4]), gg.tensor([1.0, 0.0])).item(), 3)
    4999.87
    """
    return OPS["log_cosh"](prediction, array(target), reduction=reduction)


def poisson_nll(
    prediction: Any,
    target: Any,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of counts t: mean of exp(x) - t x, x the logarithm of their mean.

    Without `log_input` the prediction is the mean itself: x - t log(x + eps). `full` adds log t!
    by Stirling's formula for t > 1. Shapes: equal, or ShapeError. Definition:
    torch.nn.PoissonNLLLoss.

    >>> import glassgrad as gg
    >>> gg.nn.losses.poisson_nll(gg.tensor([0.0, 0.0]), gg.tensor([2.0, 0.0])).item()
    1.0
    """
    return OPS["poisson_nll"](
        prediction, array(target), log_input=log_input, full=full, eps=eps, reduction=reduction
    )


def gaussian_nll(
    prediction: Any,
    target: Any,
    variance: Any,
    *,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of numbers: mean of (log v + (p - t)^2 / v) / 2, v >= eps.

    `full` adds log(2 pi) / 2. Shapes: prediction and target equal; variance equal too, or one for
    each row: without the last axis, or with 1 there. ShapeError otherwise, DataError for a
    variance below 0. Below eps the derivative is that at eps. Nix and Weigend 1994; definition:
    torch.nn.GaussianNLLLoss.

    >>> import glassgrad as gg
    >>> p, t, v = gg.tensor([1.0, 2.0]), gg.tensor([1.0, 4.0]), gg.tensor([1.0, 2.0])
    >>> round(gg.nn.losses.gaussian_nll(p, t, v).item(), 5)
    0.67329
    """
    p, v = prediction, array(variance)
    if isinstance(v, Tensor) and (v.numpy() < 0).any():
        place = tuple(int(i) for i in np.argwhere(v.numpy() < 0)[0])
        raise DataError(
            "a variance is below 0",
            where=f"variance {list(place)}",
            expected="numbers from 0",
            received=f"{v.numpy()[place]!s}",
            hint="let the network give its logarithm: gg.exp(output)",
        )
    if v.shape == p.shape[:-1] and p.ndim:
        v = v.reshape((*v.shape, 1))
    if p.ndim and v.shape == (*p.shape[:-1], 1):
        v = OPS["broadcast_to"](v, shape=p.shape)
    return OPS["gaussian_nll"](p, array(target), v, full=full, eps=eps, reduction=reduction)


def cosine_similarity(
    prediction: Any, target: Any, *, axis: int = -1, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """Less the cosine of the angle between prediction and target: -1 where they agree, 1 opposite.

    -(p . t) / (max(|p|, eps) max(|t|, eps)) over an axis, the mean over all others. Shapes: equal,
    or ShapeError. Definition: keras.losses.CosineSimilarity; the similarity itself is that of
    torch.nn.CosineSimilarity.

    >>> import glassgrad as gg
    >>> gg.nn.losses.cosine_similarity(gg.tensor([[3.0, 4.0]]), gg.tensor([[4.0, 3.0]])).item()
    -0.9599999785423279
    """
    p, t = prediction, array(target)
    alike(p, t)
    return reduced(-cosine(p, t, axis, eps), reduction)


def cosine(a: Any, b: Any, axis: int, eps: float) -> Any:
    """The cosine of the angle between vectors that lie along an axis; 0 beside one of length 0."""
    least = Spelled(eps * eps, f"{eps!r} ** 2")
    lengths = [
        named(OPS["sqrt"](OPS["maximum"]((v * v).sum(axis=axis), least)), name)
        for v, name in ((a, "length"), (b, "target_length"))
    ]
    return named((a * b).sum(axis=axis) / (lengths[0] * lengths[1]), "cosine")
