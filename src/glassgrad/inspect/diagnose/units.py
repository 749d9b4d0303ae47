"""Faults of units and of what reaches them: equal, dead, saturated; derivatives across depth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassgrad.ir import Value
from glassgrad.nn import init
from glassgrad.optim import Optimizer

from .bounds import FLAT, MANY_UNITS, RANGE, UNIT_ROWS
from .evidence import Evidence
from .faults import Finding
from .forks import Fork
from .walk import STRAIGHT, Walk

Array = NDArray[Any]


def symmetric(evidence: Evidence) -> Iterator[Finding]:
    """Units with the same weights and the same derivatives in them, which no step tells apart."""
    walk = evidence.walk
    last = {v for p in walk.recording.predictions for v in walk.back(p, STRAIGHT)}
    equal: dict[str, tuple[int, int]] = {}
    for layer in walk.layers.values():
        slope = walk.recording.gradient(layer.weight)
        if slope is None or layer.node.values[0] in last:
            continue
        weights = walk.recording.arrays[layer.weight]
        if layer.node.op.name != "conv":
            weights, slope = np.moveaxis(weights, -1, 0), np.moveaxis(slope, -1, 0)
        units = len(weights)
        size = float(abs(slope).max()) or 1.0
        both = np.hstack([weights.reshape(units, -1), np.round(slope / size, 8).reshape(units, -1)])
        counts = np.unique(both + 0.0, axis=0, return_counts=True)[1]
        twins = int(counts[counts > 1].sum())
        if units > 1 and twins >= units / 2:
            equal[layer.parameter] = (twins, units)
    if equal:
        name, (twins, units) = next(iter(equal.items()))
        others = f", and likewise in {', '.join(list(equal)[1:])}" if len(equal) > 1 else ""
        yield Finding(
            "symmetric start",
            name.rpartition(".")[0] or name,
            f"{twins} of {units} units of {name} have the weights of another and the same "
            f"derivatives{others}",
            change=redrawn(tuple(equal)),
        )


def redrawn(names: tuple[str, ...], biases: bool = False) -> Callable[[Fork], Fork]:
    """The change that draws weights anew, and sets the biases beside them to 0."""

    def change(fork: Fork) -> Fork:
        fork = fork.copied()
        state = fork.model.named_state()
        for name in names:
            p = state[name]
            shape = p.numpy().shape
            drawn = init.find("he" if biases else "glorot")(shape, fork.seed, name)
            p.assign(np.asarray(drawn, p.dtype))
            bias = state.get(f"{name.rpartition('.')[0]}.bias")
            if biases and bias is not None:
                bias.assign(np.zeros_like(bias.numpy()))
        return fork

    return change


def dead(evidence: Evidence) -> Iterator[Finding]:
    """ReLU units that give 0 for all rows recorded, in a network that has not learned without them."""
    walk = evidence.walk_in_training
    found: list[tuple[str, str]] = []  # place and evidence
    weights: list[str] = []
    for node in walk.recording.forward() if walk.recording.rows >= UNIT_ROWS else ():
        array = walk.recording.arrays[node.values[0]]
        if node.op.name not in ("relu", "relu6") or array.ndim < 2:
            continue
        made = list(walk.back(node.inputs[0], STRAIGHT))[-1]
        axis = 1 if made.node.op.name == "conv" or array.ndim == 2 else array.ndim - 1
        rest = tuple([i for i in range(array.ndim) if i != axis])
        none = (array == 0).all(axis=rest)
        before = walk.recording.arrays[node.inputs[0]]
        if not np.ptp(before, axis=0).any():
            continue  # nothing comes to it: the layers before are what is dead
        if len(none) >= 4 and none.mean() >= MANY_UNITS:
            about = (
                f"{int(none.sum())} of {len(none)} units give 0 for all {walk.recording.rows} rows; "
                f"what they are given is at most {before.max():.3g}, in the middle "
                f"{np.median(before):.3g}"
            )
            found.append((node.origin.scope or "relu", about))
            weights += [layer.parameter for layer in [walk.layers.get(made.node)] if layer]
    if found and not evidence.learned:
        yield from _of_layers("dead units", found, weights, biases=True)


def saturated(evidence: Evidence) -> Iterator[Finding]:
    """Sigmoids and tanhs at their flat ends, in a network that has not learned with them."""
    walk = evidence.walk_in_training
    ends = set(walk.ends())
    by_place: dict[str, list[Value]] = {}
    for node in walk.recording.forward() if walk.recording.rows >= UNIT_ROWS else ():
        if node.op.name in FLAT and node not in ends and node.values[0] in walk.moving:
            by_place.setdefault(node.origin.scope, []).append(node.values[0])
    found: list[tuple[str, str]] = []
    weights: list[str] = []
    for place, values in by_place.items():
        flat = np.mean([flatness(walk, v) for v in values])
        if flat < MANY_UNITS:
            continue
        sizes = [float(abs(walk.recording.arrays[v.node.inputs[0]]).mean()) for v in values]
        about = (
            f"{flat:.0%} of its values are where the activation is flat (derivative below "
            f"{FLAT[values[0].node.op.name]}); what it is given has a mean size of "
            f"{np.mean(sizes):.3g}"
        )
        found.append((place or values[0].node.op.name, about))
        weights += _weights_into(evidence, walk, place, values)
    if found and not evidence.learned:
        yield from _of_layers("saturated units", found, weights, biases=False)


def _weights_into(evidence: Evidence, walk: Walk, place: str, values: list[Value]) -> list[str]:
    """The weights of the layers whose sums these activations take."""
    into = [walk.layers.get(list(walk.back(v.node.inputs[0], STRAIGHT))[-1].node) for v in values]
    names = list(dict.fromkeys(layer.parameter for layer in into if layer))
    if names or not place:
        return names
    state = evidence.fork.model.named_state()  # gates of a recurrent layer: all that it has
    return [n for n in state if n.startswith(f"{place}.") and state[n].ndim > 1]


def _of_layers(
    name: str, found: list[tuple[str, str]], weights: list[str], biases: bool
) -> Iterator[Finding]:
    """One finding for all layers that have a fault, whose cause is often one."""
    if found:
        several = f"in {found[0][0]}, " if len(found) > 1 else ""
        yield Finding(
            name,
            ", ".join(place for place, _ in found),
            several + found[0][1],
            change=redrawn(tuple(weights), biases) if weights else None,
            untried="its weights belong to no layer of their own",
        )


def flatness(walk: Walk, value: Value) -> float:
    """The share of numbers of a sigmoid or tanh at which its derivative is next to nothing."""
    a = walk.recording.arrays[value]
    slope = a * (1 - a) if value.node.op.name == "sigmoid" else 1 - a * a
    return float((slope < FLAT[value.node.op.name]).mean())


def flow(evidence: Evidence) -> Iterator[Finding]:
    """Derivatives of the loss in what layers read, times that, first against last."""
    walk = evidence.walk_in_training
    sizes: dict[str, float] = {}
    for layer in walk.layers.values():
        slope = walk.recording.gradient(layer.reads)  # queries have small ones by their nature
        if slope is not None and slope.any() and layer.path not in sizes:
            # Times the numbers themselves: large ones have small derivatives, and mean as much.
            share = slope * walk.recording.arrays[layer.reads]
            sizes[layer.path] = float(np.sqrt((share**2).mean()))
    if len(sizes) < 3:
        return
    (first, a), *_, (last, b) = sizes.items()
    if not a or not b:
        return
    depth = f"{a:.2g} in {first} and {b:.2g} in {last}, the first and last of {len(sizes)} layers"
    if a < b / RANGE:
        yield Finding(
            "vanishing gradients",
            first,
            f"the derivative of the loss in what a layer reads, times that, is {depth}",
            untried="what helps is another network",
        )
    elif a > b * RANGE:
        yield Finding(
            "exploding gradients",
            first,
            f"the derivative of the loss in what a layer reads, times that, is {depth}",
            change=None if _clips(evidence.fork.optimizer) else _clipped,
            untried="the optimiser clips already",
        )


def _clips(optimizer: Optimizer) -> bool:
    return bool(optimizer.clipnorm or optimizer.clipvalue or optimizer.global_clipnorm)


def _clipped(fork: Fork) -> Fork:
    optimizer = copy.deepcopy(fork.optimizer)
    optimizer.global_clipnorm = 1.0
    return fork.but(optimizer=optimizer)


CHECKS = (symmetric, dead, saturated, flow)
