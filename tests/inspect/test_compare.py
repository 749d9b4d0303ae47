"""Runs side by side: the right numbers, the right settings, nothing hostile from a folder."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import data, nn, optim
from glassgrad.errors import ConfigError, FormatError, GlassgradError, UsageError
from glassgrad.inspect import overlaid
from glassgrad.inspect.compare import Comparison, compare
from glassgrad.inspect.run import read_run, write_run
from glassgrad.train import EarlyStopping, History

X, Y = data.spiral(points_per_class=20)


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))


COMMON: dict[str, Any] = {"loss": "cross_entropy", "epochs": 4, "batch_size": 16}


def run(seed: int = 0, **changes: Any) -> History:
    how = {**COMMON, "optimizer": optim.SGD(0.1), **changes}
    return gg.fit(make(), X, Y, seed=seed, verbose=False, **how)


def test_means_and_deviations_are_numpys() -> None:
    entries = {"sgd": {"optimizer": optim.SGD(0.1)}, "adam": {"optimizer": optim.Adam(0.03)}}
    found = compare(entries, X, Y, seeds=4, model=make, validation_split=0.3, **COMMON)
    for group, optimizer in zip(found.groups, (optim.SGD(0.1), optim.Adam(0.03)), strict=True):
        runs = [run(seed, optimizer=optimizer, validation_split=0.3) for seed in range(4)]
        assert group.seeds == (0, 1, 2, 3)
        for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
            table = np.array([history[column] for history in runs])
            np.testing.assert_array_equal([r[column] for r in group.runs], table)
            last = table[:, -1].mean(), table[:, -1].std(ddof=1)
            np.testing.assert_allclose(group.last(column), last, rtol=1e-12)
            best = table.min(1) if "loss" in column else table.max(1)
            direction = found.directions[column]
            wanted = best.mean(), best.std(ddof=1)
            np.testing.assert_allclose(group.best(column, direction), wanted, rtol=1e-12)
    assert [g.name for g in found.groups] == ["sgd", "adam"]
    assert found.differ == {"optimizer": ["SGD", "Adam"], "lr": [0.1, 0.03]}


def test_the_entries_of_a_list_are_named_by_what_differs() -> None:
    entries = [{"optimizer": optim.SGD(r)} for r in (0.1, 0.2)]
    found = compare(entries, X, Y, seeds=[7, 3], model=make, **COMMON)
    assert [g.name for g in found.groups] == ["lr 0.1", "lr 0.2"]
    assert found.groups[0].seeds == (7, 3)
    assert found.groups[0].runs[0]["loss"] == run(7)["loss"]


def test_functions_histories_and_folders(tmp_path: Path) -> None:
    folder = write_run(run(1), tmp_path / "one")
    found = compare([run(0), folder, run, lambda seed: run(seed + 5)], seeds=[4, 8])
    assert [g.seeds for g in found.groups] == [(0, 1), (4, 8), (4, 8)]
    assert found.groups[2].runs[1]["loss"] == run(13)["loss"]
    assert len({g.name for g in found.groups}) == 3
    named = compare({"a": run(0), "b": folder})
    assert [(g.name, g.seeds) for g in named.groups] == [("a", (0,)), ("b", (1,))]
    merged = compare([run(0), run(1), run(2, optimizer=optim.SGD(0.3))])
    assert [g.seeds for g in merged.groups] == [(0, 1), (2,)]
    assert merged.differ == {"lr": [0.1, 0.3]}
    (alone,) = compare([folder, write_run(run(4), tmp_path / "two")]).groups
    assert alone.seeds == (1, 4)
    assert alone.name == "one +1"
    assert alone.runs[1]["loss"] == run(4)["loss"]


def test_one_seed_has_no_deviation() -> None:
    found = compare([run()])
    mean, spread = found.groups[0].last("loss")
    assert mean == run()["loss"][-1]
    assert np.isnan(spread)
    assert "±" not in str(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["groups"][0]["last"]["loss"] == {
        "mean": mean, "deviation": None,
    }  # fmt: skip


def test_runs_that_stopped_at_different_epochs() -> None:
    def stopped(seed: int) -> History:
        stop = EarlyStopping("loss", patience=1, min_delta=0.02 * (seed + 1))
        return run(seed, epochs=30, callbacks=[stop])

    found = compare([stopped], seeds=3)
    lengths = [len(r["loss"]) for r in found.groups[0].runs]
    assert len(set(lengths)) > 1
    assert f"{min(lengths)} to {max(lengths)}" in str(found)
    ET.fromstring(found.svg())


def test_what_is_printed() -> None:
    entries = {"sgd": {"optimizer": "sgd"}, "adam\x1b[31m <b>": {"optimizer": "adam"}}
    found = compare(entries, X, Y, seeds=2, model=make, **COMMON)
    text = str(found)
    assert text == repr(found)
    lines = text.split("\n")
    assert lines[0] == "settings that differ"
    assert lines[1].split() == ["optimizer", "lr"]
    assert re.search(r"sgd +2 +4 +\d\.\d{4} ± \d\.\d{4} +\d\.\d{4} ± \d\.\d{4}", text)
    page = found._repr_html_()
    assert "<b>" not in page
    assert "\x1b" not in text + page
    assert "&lt;b&gt;" in page


def test_a_metric_of_ones_own_has_no_best() -> None:
    def own(prediction: Any, target: Any) -> Any:
        return prediction.mean()

    found = compare([run(metrics=[own])])
    assert found.directions["own"] == ""
    assert "own" not in found.to_dict()["groups"][0]["best"]


# -- the picture -------------------------------------------------------------------------------


def points(svg: str, look: str) -> list[list[tuple[float, float]]]:
    paths = [p.get("d", "") for p in ET.fromstring(svg).iter() if look in (p.get("class") or "")]
    number = r"(-?[\d.]+) (-?[\d.]+)"
    return [[(float(a), float(b)) for a, b in re.findall(number, d)] for d in paths]


def test_the_line_is_the_mean_and_the_band_holds_every_run() -> None:
    runs = [{"loss": [1.0, 0.5, 0.3]}, {"loss": [0.8, 0.9]}]
    svg = overlaid({"a": runs, "b": [{"loss": [0.6, 0.6, 0.0]}]}, "t")
    a, b = points(svg, "gg-line")
    top, zero = a[0][1], b[2][1]

    def values(heights: list[float]) -> Any:
        return 0.9 * (np.array(heights) - zero) / (top - zero)

    np.testing.assert_allclose(values([y for _, y in a]), [0.9, 0.7, 0.3], atol=5e-3)
    band = next(p for p in ET.fromstring(svg).iter() if p.get("fill-opacity"))
    edge = [float(y) for _, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", band.get("d", ""))]
    np.testing.assert_allclose(values(edge), [1, 0.9, 0.3, 0.3, 0.5, 0.8], atol=5e-3)


def test_validation_is_drawn_where_every_run_has_it() -> None:
    one = {"loss": [1.0], "accuracy": [0.1], "val_loss": [2.0], "val_accuracy": [0.2]}
    assert "validation loss" in overlaid({"a": [one], "b": [one]}, "t")
    plain = overlaid({"a": [one], "b": [{"loss": [1.0]}]}, "t")
    assert "validation" not in plain
    assert "accuracy" not in plain
    nothing: Any
    for nothing in ({}, {"a": []}, {"a": [{"loss": []}]}, {"a": [{"loss": [float("nan")]}]}):
        ET.fromstring(overlaid(nothing, "t"))


def test_names_in_the_picture_are_escaped() -> None:
    svg = overlaid({"</svg><script>": [{"loss": [1.0, 2.0]}]}, "\x1b<b>")
    assert "<script" not in svg
    ET.fromstring(svg)


# -- what cannot be meant ----------------------------------------------------------------------


FIXED = make()

BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "nothing": ([], {}, "at least one"),
    "a text": ("runs/a", {}, "list or a mapping"),
    "one history": (History(), {}, "list or a mapping"),
    "a number": ([3], {}, "settings of fit"),
    "a module": ([make()], {}, "settings of fit"),
    "no model": ([{"optimizer": "sgd"}], {}, "model=lambda"),
    "a model that is made already": ([{"model": FIXED}], {}, "model=lambda"),
    "the same model again": ([{"model": lambda: FIXED, "optimizer": "sgd", **COMMON}], {}, "inside"),
    "a seed of its own": ([{"model": make, "seed": 3}], {}, "seeds=5"),
    "a function that gives no history": ([lambda seed: seed], {}, "gives a History"),
    "no seeds": ([run], {"seeds": 0}, "no seeds"),
    "half a seed": ([run], {"seeds": 2.5}, "no seeds"),
    "true seeds": ([run], {"seeds": True}, "no seeds"),
    "a seed twice": ([run], {"seeds": [1, 1]}, "differ"),
    "a seed below 0": ([run], {"seeds": [-1]}, "seed"),
    "no folder": (["/no/such/run"], {}, "no such run"),
    "a zero byte": (["a\0b"], {}, "no such run"),
    "a name no system takes": (["a" * 5000], {}, "no such run"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_compared(name: str) -> None:
    entries, how, word = BAD[name]
    with pytest.raises(GlassgradError) as caught:
        compare(entries, X, Y, **how)
    assert word in str(caught.value)
    assert caught.value.received


def test_what_is_wrong_is_said_before_anything_is_trained() -> None:
    calls: list[int] = []

    def first(seed: int) -> History:
        calls.append(seed)
        return run(seed)

    with pytest.raises(UsageError, match="new model"):
        compare({"a": first, "b": {"model": None}}, X, Y)
    assert calls == []


def test_every_group_has_a_name_of_its_own(tmp_path: Path) -> None:
    folders = []
    for number, name in enumerate(("x/a (3)", "y/a", "z/a")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(f"lr = {number}.5\n")
        (folder / "history.csv").write_text(HISTORY)
        folders.append(folder)
    found = compare(folders)
    assert [g.name for g in found.groups] == ["a (3)", "a", "a (4)"]


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    for name, seed, text in (("a", 0, HISTORY), ("copy", 0, HISTORY), ("b", 1, HISTORY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(f"lr = 0.5\nseed = {seed}\n")
        (tmp_path / name / "history.csv").write_text(text)
    (group,) = compare([tmp_path / n for n in ("a", "copy", "b", "a")]).groups
    assert group.seeds == (0, 1)
    assert group.name == "a +1"
    (alone,) = compare([tmp_path / "a", tmp_path / "copy"]).groups
    assert math.isnan(alone.last("loss")[1])


# -- folders are hostile -----------------------------------------------------------------------


HISTORY = "epoch,loss,seconds\n1,0.5,0.1\n2,0.25,0.1\n"
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "epoch"),
    "no epoch": ("loss\n0.5\n", "epoch"),
    "a column twice": ("epoch,loss,loss\n1,2,3\n", "differ"),
    "a name with an escape": ("epoch,\x1b[31m\n1,2\n", "x1b"),
    "a name too long": ("epoch," + "a" * 71 + "\n1,2\n", "differ"),
    "an empty name": ("epoch,\n1,2\n", "differ"),
    "a cell too many": ("epoch,loss\n1,2\n2,3,4\n", "line 3"),
    "a word": ("epoch,loss\n1,fast\n", "'fast'"),
    "an underscore": ("epoch,loss\n1,1_0\n", "1_0"),
    "other digits": ("epoch,loss\n1,\u0664\n", "line 2"),
    "a long number": ("epoch,loss\n1," + "9" * 5000 + "\n", "line 2"),
    "epochs in disorder": ("epoch,loss\n2,0.5\n1,0.5\n", "line 2"),
    "an open quote": ('epoch,loss\n1,"2\n', "CSV"),
    "no UTF-8": (b"epoch,loss\n\xff,2\n", "CSV"),
    "a zero byte": (b"epoch,loss\n1,\0\n", "line"),
    "a line that never ends": (b"epoch" + b"," * 2_000_000, "line 1"),
    "lines of nothing": (b"epoch,loss\n" + b"\n" * 1_000_001, "too large"),
    "a huge field": ("epoch,loss\n1," + "1" * 200_000, "line"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_history_is_refused(tmp_path: Path, name: str) -> None:
    content, word = HOSTILE[name]
    (tmp_path / "config.toml").write_text("")
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "history.csv").write_bytes(raw)
    with pytest.raises(FormatError) as caught:
        read_run(tmp_path)
    assert "history.csv" in caught.value.where
    assert word in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", str(caught.value))


def test_a_history_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "history.csv").write_text(HISTORY)
    assert read_run(tmp_path) == ({}, {"loss": [0.5, 0.25]})
    monkeypatch.setattr("glassgrad.inspect.run.MOST_DATA", 10)
    with pytest.raises(FormatError, match="too large"):
        read_run(tmp_path)
    (tmp_path / "history.csv").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["config.toml", "history.csv"])
def test_a_pipe_in_a_run_is_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text("")
    (tmp_path / "history.csv").write_text(HISTORY)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match="no regular file"):
        read_run(tmp_path)


def test_odd_settings_and_values_make_no_error(tmp_path: Path) -> None:
    for name, extra in (("a", "lr = nan"), ("b", "lr = [1, {x = 2020-01-01}]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(
            f"[optimizer]\n{extra}\n[x]\n\"\\u001b\" = '{name}'\n"
        )
        numbers = "1e308" if name == "a" else "inf"
        text = f"epoch,loss,accuracy\n1,{numbers},nan\n2,1e308,-1e308\n"
        (tmp_path / name / "history.csv").write_text(text)
    found: Comparison = compare([tmp_path / "a", tmp_path / "b"])
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", str(found))
    json.dumps(found.to_dict(), allow_nan=False)
    ET.fromstring(found.svg())
