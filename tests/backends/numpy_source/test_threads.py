"""Small products stay on one thread, and nothing else of the process changes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends.numpy_source import threads
from glassgrad.backends.numpy_source.build import lowered
from glassgrad.ir import Dim, Type
from glassgrad.nn.tracing import forward_graph
from glassgrad.ops import traced_graph

N = Dim.named("n")


def product(k: int, out: int) -> object:
    types = {"x": Type((N, k), "float32"), "w": Type((k, out), "float32")}
    return lowered(traced_graph(lambda x, w: x @ w, types))


def test_a_product_is_small_by_its_operations_whatever_its_shape() -> None:
    assert threads.small(product(64, 64), 128)
    assert not threads.small(product(1024, 1024), 128)
    assert not threads.small(product(64, 64), 10_000)


def written(model: nn.Module, *row: int) -> object:
    return lowered(forward_graph(model, {"x": Type((N, *row), "float32")}))


def test_a_product_inside_a_loop_counts() -> None:
    model = nn.Sequential(rnn=nn.RNN(3000), output=nn.Linear(1))
    assert not threads.small(written(model, 3, 2), 2)


def test_one_large_product_among_many_small_ones_does_not_decide() -> None:
    """A scan of small steps after a large product of all steps, as in an LSTM."""
    model = nn.Sequential(nn.Linear(512), nn.LSTM(64))
    assert not threads.small(written(nn.Linear(512), 512), 2048)
    assert threads.small(written(nn.LSTM(64), 100, 64), 32)
    assert threads.small(written(model, 100, 4), 32)


@pytest.mark.usefixtures("numpy_engine")
@pytest.mark.skipif(threads.blas_threads() is None, reason="OpenBLAS cannot be asked here")
def test_the_number_of_threads_is_what_it_was_after_training_and_after_an_error() -> None:
    before = threads.blas_threads()
    x, y = np.ones((8, 2), np.float32), np.ones((8, 1), np.float32)
    seen = []

    class Look(gg.train.Callback):
        def on_interval(self, run: gg.train.Run) -> None:
            seen.append(threads.blas_threads())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gg.fit(
            nn.Linear(1),
            x,
            y,
            loss="mse",
            optimizer=optim.SGD(0.1),
            callbacks=[Look()],
            verbose=False,
        )
    assert seen == [1]
    assert threads.blas_threads() == before


@pytest.mark.parametrize(
    "setting", ["OPENBLAS_NUM_THREADS=2", "OMP_NUM_THREADS=2", "GLASSGRAD_BLAS_THREADS=0"]
)
def test_a_users_choice_stands(setting: str) -> None:
    name, value = setting.split("=")
    code = (
        "from glassgrad.backends.numpy_source import threads\n"
        "assert threads.blas_threads() is None\n"
        "with threads.one_thread(True): pass"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, name: value})
