"""What becomes of measured numbers: medians, ratios, verdicts, the table, JSON, the picture."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET

import pytest
from benchmarks.picture import drawn
from benchmarks.report import as_json, from_json, number, summary, table
from benchmarks.results import Best, Row, best, farthest, not_met, ratio, share_of_peak
from benchmarks.workloads import ALL, WORKLOADS, Bound, dense_flop, recurrent_flop

ROWS = [
    Row("workloads", "mlp", "torch", 200.0, 500.0, (2, 1), 2.5, 2.1, Bound(2.2, 2.7), share=0.42),
    Row("workloads", "mlp", "jax", 200.0, 150.0, (2, 2), 0.75, 0.7, Bound(1.0, 1.2)),
    Row(
        "workloads", "mlp", "sklearn", 200.0, note="ModuleNotFoundError: No module named 'sklearn'"
    ),
    Row("peak", "mlp", ours=200.0, value=0.42, bound=Bound(0.5, 0.65), unit="of peak"),
    Row("starts", "mlp: first step", value=12.0, bound=Bound(25, 25), unit="ms", less=True),
]


def test_each_side_is_taken_at_its_best_number_of_threads() -> None:
    assert best({1: [5.0, 3.0, 4.0], 2: [9.0, 1.0, 8.0]}) == Best(1, (5.0, 3.0, 4.0))
    assert best({2: [3.0], 1: [3.0]}).threads == 1


def test_a_ratio_is_of_medians_and_its_worst_of_one_run() -> None:
    found = ratio(Best(1, (1.0, 2.0, 4.0)), Best(2, (8.0, 6.0, 8.0)))
    assert found.median == 4.0
    assert found.worst == 2.0


def test_runs_of_different_number_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio(Best(1, (1.0, 2.0)), Best(1, (1.0,)))


def test_a_bound_is_met_at_its_number() -> None:
    bound = Bound(2.0, 3.0)
    assert [bound.judged(v) for v in (1.99, 2.0, 2.99, 3.0)] == ["not met", "must", "must", "aim"]


def test_less_is_better_for_times_and_sizes() -> None:
    row = Row("starts", "x", value=2.0, bound=Bound(1.5, 1.0), less=True)
    assert row.verdict == "not met"
    assert Row("starts", "x", value=1.5, bound=Bound(1.5, 1.0), less=True).verdict == "must"
    assert Row("starts", "x", value=1.0, bound=Bound(1.5, 1.0), less=True).verdict == "aim"


def test_what_was_not_measured_is_neither_met_nor_not() -> None:
    assert Row("workloads", "mlp", "torch", bound=Bound(1, 2)).verdict == ""
    assert not_met(ROWS) == [ROWS[1], ROWS[3]]


def test_a_microsecond_of_a_million_operations_is_a_teraflop() -> None:
    assert math.isclose(share_of_peak(1e6, 1.0, 2000.0), 0.5)


def test_losses_differ_by_the_largest_and_by_infinity_where_some_are_missing() -> None:
    assert math.isclose(farthest([1.0, 200.0], [1.0, 100.0]), 1.0)
    assert math.isclose(farthest([0.1], [0.2]), 0.1)
    assert farthest([1.0], [1.0, 2.0]) == math.inf
    assert math.isnan(farthest([math.nan, 1.0], [1.0, 1.0]))
    assert not farthest([math.nan], [1.0]) <= 1.0


def test_operations_are_those_of_the_products_that_a_step_needs() -> None:
    assert dense_flop(128, 784, 128, 10) == 2 * 128 * (2 * 784 * 128 + 3 * 128 * 10)
    assert recurrent_flop(1, 2, 3, 4, 5) == 2 * 2 * (2 * 3 * 4 + 3 * 5 * 4)


def test_every_workload_has_a_name_of_its_own_and_bounds_only_for_its_peers() -> None:
    assert len(WORKLOADS) == len(ALL)
    for work in ALL:
        assert set(work.bounds) <= set(work.peers)


def test_numbers_keep_three_digits() -> None:
    shown = [number(v) for v in (None, 0.0123, 1.234, 12.34, 123.4, 12345.6)]
    assert shown == ["", "0.012", "1.23", "12.3", "123", "12,346"]


def test_the_table_shows_ratio_worst_bound_and_verdict_in_a_line() -> None:
    line = next(v for v in table(ROWS).splitlines() if "PyTorch" in v)
    for part in ("mlp", "200", "500", "2, 1", "2.5x", "(2.1x)", "42.0 %", "2.2 / 2.7", "met"):
        assert part in line
    assert "NOT MET" not in line


def test_a_missing_peer_is_a_line_that_says_so() -> None:
    line = next(v for v in table(ROWS).splitlines() if "scikit-learn" in v)
    assert "No module named 'sklearn'" in line


def test_columns_that_a_group_does_not_use_are_left_out() -> None:
    starts = table(ROWS).split("\n\n")[-1]
    assert "theirs" not in starts
    assert "<= 25" in starts


def test_the_summary_names_what_is_not_met() -> None:
    assert summary(ROWS).splitlines() == [
        "2 of 4 musts met",
        "  not met: mlp JAX: 0.75x, asked 1 / 1.2",
        "  not met: mlp: 42 %, asked 50 / 65",
    ]


def test_the_summary_names_what_did_not_do_the_same_work() -> None:
    row = Row("workloads", "mlp", "jax", 1.0, 2.0, value=2.0, note="losses differ by 0.5")
    assert "not the same work: mlp JAX" in summary([row])


def test_rows_come_back_from_json_as_they_were() -> None:
    document = json.loads(json.dumps(as_json(ROWS, {"mlp": {"ours": {1: [1.0]}}}, {"cores": 2})))
    assert from_json(document) == ROWS
    assert document["rows"][0]["verdict"] == "must"
    assert document["runs"]["mlp"]["ours"]["1"] == [1.0]


def test_the_picture_is_well_formed_and_names_each_ratio() -> None:
    svg = drawn(ROWS, "a <machine> & more")
    words = " ".join(ET.fromstring(svg).itertext())
    for part in ("mlp", "PyTorch", "2.5×", "0.75×", "a <machine> & more"):
        assert part in words
    assert "prefers-color-scheme:dark" in svg
    assert "scikit-learn" not in words


def test_the_picture_of_nothing_is_a_picture() -> None:
    ET.fromstring(drawn([], ""))
