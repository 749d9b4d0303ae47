"""Faults of the labels: beside their rows, in no order, or a share of them wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from glassgrad.optim import Adam

from .bounds import (
    AGREED,
    CONFUSED,
    DOUBT,
    MOST_NOISE,
    NO_BETTER,
    NOISE,
    NOISE_ROWS,
    ONE_CLASS,
    ORDERED,
    OTHERWISE,
    OUTPUTS,
    QUICK,
    SEEN,
    SURE,
)
from .evidence import Evidence
from .faults import Finding
from .forks import Fork, rows_of


def off_by_one(evidence: Evidence) -> Iterator[Finding]:
    """Class numbers that begin at 1, or labels that belong to the row before or after."""
    classes, found = evidence.targets.classes, evidence.predictions
    record = evidence.loss
    if classes is not None and found is not None and record and record.target == "classes":
        outputs = found.shape[1] if found.ndim > 1 else 1
        counts = np.bincount(classes, minlength=outputs)
        for unused, rest in ((0, counts[1:]), (outputs - 1, counts[:-1])):
            usual = OUTPUTS[0] <= outputs <= OUTPUTS[1]
            if usual and not counts[unused] and rest.min() >= SEEN:
                yield Finding(
                    "labels off by one",
                    "y",
                    f"class {unused} occurs in none of {len(classes):,} rows, each of the other "
                    f"{outputs - 1} in at least {rest.min():,}",
                    "Let the labels begin at 0, and give the network one output for each class.",
                    untried="the loss is nearly the same: an output that is never right is soon "
                    "never chosen",
                )
                return
    yield from _shifted(evidence)


def _shifted(evidence: Evidence) -> Iterator[Finding]:
    near = evidence.neighbours
    if near is None or near.score > near.guess + SURE * near.error:
        return
    targets = evidence.targets
    y = targets.classes if targets.classes is not None else targets.numbers
    assert y is not None
    scores = {by: near.score_with(np.roll(y, by, 0)[evidence.looked_at]) for by in (1, -1)}
    by = max(scores, key=lambda b: scores[b])
    if scores[by] < max(near.guess, near.score) + 2 * SURE * near.error:
        return
    what = "the share that is right" if near.classifies else "R squared"

    def change(fork: Fork) -> Fork:
        return evidence.with_targets(fork, np.roll(np.asarray(evidence.all_y), by, 0))

    yield Finding(
        "labels off by one",
        "y",
        f"each label predicted from the rows most like its own: {what} is {near.score:.2f}, and "
        f"{scores[by]:.2f} with the labels moved {'down' if by > 0 else 'up'} by one row",
        change=change if evidence.held is not None else None,
        untried="the rows held out were given apart, and may be right",
    )


def shuffled(evidence: Evidence) -> Iterator[Finding]:
    """Neither rows alike, nor a straight line, nor the network predict rows that they did not see."""
    near = evidence.neighbours
    if near is None or near.guess > ONE_CLASS:
        return
    if not near.x.any() or not np.ptp(near.y, axis=0).any():
        return  # rows or targets that are all the same have no order
    fewest, enough = ORDERED
    if len(near) < max(fewest, min(near.x.shape[1], enough)):
        return
    bound = near.guess + SURE * near.error
    if near.score > bound or near.straight > bound:
        return
    if evidence.course.held < NO_BETTER * evidence.guess:
        return
    quick = evidence.fork.but(optimizer=Adam(QUICK)).run(2 * evidence.steps)
    if not quick.held >= NO_BETTER * evidence.guess:  # also where the guess is not known
        return
    what = "right for {:.0%}" if near.classifies else "R squared {:.2f}"
    yield Finding(
        "shuffled labels",
        "y",
        f"from rows alike: {what.format(near.score)}, by a linear fit: "
        f"{what.format(near.straight)}, by giving all the same: {what.format(near.guess)}; the "
        f"network came to a loss of {quick.last:.3g} on rows it trained on and {quick.held:.3g} on "
        f"others, where giving all the same has {evidence.guess:.3g}",
        untried="nobody knows the right order but whoever has the labels",
    )


def noisy(evidence: Evidence) -> Iterator[Finding]:
    """Labels against rows alike, even where those agree the most among themselves.

    Where classes merely overlap, rows that agree are right. So the share that is wrong there is
    taken for noise, and the classes must be told apart better than that without it.
    """
    near = evidence.neighbours
    if near is None or not near.classifies or len(near) < NOISE_ROWS:
        return
    if near.score < near.guess + SURE * near.error:
        return
    shares = near.shares
    agreed = shares.max(1)
    against = shares.argmax(1) != near.y
    sure = agreed >= np.quantile(agreed, AGREED)
    share, all_over = float(against[sure].mean()), float(against.mean())
    classes = int(near.y.max()) + 1
    without = (all_over - share) / (1 - share * classes / (classes - 1))
    if not NOISE <= share <= MOST_NOISE or all_over > CONFUSED or without > OTHERWISE * share:
        return
    doubt = np.where(against, agreed - shares[np.arange(len(near)), near.y], -1.0)
    worst = doubt.argsort(kind="stable")[::-1]
    suspects = evidence.looked_at[worst[doubt[worst] > DOUBT]]

    def change(fork: Fork) -> Fork:
        keep = ~np.isin(evidence.rows, suspects)
        fork = fork.but(x=rows_of(fork.x, keep), y=rows_of(fork.y, keep))
        if evidence.held is None:
            return fork
        keep = ~np.isin(evidence.held, suspects)  # a wrong label is no measure of either
        return fork.but(held_x=rows_of(fork.held_x, keep), held_y=rows_of(fork.held_y, keep))

    yield Finding(
        "noisy labels",
        "y",
        f"about {share:.0%} of the labels differ from what rows like theirs are labelled, where "
        f"those agree the most ({int(sure.sum())} rows), and {all_over:.0%} of all; the most "
        f"suspicious of {len(suspects)} rows are {', '.join(str(i) for i in suspects[:8])}",
        f"Look at the suspicious rows (all are in .rows), and leave out or correct those whose "
        f"label is wrong (here all {len(suspects)} were left out, in training and for the measure).",
        change=change,
        rows=tuple(int(i) for i in suspects),
    )


CHECKS = (off_by_one, shuffled, noisy)
