"""What can be found: one record for each fault, the most serious first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .bounds import HELPS

if TYPE_CHECKING:
    from .forks import Fork


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name, what it is, and what to do about it."""

    name: str
    says: str
    fix: str


# Causes stand before what they cause: a column that is a thousand times too large saturates units.
FAULTS = (
    Fault(
        "softmax applied twice",
        "The network ends in a softmax or sigmoid, and the loss applies it once more.",
        "Leave the last activation out, or use the loss that takes probabilities.",
    ),
    Fault(
        "loss does not fit",
        "The loss is of another kind than what the network gives or what the targets are.",
        "Use the loss and the last activation that fit the targets.",
    ),
    Fault(
        "labels off by one",
        "The labels are one place beside what they belong to.",
        "Move the labels back by one.",
    ),
    Fault(
        "symmetric start",
        "Units of a layer begin equal and get equal derivatives, so that they stay equal.",
        "Draw the weights at random.",
    ),
    Fault(
        "dropout in evaluation",
        "Evaluation draws random numbers, so that the same rows give other results each time.",
        "Let the layer drop only where self.training is True.",
    ),
    Fault(
        "leaking column",
        "One column tells the target nearly exactly, as what is made from it does.",
        "Ask where the column comes from; leave it out if it is not known at prediction.",
    ),
    Fault(
        "unscaled column",
        "A part of the data has numbers of another size than a network can learn from.",
        "Subtract its mean and divide by its standard deviation.",
    ),
    Fault(
        "missing activation",
        "Two layers follow each other with nothing but linear steps between: one could do both.",
        "Put an activation between them.",
    ),
    Fault(
        "frozen layer",
        "Training leaves a layer as it is.",
        "Let training change it: model.unfreeze(...); freeze only what was trained before.",
    ),
    Fault(
        "shuffled labels",
        "Nothing that is learned from the rows helps with rows held out.",
        "Check that inputs and labels are in the same order.",
    ),
    Fault(
        "dead units",
        "Units of a layer give 0 for every row, so that no derivative reaches their weights.",
        "Draw the layer anew, with smaller weights and biases of 0.",
    ),
    Fault(
        "saturated units",
        "Units of a layer stand at the flat ends of their activation for most rows.",
        "Draw the layer anew, with smaller weights, or scale what it reads.",
    ),
    Fault(
        "rate too high",
        "The steps are so large that the loss falls less than with smaller ones, or not at all.",
        "Lower the learning rate.",
    ),
    Fault(
        "rate too low",
        "The steps are so small that hardly anything is learned.",
        "Raise the learning rate.",
    ),
    Fault(
        "noisy labels",
        "A share of the rows is labelled otherwise than rows like them.",
        "Look at the rows named; leave out or correct those whose label is wrong.",
    ),
    Fault(
        "exploding gradients",
        "Derivatives grow by orders of magnitude on their way back through the layers.",
        "Use normalisation, a smaller start, or clip: optim(..., global_clipnorm=1).",
    ),
    Fault(
        "vanishing gradients",
        "Derivatives shrink by orders of magnitude on their way back through the layers.",
        "Use ReLU-like activations, residual connections or normalisation.",
    ),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
ORDER = {fault.name: i for i, fault in enumerate(FAULTS)}


@dataclass(frozen=True, slots=True)
class Trial:
    """What a fix did on a fork: the loss on rows held out, without it and with it."""

    before: float
    after: float
    steps: int
    loss: str  # the loss that both were measured by

    @property
    def helps(self) -> bool:
        """Whether it lowered the loss, by more than a copy that is hardly another one."""
        return self.after < HELPS * self.before


@dataclass(slots=True)
class Finding:
    """A fault that was found: where, the evidence in numbers, and what the fix did.

    `trial` is None where the fix was not tried; then `untried` says why. `rows` are those that look
    wrong, the most suspicious first, for labels that are noisy.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 3))
    >>> settings = dict(loss="cross_entropy", optimizer=gg.optim.Adam(1e-6))
    >>> (finding,) = gg.diagnose(model, x, y, **settings).findings
    >>> print(finding.name, "-", finding.fix)
    rate too low - Raise the learning rate to about 0.001.
    >>> finding.trial.after < finding.trial.before
    True
    """

    name: str
    where: str
    evidence: str
    fix: str = ""
    trial: Trial | None = None
    untried: str = ""
    rows: tuple[int, ...] = ()
    change: Callable[[Fork], Fork] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.fix = self.fix or BY_NAME[self.name].fix

    @property
    def says(self) -> str:
        """What the fault is, in a sentence."""
        return BY_NAME[self.name].says

    @property
    def offered(self) -> bool:
        """Whether the fix was tried and lowered the loss on rows held out."""
        return self.trial is not None and self.trial.helps
