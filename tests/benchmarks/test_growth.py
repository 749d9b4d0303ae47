"""Growing networks: the same work on both sides, and a picture that is made of a run's JSON."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.__main__ import main
from benchmarks.growth_picture import drawn, duration
from benchmarks.inputs import inputs
from benchmarks.report import as_json, from_json
from benchmarks.results import Row
from benchmarks.sides import side
from benchmarks.sweeps import SWEEPS, point

from tests.conftest import require_torch

SVG = "{http://www.w3.org/2000/svg}"
SMALLEST = ("width 8", "depth 3", "batch 2", "sequence 16")


def made_up() -> list[Row]:
    """A row for each point: PyTorch's fixed cost is larger, its growth the same."""
    rows = []
    for sweep in SWEEPS:
        for work in sweep.points(few=False):
            ours, theirs = 10 + work.flop / 1e5, 300 + work.flop / 1e5
            found = Row("workloads", work.name, "torch", ours, theirs, (2, 2), theirs / ours)
            rows.append(replace(found, share=work.flop / ours / 2e5))
    return rows


# ------------------------------------------------------------------------------------ the networks


@pytest.mark.parametrize("name", SMALLEST)
def test_both_sides_train_the_same_network_on_the_same_data(name: str) -> None:
    require_torch()
    own, peer = side("ours").job(name, 1), side("torch").job(name, 1)
    counts = [
        sum(p.numpy().size for p in own.model.parameters()),
        sum(p.numel() for p in peer.model.parameters()),
        sum(array.size for array in inputs(name).weights.values()),
    ]
    assert len(set(counts)) == 1
    found, wanted = own.losses(8), peer.losses(8)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    # What eight updates changed is the same, too, not only where they began.
    assert abs(wanted[-1] - wanted[0]) > 1e-4
    np.testing.assert_allclose(found[-1] - found[0], wanted[-1] - wanted[0], rtol=0.02)


def test_parameters_are_those_of_the_shape_that_the_panel_names() -> None:
    sizes = {n: sum(a.size for a in inputs(n).weights.values()) for n in SMALLEST}
    assert sizes["width 8"] == (64 * 8 + 8) + 2 * (8 * 8 + 8) + (8 * 10 + 10)
    assert sizes["depth 3"] == (64 * 128 + 128) + 2 * (128 * 128 + 128) + (128 * 10 + 10)
    assert sizes["batch 2"] == 784 * 256 + 256 + 256 * 10 + 10
    assert inputs("batch 2").x.shape == (2, 784)
    assert inputs("sequence 16").x.shape == (4, 16)


def test_products_are_counted_as_they_are_made() -> None:
    """One at a time, in a loop over the products of a step."""
    made = 0
    for k, (a, b) in enumerate(((64, 8), (8, 8), (8, 8), (8, 10))):
        made += (3 if k else 2) * 2 * 64 * a * b  # the first layer's input needs no derivative
    assert point("width 8").flop == made
    tokens, made = 4 * 16, 0
    for _ in range(4):
        made += (
            4 * tokens * 128 * 128 + 2 * tokens * 128 * 512
        )  # query, key, value, out; wide, narrow
        for place in range(16):  # each character sees itself and those before it
            made += 4 * 2 * (place + 1) * 128
    made += tokens * 128 * 65
    assert point("sequence 16").flop == 3 * 2 * made


def test_sizes_double_from_tiny_to_large_and_a_quick_run_takes_some() -> None:
    ends = {s.name: (s.sizes[0], s.sizes[-1]) for s in SWEEPS}
    assert ends == {"width": (8, 4096), "depth": (1, 64), "batch": (1, 8192), "sequence": (16, 1024)}  # fmt: skip
    for sweep in SWEEPS:
        assert all(
            math.log2(b / a) == 1 for a, b in zip(sweep.sizes, sweep.sizes[1:], strict=False)
        )
        names = [work.name for work in sweep.points(few=False)]
        assert {work.name for work in sweep.points(few=True)} < set(names)


@pytest.mark.parametrize("name", ["width", "width 0", "width -8", "width x", "girth 8", "width ²"])
def test_a_point_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        point(name)


# ------------------------------------------------------------------------------------- the picture


def tags(svg: str) -> list[str]:
    return [element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()]


def shown(svg: str) -> list[str]:
    return [" ".join(e.itertext()) for e in ET.fromstring(svg).iter(f"{SVG}text")]


