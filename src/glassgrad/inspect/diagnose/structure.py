"""Faults that stand in the graph: of its end and the loss, of layers with nothing between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from glassgrad.ir import Node
from glassgrad.nn import init
from glassgrad.nn.activations import ReLU
from glassgrad.nn.layers import Identity
from glassgrad.nn.module import Module, Weight
from glassgrad.tensors.tensor import Buffer, Parameter

from .bounds import CLASSES, OUTSIDE, SEEN, SUM, SURE
from .evidence import Evidence
from .faults import Finding
from .forks import Fork
from .walk import count

_SHARES = ("bce", "bce_logits", "focal", "multilabel_soft_margin")  # take targets from 0 to 1
_BETWEEN = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "relu6": (0.0, 6.0),
}


def softmax_twice(evidence: Evidence) -> Iterator[Finding]:
    """Logits are wanted and probabilities given."""
    record, found = evidence.loss, evidence.predictions
    if record is None or found is None or record.outputs != "logits" or record.name == "nll":
        return
    end = evidence.walk.ends()[0]
    inside = bool(((found >= 0) & (found <= 1)).all())
    sums = found.sum(1) if found.ndim > 1 else found
    if end.op.name == "softmax" or (
        inside and found.ndim > 1 and found.shape[1] > 1 and bool((abs(sums - 1) < SUM).all())
    ):
        about = f"every row of the output is in [0, 1] and sums to {sums.mean():.4f}"
    elif end.op.name == "sigmoid":
        about = f"the output is a sigmoid's, between {found.min():.3f} and {found.max():.3f}"
    else:
        return
    yield Finding(
        "softmax applied twice",
        end.origin.scope or "the output",
        f"{about}, and the loss {record.name} takes logits",
        change=without_end(end),
        untried="the last activation is no module of its own",
    )


def without_end(end: Node) -> Callable[[Fork], Fork] | None:
    """The change that takes the last activation out, where a module is nothing else."""
    path = end.origin.scope
    if not path:
        return None

    def change(fork: Fork) -> Fork:
        fork = fork.copied()
        put(fork.model, path, Identity())
        return fork

    return change


def put(model: Module, path: str, module: Module) -> None:
    """Put a module in the place of another."""
    holders = {
        id(child): (held, name) for _, held in model.modules() for name, child in held.children()
    }
    at = dict(model.modules())[path]
    held, name = holders[id(at)]
    if name in vars(held):
        setattr(held, name, module)
    else:
        for items in vars(held).values():
            if isinstance(items, list) and at in items:
                items[items.index(at)] = module
    module._settle_names()


class Between(Module):
    """Two modules in a row, in the place of the second."""

    def __init__(self, first: Module, second: Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, *given: Any) -> Any:
        x, *rest = given
        return self.second(self.first(x), *rest)


def missing_activation(evidence: Evidence) -> Iterator[Finding]:
    """Two layers that one could do: no fewer numbers between them than one end of them has."""
    seen = set()
    walk = evidence.walk
    mixed = walk.mixed()
    for layer in walk.layers.values():
        before, between = walk.before(layer)
        if before is None or before.weight is layer.weight or (before.path, layer.path) in seen:
            continue
        grouped = {n.attributes.get("groups", 1) for n in (before.node, layer.node)} != {1}
        ends = min(count(before.reads), count(layer.node.values[0]))
        apart = layer.node in mixed or before.node in mixed
        if grouped or apart or between < ends:  # a bottleneck of few numbers is a design too
            continue
        seen.add((before.path, layer.path))
        rows = walk.recording.rows
        yield Finding(
            "missing activation",
            f"{before.path or before.parameter} to {layer.path or layer.parameter}",
            f"{count(before.reads) // rows} numbers a row become {between // rows} and then "
            f"{count(layer.node.values[0]) // rows}, all by linear steps",
            change=_with_activation(layer.path) if layer.path else None,
            untried="the second layer is no module of its own",
        )


def _with_activation(path: str) -> Callable[[Fork], Fork]:
    def change(fork: Fork) -> Fork:
        fork = fork.copied()
        put(fork.model, path, Between(ReLU(), dict(fork.model.modules())[path]))
        return fork

    return change


def loss_misfit(evidence: Evidence) -> Iterator[Finding]:
    """A loss of another kind than the output or the targets."""
    record, found = evidence.loss, evidence.predictions
    if record is None or found is None:
        return
    end = evidence.walk.ends()[0]
    where = f"loss {record.name}"
    y = np.asarray(evidence.all_y)
    misfit = _targets_misfit(where, y) if record.name in _SHARES else None
    if misfit is not None:
        yield misfit
        return
    outside = float(((found < 0) | (found > 1)).mean())
    if record.outputs == "probabilities" and outside > 0:
        yield Finding(
            "loss does not fit",
            where,
            f"it takes probabilities, and {outside:.0%} of the outputs are outside [0, 1] "
            f"({found.min():.3g} to {found.max():.3g})",
            "Use bce_logits, or end the network in a sigmoid.",
            change=lambda fork: fork.but(loss="bce_logits", yardstick="bce_logits"),
        )
    elif record.name == "nll" and found.ndim > 1 and end.op.name != "log_softmax":
        with np.errstate(over="ignore"):
            sums = np.exp(found).sum(1)
        if abs(sums - 1).max() > SUM:
            yield Finding(
                "loss does not fit",
                where,
                f"it takes log-probabilities, and exp(output) sums to {np.median(sums):.3g} a row "
                "where 1 is meant",
                "Use cross_entropy, or end the network in a log_softmax.",
                change=lambda fork: fork.but(loss="cross_entropy", yardstick="cross_entropy"),
            )
    elif record.name == "cross_entropy" and found.ndim > 1 and found.shape[1] == 1:
        yield Finding(
            "loss does not fit",
            where,
            "a softmax of one output is always 1, so that the loss is 0 whatever the network does",
            "Use bce_logits for one output, or an output for each class.",
            untried="the targets of the other loss have another shape",
        )
    elif record.name in ("mse", "mae", "huber", "smooth_l1", "log_cosh"):
        yield from _numbers_misfit(end, where, y)


def _targets_misfit(where: str, y: Any) -> Finding | None:
    """Targets beyond 0 and 1, such as classes that are -1 and 1, for a loss that takes shares."""
    outside = (y < -SUM) | (y > 1 + SUM)
    if not outside.any():
        return None
    kinds = np.unique(y)

    def change(fork: Fork) -> Fork:
        first, held = [(np.asarray(t) == kinds[1]).astype(y.dtype) for t in (fork.y, fork.held_y)]
        return fork.but(y=first, held_y=held)

    two = len(kinds) == 2
    others = " and ".join([f"{new} for {old:g}" for new, old in enumerate(kinds[:2]) if new != old])
    return Finding(
        "loss does not fit",
        where,
        f"it takes targets from 0 to 1, and {outside.mean():.0%} of them are outside "
        f"({kinds[0]:g} to {kinds[-1]:g})",
        f"In the targets, write {others}." if two else "",
        change=change if two else None,
        untried="what the targets mean is known to whoever has them",
    )


def _numbers_misfit(end: Node, where: str, y: Any) -> Iterator[Finding]:
    low, high = _BETWEEN.get(end.op.name, (-math.inf, math.inf))
    outside = float(((y < low) | (y > high)).mean())
    if outside > OUTSIDE:
        yield Finding(
            "loss does not fit",
            end.origin.scope or "the output",
            f"the network ends in {end.op.name}, between {low:g} and {high:g}, and {outside:.0%} of "
            f"the targets are outside ({y.min():.3g} to {y.max():.3g})",
            "Leave the last activation out, or scale the targets into its range.",
            change=without_end(end),
            untried="the last activation is no module of its own",
        )
        return
    if y.size != len(y) or not (y == np.round(y)).all() or y.min() != 0:
        return
    classes, counts = np.unique(y, return_counts=True)
    low, high = CLASSES
    if low <= len(classes) <= high and classes[-1] == len(classes) - 1 and counts.min() >= SEEN:
        yield Finding(
            "loss does not fit",
            where,
            f"the targets are the {len(classes)} whole numbers from 0 to {len(classes) - 1}, as "
            f"numbers of classes are; this loss takes class {len(classes) - 1} for further from 0 "
            "than class 1",
            "Give the network an output for each class and use cross_entropy; if the numbers are an "
            "amount, the loss is right.",
            untried="another loss needs a last layer of another size",
        )


def frozen(evidence: Evidence) -> Iterator[Finding]:
    """Layers that training leaves out, with the numbers that they began with."""
    state = evidence.fork.model.named_state()
    ours = {n: p for n, p in state.items() if not isinstance(p, Buffer)}
    still = [n for n, p in ours.items() if not p.requires_grad]
    learned = {n.rpartition(".")[0] for n in still if not _as_drawn(ours[n])}
    still = [n for n in still if n.rpartition(".")[0] not in learned]
    if not still:
        return
    numbers = sum(ours[n].numpy().size for n in still)
    total = sum(p.numpy().size for p in ours.values())

    def change(fork: Fork) -> Fork:
        fork = fork.copied()
        for name, p in fork.model.named_state().items():
            if name in still:
                p.requires_grad = True
        return fork

    paths = dict.fromkeys(n.rpartition(".")[0] or n for n in still)
    yield Finding(
        "frozen layer",
        ", ".join(paths),
        f"requires_grad is False for {', '.join(still)}: {numbers:,} of {total:,} numbers, which "
        "are such as a start draws them",
        change=change,
    )


def _as_drawn(parameter: Parameter) -> bool:
    """Whether its numbers are such as it begins with; training changes biases of 0, and sizes."""
    if not isinstance(parameter, Weight) or isinstance(parameter.how, np.ndarray | list):
        return False
    now = np.float64(parameter.numpy())
    drawn = init.find(parameter.how)(now.shape, 0, parameter.name)
    if not now.size or not np.ptp(drawn):
        return np.array_equal(now, np.asarray(drawn, parameter.dtype))
    off = np.sqrt(np.mean(now**2) / np.mean(drawn**2)) - 1
    return bool(abs(off) < SURE / math.sqrt(now.size))


class _OnlyInTraining(Module):
    """A module in training, nothing in evaluation."""

    def __init__(self, inner: Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x) if self.training else x


def draws_in_evaluation(evidence: Evidence) -> Iterator[Finding]:
    """Random numbers in the graph of an evaluation."""
    nodes = [n for n in evidence.recording.forward() if "random" in n.op.roles]
    if not nodes or evidence.predictions is None:
        return
    paths = dict.fromkeys(n.origin.scope for n in nodes)
    other = evidence.evaluated_with(evidence.fork.seed + 1)
    assert other is not None
    first = evidence.predictions
    spread = float(abs(first - other).mean() / (np.std(first) or 1))

    def change(fork: Fork) -> Fork:
        fork = fork.copied()
        for path in paths:
            put(fork.model, path, _OnlyInTraining(dict(fork.model.modules())[path]))
        return fork

    yield Finding(
        "dropout in evaluation",
        ", ".join(p or "forward" for p in paths),
        f"two evaluations of the same rows with other seeds differ by {spread:.0%} of the spread "
        "of the outputs",
        change=change if all(paths) else None,
        untried="the draws are in no module of their own",
    )


CHECKS = (softmax_twice, loss_misfit, missing_activation, frozen, draws_in_evaluation)
