"""Each side starts in an environment that pins nothing but the number of threads."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from benchmarks.inputs import inputs
from benchmarks.processes import Failed, Process, environment, interpreter
from benchmarks.workloads import ALL


def test_what_pins_a_library_to_a_kernel_or_to_threads_is_unset() -> None:
    shell = {
        "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        "MKL_DEBUG_CPU_TYPE": "5", "OMP_NUM_THREADS": "7", "GLASSGRAD_NUM_THREADS": "7",
        "HOME": "/home/u", "PYTHONPATH": "lib", "GLASSGRAD_DATA": "d",
    }  # fmt: skip
    found = environment(2, "numpy", shell)
    assert not [n for n in found if n.startswith(("OPENBLAS_", "MKL_", "GLASSGRAD_NUM"))]
    assert found["OMP_NUM_THREADS"] == "2"
    assert found["BENCHMARKS_BACKEND"] == "numpy"
    assert found["HOME"] == "/home/u"
    assert found["GLASSGRAD_DATA"] == "d"
    assert found["PYTHONPATH"].endswith("lib")
    assert shell["OMP_NUM_THREADS"] == "7"


def test_peers_may_live_in_another_interpreter_and_ours_does_not() -> None:
    assert interpreter("torch", "/opt/python") == "/opt/python"
    assert interpreter("ours", "/opt/python") == sys.executable
    assert interpreter("torch", None) == sys.executable


def test_inputs_are_the_same_numbers_each_time() -> None:
    for name in ("neuron", "circles", "spiral", "rnn", "lstm", "fits"):
        assert inputs(name).fingerprint() == inputs(name).fingerprint()
    assert inputs("neuron").fingerprint() != inputs("circles").fingerprint()


def test_every_workload_has_inputs_in_float32_or_indices() -> None:
    for work in ALL:
        at = inputs(work.name)
        assert {a.dtype for a in (at.x, at.y)} <= {np.dtype("float32"), np.dtype("int64")}
        assert {w.dtype for w in at.weights.values()} == {np.dtype("float32")}
        assert at.size is None or len(at.x) % at.size == 0


def test_a_worker_does_the_same_work_as_hand_written_numpy() -> None:
    losses = {}
    for side in ("ours", "numpy"):
        with Process(side, 1, "auto", None) as process:
            process.ask("prepare", work="neuron")
            losses[side] = process.ask("losses", passes=20)["losses"]
    np.testing.assert_allclose(losses["ours"], losses["numpy"], rtol=1e-5)


def test_losses_say_which_engine_ran_and_one_prediction_is_bound_once() -> None:
    from glassgrad.engine import executor

    with Process("ours", 1, "auto", None) as process:
        process.ask("prepare", work="neuron")
        assert process.ask("losses", passes=1)["engine"] == executor()[0]
        process.ask("prepare", work="infer")
        found = process.ask("losses", passes=1)["losses"]
    at = inputs("infer")
    w1, b1, w2, b2 = (v.astype(float) for v in at.weights.values())
    wanted = np.maximum(at.x @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(found, wanted.ravel(), rtol=1e-4, atol=1e-5)


def test_kernels_beside_the_reference_give_the_same_bits() -> None:
    with Process("ours", 1, "auto", None) as process:
        names = process.ask("kernels")["names"]
        if not names:
            pytest.skip("no native executor here")
        for name in ("product 300 x 2 x 64, bias, relu", "softmax of 1000 rows of 10"):
            found = process.ask("kernel", name=name, runs=1, seconds=0.001)
            assert found["same"]
            assert len(found["ours"]) == len(found["reference"]) == 1


def test_what_goes_wrong_in_a_worker_is_an_answer_and_not_the_end() -> None:
    with Process("ours", 1, "auto", None) as process:
        with pytest.raises(Failed, match="KeyError"):
            process.ask("prepare", work="no such workload")
        assert process.ask("about")["about"].startswith("glassgrad")
