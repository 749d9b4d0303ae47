"""scikit-learn: MLPClassifier, float32, without penalty and shuffling as all others."""

from __future__ import annotations

import warnings

import sklearn
from sklearn.neural_network import MLPClassifier

from benchmarks.inputs import inputs
from benchmarks.workloads import LEARNING_RATE

from . import Job

warnings.filterwarnings("ignore")  # "has not converged": it was not meant to


def about() -> str:
    """scikit-learn's version."""
    return f"scikit-learn {sklearn.__version__}"


_HIDDEN = {"spiral": 64, "mlp": 128, "fits": 16}


class _Fit(Job):
    """One `fit` for a call, its epochs so many that a step's cost is what is measured."""

    scales = True

    def __init__(self, name: str) -> None:
        self.name, self.inputs = name, inputs(name)
        self.steps = self.inputs.batches
        self.x, self.y = self.inputs.x, self.inputs.y.ravel()
        self.reset()

    def new(self, epochs: int) -> MLPClassifier:
        return MLPClassifier(
            (_HIDDEN[self.name],),
            batch_size=self.inputs.size or len(self.x),
            learning_rate_init=LEARNING_RATE[self.name],
            max_iter=epochs,
            alpha=0.0,
            shuffle=False,
            tol=0.0,
            n_iter_no_change=10**9,
            warm_start=True,
            random_state=0,
        )

    def reset(self) -> None:
        self.model = self.new(1).fit(self.x, self.y)
        weights = list(self.inputs.weights.values())
        for own, given in zip(self.model.coefs_, weights[0::2], strict=True):
            own[...] = given
        for own, given in zip(self.model.intercepts_, weights[1::2], strict=True):
            own[...] = given
        self.model.loss_curve_ = []

    def call(self) -> None:
        self.model.max_iter = self.epochs
        self.model.fit(self.x, self.y)

    def losses(self, passes: int) -> list[float]:
        self.reset()
        self.model.max_iter = passes
        return [float(v) for v in self.model.fit(self.x, self.y).loss_curve_]


class _Fits(Job):
    """A new estimator fitted 50 times."""

    steps = 50

    def __init__(self) -> None:
        self.one = _Fit("fits")

    def call(self) -> None:
        for _ in range(self.steps):
            self.one.new(20).fit(self.one.x, self.one.y)

    def losses(self, passes: int) -> list[float]:
        return self.one.losses(passes)


def job(name: str, threads: int) -> Job:  # noqa: ARG001  # as every side
    """A workload made ready; its threads were set when the process started."""
    return _Fits() if name == "fits" else _Fit(name)
