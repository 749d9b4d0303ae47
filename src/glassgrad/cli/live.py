"""Training on a terminal: a bar, and below it the curves, which grow as the bar does.

    digits    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━  epoch 24/30  rate 0.003  2 s left
    loss      █▅▄▃▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁              0.0081
    accuracy  ▁▅▆▇▇▇███████████████████████████████              0.9993

The lines are as many from the first to the last picture, and each picture is one write.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.text import Text

from glassgrad.cli.screen import name, note, number
from glassgrad.train.callbacks import Callback, Run

_MOST_ROWS = 6
_LABEL = 16
_CELLS = 240  # of a curve, however wide it is drawn
_PAUSE = 0.08  # seconds between two pictures
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.:-=+*#"


class Curve:
    """A quantity over the whole run, in cells; each holds the mean of what fell into it."""

    def __init__(self) -> None:
        self.sums = [0.0] * _CELLS
        self.counts = [0] * _CELLS
        self.reached = 0.0

    def add(self, until: float, value: float) -> None:
        """A value for the stretch from the last one to `until`, a share of the run."""
        first, self.reached = min(int(self.reached * _CELLS), _CELLS - 1), min(until, 1.0)
        if math.isfinite(value):
            for cell in range(first, max(first + 1, int(self.reached * _CELLS))):
                self.sums[cell] += value
                self.counts[cell] += 1

    def drawn(self, width: int, blocks: str, may_be_log: bool) -> str:
        """The curve in so many characters, as far as it is known."""
        columns: list[float | None] = []
        for column in range(width):
            cells = range(column * _CELLS // width, max(1, (column + 1) * _CELLS // width))
            count = sum(self.counts[c] for c in cells)
            columns.append(sum(self.sums[c] for c in cells) / count if count else None)
        known = [v for v in columns if v is not None]
        if not known:
            return " " * width
        low, high = min(known), max(known)
        log = may_be_log and low > 0 and high > 100 * low
        if log:
            low, high = math.log(low), math.log(high)
        top = len(blocks) - 1

        def block(value: float) -> str:
            at = math.log(value) if log else value
            share = (at - low) / (high - low) if high - low > 1e-9 * abs(high) else 0.5
            return blocks[round(top * share)] if math.isfinite(share) else " "

        return "".join(" " if v is None else block(v) for v in columns)


class View:
    """What is shown of a run: `follow` it, then print this object."""

    def __init__(self, title: str, steps: int, epochs: int) -> None:
        self.title = title
        self.steps, self.epochs = steps, epochs
        self.done = 0.0
        self.before = 0.0  # what was done when the run went on
        self.epoch = 0
        self.rate = math.nan
        self.left = ""
        self.values: dict[str, float] = {}
        self.curves: dict[str, Curve] = {}
        self.notes: list[str] = []  # what is worth a look: the run's own list

    def begin(self, run: Run) -> None:
        """The rows are known from here on."""
        names = [n for n in run.history.columns if not n.startswith("val_")]
        self.curves = {n: Curve() for n in names[:_MOST_ROWS]}
        self.notes = run.history.notes
        self.rate = run.rate
        self.before = run.step / (self.steps * self.epochs)

    def follow(self, run: Run, whole_epoch: bool) -> None:
        """Take in where the run stands."""
        total = self.steps * self.epochs
        self.done = min(1.0, run.step / total)
        self.epoch = min(self.epochs, (max(run.step, 1) - 1) // self.steps + 1)
        self.rate = run.rate
        past = time.perf_counter() - run.began
        now = self.done - self.before
        self.left = _about(past / now * (1 - self.done)) if now > 0 else ""
        if "loss" in self.curves:
            self.curves["loss"].add(self.done, run.loss)
        self.values = {**run.history.last, "loss": run.loss}
        if whole_epoch:
            self.values = dict(run.history.last)
            for label, curve in self.curves.items():
                if label != "loss":
                    curve.add(self.done, self.values[label])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        plain = options.ascii_only
        labels = [name(self.title), *map(name, self.curves)]
        label = min(_LABEL, max(map(len, labels)))
        digits = len(str(self.epochs))
        rate = f"rate {self.rate:.4g}  " if width >= 64 else ""
        state = f"epoch {self.epoch:>{digits}}/{self.epochs}  {rate}{self.left}"
        numbers = [self._numbers(n) for n in self.curves]
        right = max(map(len, [state, *numbers, "x" * (len(state) - len(self.left) + 10)]))
        bar = max(8, min(60, width - label - right - 4))
        lines = [self._line(labels[0], label, self._bar(bar, plain), state, "bold")]
        for text, found, (kind, curve) in zip(
            labels[1:], numbers, self.curves.items(), strict=True
        ):
            drawn = curve.drawn(bar, _PLAIN if plain else _BLOCKS, kind == "loss")
            lines.append(self._line(text, label, Text(drawn, "cyan"), found, ""))
        for line in lines:
            line.truncate(width)
        yield Group(*lines)

    def _numbers(self, column: str) -> str:
        parts = [number(self.values.get(column))]
        if f"val_{column}" in self.values:
            parts.append(f"val {number(self.values[f'val_{column}'])}")
        return "  ".join(parts)

    def _line(self, label: str, width: int, middle: Text, right: str, style: str) -> Text:
        short = label if len(label) <= width else label[: width - 3] + "..."
        text = Text(no_wrap=True, overflow="crop", end="\n")
        return (
            text.append(short.ljust(width), style).append("  ").append(middle).append(f"  {right}")
        )

    def _bar(self, width: int, plain: bool) -> Text:
        full, half, rest = ("#", "", "-") if plain else ("━", "╸", "━")
        halves = int(self.done * width * 2)
        filled = full * (halves // 2) + (half if halves % 2 else "")
        return Text(filled, "green").append(rest * (width - len(filled)), "bright_black")


def _about(seconds: float) -> str:
    """A time that is left, as people say it."""
    if seconds < 60:
        return f"{seconds:.0f} s left"
    minutes = seconds / 60
    return f"{minutes:.0f} min left" if minutes < 90 else f"{minutes / 60:.1f} h left"


class _Follow(Callback):
    """Hands the run to the view at its interval, and has it drawn when the last time is long enough ago."""

    stateless = True  # curves begin where a run goes on

    def __init__(self, view: View, live: Live, every: int | None) -> None:
        self.view, self.live = view, live
        self.drawn = 0.0
        if every is not None:
            self.every = every

    def on_begin(self, run: Run) -> None:
        if self.every == "epoch":
            self.view.begin(run)
            self.live.refresh()

    def on_interval(self, run: Run) -> None:
        self.view.follow(run, self.every == "epoch")
        now = time.perf_counter()
        if now - self.drawn >= _PAUSE or run.step == self.view.steps * self.view.epochs:
            self.drawn = now
            self.live.refresh()


@contextmanager
def live(title: str, steps: int, epochs: int) -> Iterator[tuple[Callback, ...]]:
    """Callbacks that keep the picture up to date; however training ends, the screen is clean.

    What is worth a look is told then.
    """
    console = Console(stderr=True, highlight=False)
    view = View(title, steps, epochs)
    try:
        with Live(view, console=console, transient=True, auto_refresh=False) as shown:
            whole = _Follow(view, shown, None)
            each = (_Follow(view, shown, max(1, min(steps // 2, 10))),) if steps > 1 else ()
            yield (whole, *each)
    finally:
        for remark in view.notes:
            note(f"note: {name(remark)}")
