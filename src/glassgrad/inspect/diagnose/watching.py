"""A callback that diagnoses a training at intervals."""

from __future__ import annotations

import sys
from typing import Literal, TextIO

from glassgrad.errors import UsageError
from glassgrad.train.callbacks import Callback, Run

from .diagnosis import Diagnosis, diagnose, settings_of
from .forks import at_rate


class Watching(Callback):
    """Diagnoses a copy of the training at every interval, and prints what was not there before.

    `found` has the step and the diagnosis of each interval. The training itself goes on as it
    would without; each look costs what `gg.diagnose` does. Fixes are tried only if `try_fixes`.

    >>> import glassgrad as gg
    >>> from glassgrad import data, nn
    >>> x, y = data.spiral(seed=0)
    >>> model = nn.Sequential(nn.Linear(32), nn.Linear(32), nn.ReLU(), nn.Linear(3))
    >>> watching = gg.inspect.Watching(every="epoch", steps=20)
    >>> settings = dict(loss="cross_entropy", optimizer="adam", verbose=False)
    >>> history = gg.fit(model, x, y, callbacks=watching, **settings)
    >>> [(step, found.findings[0].name) for step, found in watching.found]
    [(1, 'missing activation')]
    """

    stateless = True  # what was found before a checkpoint stands in the output of that run

    def __init__(
        self,
        every: int | Literal["epoch"] = "epoch",
        *,
        steps: int = 200,
        seconds: float = 120.0,
        try_fixes: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.every = every
        self.steps, self.seconds = steps, seconds
        self.try_fixes = try_fixes
        self.stream = stream
        self.found: list[tuple[int, Diagnosis]] = []
        self._told: set[tuple[str, str]] = set()

    def on_begin(self, run: Run) -> None:
        if run.history.record.stream is not None:
            raise UsageError(
                "the rows of an iterable are not kept, so that nothing can look at them",
                where="Watching",
                expected="fit(model, x, y)",
                received="fit(model, batches)",
                hint="gg.diagnose(model, batches, ...) reads some of them",
            )
        self.found, self._told = [], set()

    def on_interval(self, run: Run) -> None:
        settings = settings_of(run.history.record)
        optimizer = settings["optimizer"]
        if optimizer.schedule is None and run.rate != optimizer.lr:  # a callback changed it
            settings["optimizer"] = at_rate(optimizer, run.rate)
        found = diagnose(
            run.model,
            steps=self.steps,
            seconds=self.seconds,
            try_fixes=self.try_fixes,
            **settings,
        )
        self.found.append((run.step, found))
        stream = self.stream or sys.stderr
        for each in found.findings:
            if (each.name, each.where) not in self._told:
                self._told.add((each.name, each.where))
                stream.write(f"step {run.step}: {each.name}: {each.where}: {each.evidence}\n")
