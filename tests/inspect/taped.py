"""Random networks trained in a random way, recorded, and what their tapes must give back."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import numpy as np

import glassgrad as gg
from glassgrad import optim
from glassgrad.errors import NonFiniteError
from glassgrad.train import Callback, EarlyStopping, Run
from glassgrad.train.state import differing
from tests.networks import random_network
from tests.networks.training import drawn_training

from .test_tape import Looking, bits, state_of

ROWS = 22
NEAR = 1e-4  # of the loss, or of 1: the explanation is in float64, the step in float32


class Rates(Callback):
    """Another rate after every third step."""

    every = 3
    stateless = True

    def on_interval(self, run: Run) -> None:
        run.rate = run.rate * 0.8


class Back(Callback):
    """Weights halved after every fourth step."""

    every = 4
    stateless = True

    def on_interval(self, run: Run) -> None:
        parts = {p.name for p in run.model.parameters()}
        halved = {n: a * np.float32(0.5) if n in parts else a for n, a in run.state().items()}
        run.restore(halved)


class Interrupting(Callback):
    stateless = True

    def __init__(self, step: int) -> None:
        self.every = step

    def on_interval(self, run: Run) -> None:
        signal.raise_signal(signal.SIGINT)


class Losses(Callback):
    every = 1

    def __init__(self) -> None:
        self.of: dict[int, float] = {}

    def on_interval(self, run: Run) -> None:
        self.of[run.step] = run.loss


def drawn(rng: Any, optimizer: optim.Optimizer) -> list[Callback]:
    """What acts on the run: nothing, rates, weights, an early stop, Ctrl-C."""
    kind = int(rng.integers(5))
    step = int(rng.integers(1, 8))
    if kind == 1 and optimizer.schedule is None:
        return [Rates()]
    if kind == 2:
        return [Back()]
    if kind == 3:
        return [EarlyStopping("loss", patience=1, min_delta=0.3, restore_best_weights=True)]
    return [Interrupting(step)] if kind == 4 else []


def compare(seed: int, backend: str) -> list[str]:
    """Every step, the explanation of one, an unchanged branch; what is wrong with them."""
    rng = np.random.default_rng(seed)
    tape = gg.Tape(every=int(rng.integers(1, 6)), most=int(rng.integers(2, 5)))
    weights = rng.random(ROWS) + 0.1 if rng.integers(2) else None
    looking, losses = Looking(), Losses()

    def trained(*more: Callback, **taped: Any) -> Any:
        network = random_network(seed, rows=ROWS, dtype="float32", fit=True)
        how = drawn_training(seed, network).prepared(network)
        how |= {"backend": backend, "epochs": 3, "sample_weight": weights, **taped}
        acting = drawn(np.random.default_rng(seed), how["optimizer"])
        if not taped:  # the whole run, to compare with
            acting = [c for c in acting if not isinstance(c, Interrupting)]
        with contextlib.suppress(KeyboardInterrupt):
            gg.fit(network.model, network.x, network.y, callbacks=[*acting, *more], **how)
        return network.model

    model = None
    try:
        model = trained(tape=tape)
        whole = trained(looking, losses)
    except NonFiniteError:  # drawn with too high a rate: the steps until then are there
        last = tape.at(tape.last)
        return [] if bits(last.model) == bits(model or tape.model) else ["the last step differs"]
    wrong = []
    per_epoch = tape.history.record.steps_per_epoch
    for step in (1 + rng.permutation(tape.last)).tolist():
        if step % per_epoch:  # others were looked at before the end of their epoch
            found, wanted = state_of(tape.at(step)), looking.seen[step]
            apart = differing(wanted, {name: found[name] for name in wanted})
            wrong += [f"{backend}, step {step}: {name}" for name in apart]
    step = int(rng.integers(tape.last))
    recording = tape.explain(step).recording
    shown, was = float(recording.arrays[recording.loss]), losses.of[step + 1]
    if not abs(shown - was) <= NEAR * max(1.0, abs(was)):
        wrong.append(f"{backend}: step {step + 1} lost {was}, and is explained as {shown}")
    start = int(rng.integers(tape.last + 1))
    if bits(tape.branch(start).model) != bits(whole):
        wrong.append(f"{backend}: a branch from step {start} ends otherwise")
    if len(tape.kept) > tape.most:
        wrong.append(f"{backend}: {len(tape.kept)} snapshots")
    return wrong
