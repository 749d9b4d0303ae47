"""What random networks learn: every loss with its settings, its targets, and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad import nn
from glassgrad.nn.losses import records

from .specs import Spec

Array = NDArray[Any]
RECORDS = {r.name: r for r in records.RECORDS}
# Whatever nn has joins the list by itself, by its name there.
LOSSES = tuple(
    sorted(n for n, v in vars(nn).items() if isinstance(v, type) and issubclass(v, records.Loss))
)
PAIRS = ("margin_ranking", "cosine_embedding", "contrastive")
# Of one prediction; beside the usual one, which is drawn more often.
SINGLE = tuple(r.name for r in records.RECORDS if r.by_rows)

# What PyTorch calls them, where it has them, with the same words for settings ...
THEIRS = {
    "mse": "mse_loss",
    "mae": "l1_loss",
    "huber": "huber_loss",
    "smooth_l1": "smooth_l1_loss",
    "poisson_nll": "poisson_nll_loss",
    "gaussian_nll": "gaussian_nll_loss",
    "bce": "binary_cross_entropy",
    "bce_logits": "binary_cross_entropy_with_logits",
    "cross_entropy": "cross_entropy",
    "nll": "nll_loss",
    "kl_div": "kl_div",
    "soft_margin": "soft_margin_loss",
    "hinge_embedding": "hinge_embedding_loss",
    "multi_margin": "multi_margin_loss",
    "multilabel_soft_margin": "multilabel_soft_margin_loss",
    "margin_ranking": "margin_ranking_loss",
    "cosine_embedding": "cosine_embedding_loss",
    "triplet_margin": "triplet_margin_loss",
}


def _focal(f: Any, z: Any, t: Any, alpha: float | None, gamma: float) -> Any:
    q = t * z.sigmoid() + (1 - t) * (1 - z.sigmoid())
    balance = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    terms = f.binary_cross_entropy_with_logits(z, t, reduction="none")
    return balance * (1 - q) ** gamma * terms


def _categorical_focal(f: Any, z: Any, t: Any, alpha: float, gamma: float) -> Any:
    if t.ndim < z.ndim:
        t = f.one_hot(t, z.shape[1]).movedim(-1, 1).to(z.dtype)
    q = z.softmax(1)
    return (-alpha * t * (1 - q) ** gamma * q.log()).sum(1)


def _contrastive(f: Any, a: Any, b: Any, y: Any, margin: float) -> Any:
    d = (a - b).norm(dim=-1)
    return ((1 - y) * d**2 + y * f.relu(margin - d) ** 2) / 2


# ... and, where it has not, what the articles say, unreduced.
ARTICLES: dict[str, Callable[..., Any]] = {
    "log_cosh": lambda f, p, t: (p - t).cosh().log(),
    "cosine_similarity": lambda f, p, t, axis, eps: -f.cosine_similarity(p, t, axis, eps),
    "focal": _focal,
    "categorical_focal": _categorical_focal,
    "hinge": lambda f, p, t, margin: f.relu(margin - t * p),
    "squared_hinge": lambda f, p, t: f.relu(1 - t * p) ** 2,
    "contrastive": _contrastive,
}
# A last module that makes what the loss takes: probabilities, their logarithms, what is above 0.
ABOVE_0 = Spec("Softplus", {})
TAILS = {
    "bce": Spec("Sigmoid", {}),
    "nll": Spec("LogSoftmax", {"sizes": (1,)}),
    "kl_div": Spec("LogSoftmax", {"sizes": (1,)}),
    "hinge_embedding": ABOVE_0,
}


@dataclass
class Goal:
    """A loss of some of the outputs, and its share in the sum."""

    name: str
    settings: dict[str, Any]
    outputs: tuple[int, ...] = (0,)
    share: float = 1.0
    target: Array | None = None
    loss: Any = field(init=False)

    def __post_init__(self) -> None:
        self.loss = records.CLASSES[RECORDS[self.name].made](**self.settings)

    def operands(self, outputs: tuple[Any, ...], target: Any) -> list[Any]:
        """In the loss's order: the target is the second one beside a variance, else the last."""
        found = [outputs[i] for i in self.outputs]
        if target is not None:
            found.insert(1 if self.name == "gaussian_nll" else len(found), target)
        return found

    def ours(self, outputs: tuple[Any, ...], target: Any) -> Any:
        """The loss in glassgrad; what is not reduced is squared, which nothing else does."""
        found = self.loss(*self.operands(outputs, target))
        return self.share * ((found * found).mean() if self.unreduced else found)

    def theirs(self, torch: Any, outputs: tuple[Any, ...], target: Any) -> Any:
        """The loss in PyTorch."""
        operands, f = self.operands(outputs, target), torch.nn.functional
        if self.name in THEIRS:
            settings = {
                k: torch.tensor(v) if isinstance(v, np.ndarray) else v
                for k, v in self.settings.items()
            }
            found = getattr(f, THEIRS[self.name])(*operands, **settings)
        else:
            given = {**RECORDS[self.name].defaults, **self.settings}
            how = given.pop("reduction")
            found = ARTICLES[self.name](f, *operands, **given)
            found = found if how == "none" else getattr(found, how)()
        return self.share * ((found * found).mean() if self.unreduced else found)

    @property
    def unreduced(self) -> bool:
        """Whether the loss gives a number for each row or term."""
        return self.settings.get("reduction") == "none"