def document(rows: list[Row], **about: Any) -> dict[str, Any]:
    given = {
        "growth": True, "machine": "A <machine> & more", "cores": 2, "load": 0.0, "backend": "auto",
        "when": "2026-01-02T03:04:05+00:00", "seconds": 1.0, "sides": {}, "peak GFLOP/s": None,
    }  # fmt: skip
    return as_json(rows, {}, given | about)


def test_a_picture_is_made_of_the_json_of_a_run_without_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, picture = tmp_path / "run.json", tmp_path / "growth.svg"
    kept.write_text(json.dumps(document(made_up())))
    assert main(["--show", str(kept), "--picture", str(picture)]) == 0
    assert "width 4096" in capsys.readouterr().out
    found = shown(picture.read_text())
    assert "A <machine> & more, 2 cores, 2026-01-02; each at its best number of threads" in found
    for sweep in SWEEPS:
        assert sweep.name.capitalize() in found
        assert sweep.axis in found
        assert f"{sweep.sizes[-1]:,}" in found
    assert found.count("glassgrad") == found.count("PyTorch") == 4
    assert {"10 µs", "1 ms", "100 ms"} <= set(found)


def test_the_ratio_stands_at_the_first_and_at_the_last_point() -> None:
    rows = [
        Row("workloads", f"width {n}", "torch", 10.0, 10.0 * r, (2, 2), r)
        for n, r in ((8, 123.4), (16, 77.0), (4096, 0.987))
    ]
    found = shown(drawn(rows, ""))
    assert "123×" in found
    assert "0.99×" in found
    assert "77×" not in found


def test_the_picture_reads_in_light_and_dark_and_contains_nothing_that_acts() -> None:
    svg = drawn(made_up(), '<script>alert(1)</script>" onload="alert(2)')
    assert set(tags(svg)) <= {"svg", "title", "desc", "style", "rect", "path", "text", "g"}
    attributes = {a for e in ET.fromstring(svg).iter() for a in e.attrib}
    assert not [a for a in attributes if a.startswith("on") or "href" in a]
    assert "url(" not in svg
    assert "prefers-color-scheme:dark" in svg
    assert "<script>alert(1)</script>" in " ".join(shown(svg))


def test_names_of_a_document_that_are_no_sweep_are_not_drawn() -> None:
    hostile = [
        replace(row, work=f"{row.work}<script>") for row in made_up()
    ] + [Row("workloads", "width 8 ", "torch", 1.0, 2.0, value=2.0)]  # fmt: skip
    assert drawn(hostile, "") == drawn([], "")


def test_numbers_of_a_document_must_be_numbers() -> None:
    given = document(made_up())
    given["rows"][0]["ours"] = '"/><script>alert(1)</script>'
    with pytest.raises((TypeError, ValueError)):
        drawn(from_json(given), "")


def test_without_pytorch_our_line_stands_alone() -> None:
    rows = [
        replace(row, theirs=None, value=None, note="ModuleNotFoundError: No module named 'torch'")
        for row in made_up()
    ]
    found = shown(drawn(rows, ""))
    assert "glassgrad" in found
    assert "PyTorch" not in found


@pytest.mark.parametrize("kept", [0, 1, 2, 11, 38])
def test_a_run_of_some_points_is_a_picture(kept: int) -> None:
    svg = drawn(made_up()[:kept], "")
    view = ET.fromstring(svg).attrib["viewBox"].split()
    for element in ET.fromstring(svg).iter(f"{SVG}text"):
        assert 0 <= float(element.attrib["x"]) <= float(view[2])
        if "transform" not in element.attrib:
            assert 0 <= float(element.attrib["y"]) <= float(view[3])


def test_no_name_stands_below_the_axis() -> None:
    rows = [
        Row("workloads", f"width {n}", "torch", ours, theirs, (2, 2), theirs / ours, share=share)
        for n, ours, theirs, share in (
            (8, 107, 8_219, 0.01), (64, 808, 15_711, 0.027), (512, 45_235, 48_661, 0.023)
        )
    ]  # fmt: skip
    placed = {
        e.text: float(e.attrib["y"]) for e in ET.fromstring(drawn(rows, "")).iter(f"{SVG}text")
    }
    assert "products at peak" not in placed  # too little of that line is seen
    for name in ("glassgrad", "PyTorch"):
        assert placed[name] < placed["64"] - 20


def test_durations_stand_in_the_unit_in_which_they_are_read() -> None:
    found = [duration(us) for us in (0.5, 9.87, 999.0, 1000.0, 12_340.0, 1e6, 2.5e6)]
    assert found == ["0.5 µs", "9.87 µs", "999 µs", "1 ms", "12.3 ms", "1 s", "2.5 s"]
