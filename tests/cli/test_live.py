"""The live picture: as wide as the terminal, as high as it began, curves that are what was seen."""

from __future__ import annotations

import io
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from glassgrad.cli.live import Curve, View, live
from glassgrad.train import History

BLOCKS = "▁▂▃▄▅▆▇█"


def view(
    share: float,
    columns: tuple[str, ...] = ("loss", "accuracy", "val_loss", "val_accuracy"),
    title: str = "digits",
    loss: Any = lambda share: 2 - share,
) -> View:
    steps, epochs = 8, 30
    history = History(columns)
    began = time.perf_counter()
    run: Any = SimpleNamespace(history=history, step=0, loss=math.nan, rate=0.003, began=began)
    found = View(title, steps, epochs)
    found.begin(run)
    for step in range(1, int(steps * epochs * share) + 1):
        run.step, run.loss = step, loss(step / (steps * epochs))
        if step % 4 == 0:
            found.follow(run, False)
        if step % steps == 0:
            history.extend({key: [run.loss] for key in columns}, [0.1])
            found.follow(run, True)
    return found


def drawn(what: View, width: int = 100, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(width=width, file=stream, color_system=None)
    console.print(what, end="")
    stream.seek(0)
    return stream.read().split("\n")[:-1]


@pytest.mark.parametrize("width", [10, 30, 63, 80, 100, 200])
def test_every_line_fits_and_there_are_always_as_many(width: int) -> None:
    for share in (0, 0.01, 0.5, 1):
        lines = drawn(view(share), width)
        assert len(lines) == 3
        assert all(len(line) <= width for line in lines)


def test_what_a_line_says() -> None:
    head, loss, accuracy = drawn(view(0.5))
    assert head.startswith("digits ")
    assert "epoch 15/30  rate 0.003  " in head
    assert head.endswith(" left")
    assert loss.endswith("1.5000  val 1.5000")
    assert accuracy.startswith("accuracy ")
    assert "-" in drawn(view(0))[1]


def test_curves_grow_with_the_bar() -> None:
    for share in (0.1, 0.4, 0.75, 1.0):
        head, loss, accuracy = drawn(view(share))
        bar = head[10:].index(" ")
        for line in (loss, accuracy):
            curve = line[10 : 10 + bar].rstrip()
            assert abs(len(curve) - share * bar) <= 1.01
            assert set(curve) <= set(BLOCKS)
            assert list(curve) == sorted(curve, reverse=True)  # it falls throughout
            assert (curve[0], curve[-1]) == ("█", "▁")


def test_a_curve_is_the_mean_of_what_fell_into_a_cell() -> None:
    curve = Curve()
    for until, value in ((1 / 480, 0.0), (1 / 240, 10.0), (0.5, 0.0), (1.0, 10.0)):
        curve.add(until, value)
    assert curve.drawn(240, BLOCKS, False) == "▅" + "▁" * 119 + "█" * 120
    few = Curve()
    for share, value in ((0.25, 0.0), (0.5, 7.0), (0.75, 3.0), (1.0, 4.0)):
        few.add(share, value)
    assert few.drawn(4, BLOCKS, False) == "▁█▄▅"
    assert few.drawn(8, BLOCKS, False) == "▁▁██▄▄▅▅"


def test_a_loss_over_many_decades_is_drawn_as_its_logarithm() -> None:
    curve = Curve()
    for k in range(8):
        curve.add((k + 1) / 8, 10.0**-k)
    assert curve.drawn(8, BLOCKS, True) == "█▇▆▅▄▃▂▁"
    assert curve.drawn(8, BLOCKS, False) == "█▂▁▁▁▁▁▁"


def test_values_that_are_not_finite_leave_gaps() -> None:
    curve = Curve()
    for k, value in enumerate([1.0, math.nan, math.inf, 0.0]):
        curve.add((k + 1) / 4, value)
    assert curve.drawn(4, BLOCKS, True) == "█  ▁"
    assert Curve().drawn(5, BLOCKS, True) == "     "
    flat = Curve()
    flat.add(1.0, 3.0)
    assert len(set(flat.drawn(9, BLOCKS, True))) == 1


def test_names_are_only_shown() -> None:
    lines = drawn(view(0.5, ("loss", "\x1b[31m[bold]x\n"), title="a\x1b]0;b\x07[red]\n" * 9))
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert "[bold" in lines[2]  # no markup


def test_a_terminal_without_such_characters_gets_plain_ones() -> None:
    lines = drawn(view(0.5), encoding="ascii")
    assert all(line.isascii() for line in lines)
    assert "###---" in lines[0]


def test_many_metrics_do_not_fill_the_screen() -> None:
    columns = ("loss", *[f"m{k}" for k in range(40)])
    assert len(drawn(view(0.5, columns))) == 7


def test_what_is_worth_a_look_is_told_once_the_picture_is_gone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with live("digits", 8, 30) as callbacks:
        run: Any = SimpleNamespace(history=History(("loss",)), step=0, rate=0.1, began=0.0)
        for callback in callbacks:
            callback.on_begin(run)
        run.history.notes.append("a loss of 1\x1b[31m")
    assert capsys.readouterr().err.endswith("note: a loss of 1\\x1b[31m\n")