def drawn_settings(rng: np.random.Generator, name: str, width: int, fit: bool) -> dict[str, Any]:
    """Settings for a loss of `width` outputs: each is the default half of the time."""
    each = rng.uniform(0.3, 2.0, width)
    choices: dict[str, dict[str, tuple[Any, ...]]] = {
        "huber": {"delta": (0.3, 2.0)},
        "smooth_l1": {"beta": (0.0, 0.4)},
        "poisson_nll": {"full": (True,)},
        "gaussian_nll": {"full": (True,), "eps": (0.5,)},
        "bce": {"weight": (each,)},
        "bce_logits": {"weight": (each,), "pos_weight": (each[::-1].copy(),)},
        "cross_entropy": {"weight": (each,), "label_smoothing": (0.1,), "ignore_index": (0,)},
        "nll": {"weight": (each,), "ignore_index": (0,)},
        "focal": {"alpha": (None, 0.6), "gamma": (1.0, 3.0)},
        "categorical_focal": {"alpha": (1.0, 0.6), "gamma": (1.0, 3.0)},
        "hinge": {"margin": (0.5,)},
        "hinge_embedding": {"margin": (1.5,)},
        "multi_margin": {"p": (2,), "margin": (0.6,), "weight": (each,)},
        "multilabel_soft_margin": {"weight": (each,)},
        "margin_ranking": {"margin": (0.5, -0.5)},
        "cosine_embedding": {"margin": (0.4,)},
        "cosine_similarity": {"axis": (1,)},
        "triplet_margin": {"margin": (0.5,), "p": (1, 3.0), "swap": (True,)},
        "contrastive": {"margin": (2.0,)},
    }
    found = {
        k: v[rng.integers(len(v))] for k, v in choices.get(name, {}).items() if rng.random() < 0.5
    }
    hows = ["sum", *["none"] * (not fit), *["batchmean"] * (name == "kl_div")]
    if rng.random() < 0.4:
        found["reduction"] = hows[rng.integers(len(hows))]
    return found


def drawn_target(rng: np.random.Generator, goal: Goal, shape: tuple[int, ...]) -> Array | None:
    """What the outputs are to be; `shape` is that of the first."""
    name = goal.name
    if name == "triplet_margin":
        return None
    n, k, rest = shape[0], shape[1], shape[2:]
    if name in ("cross_entropy", "categorical_focal", "nll", "multi_margin", "kl_div"):
        indices = name in ("nll", "multi_margin") or "ignore_index" in goal.settings
        if name != "kl_div" and (indices or rng.random() < 0.7):
            classes = rng.integers(0, k, (n, *rest))
            classes.reshape(n, -1)[::2, 0] = 1  # so that some stay where 0 is ignored
            return classes
        shares = np.moveaxis(rng.dirichlet(np.ones(k), (n, *rest)), -1, 1)
        return np.ascontiguousarray(shares)
    if name in ("bce", "bce_logits"):
        return rng.uniform(0, 1, shape)
    if name in ("focal", "multilabel_soft_margin"):
        return rng.integers(0, 2, shape).astype(float)
    if name == "contrastive":
        return rng.integers(0, 2, n).astype(float)
    if name == "poisson_nll":
        return rng.poisson(2.0, shape).astype(float)
    if name == "cosine_embedding":
        return rng.choice([-1.0, 1.0], n)
    if name == "margin_ranking" or RECORDS[name].target == "signs":
        return rng.choice([-1.0, 1.0], shape)
    return rng.normal(0, 1, shape)
