"""What a native run leaves of its process and does in others: modes, signals, threads, forks, pickles."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glassgrad as gg
from glassgrad import nn, optim
from glassgrad.backends import native
from glassgrad.errors import NonFiniteError
from glassgrad.train.callbacks import Callback, Run
from glassgrad.train.monitors import EarlyStopping
from tests.backends.native.training import NETWORKS, made, trained

if not native.available() and "GLASSGRAD_CI" not in os.environ:
    pytest.skip(f"no native executor: {native.why()}", allow_module_level=True)

ROOT = Path(__file__).parents[3]
HERE = "from tests.backends.native.training import made, trained\n"


def output_of(code: str, **environment: str) -> str:
    path = os.pathsep.join([str(ROOT), *[p for p in sys.path if p]])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- the interpreter -----------------------------------------------------------------------------

# What a process may notice. The modes are read off by what arithmetic does: a denormal number that
# is kept, a half that is rounded to even, and a division by zero that raises nothing.
STATE = """
import os, signal, threading, warnings, sys
import numpy as np
def probe():
    tiny, half = np.float64(5e-324), np.float32(2.0**-24)
    with np.errstate(all="ignore"):
        kept = (tiny * 1 == tiny, np.float32(1e-45) / 1 > 0, 1 + half == 1, 1 - half / 2 == 1)
        return kept + (np.float32(1) + np.float32(3) * half == np.float32(1) + 4 * half,)
def state(threads):
    found = [probe(), np.geterr(), np.get_printoptions(), list(warnings.filters), sys.flags,
             [signal.getsignal(s) for s in signal.valid_signals()], threading.active_count(),
             sys.excepthook, sys.getswitchinterval(), sys.getrecursionlimit(), os.getcwd(),
             np.random.get_state()[1].tolist(), signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    with open("/proc/self/status") as file:
        kept = ("SigPnd", "SigBlk", "SigIgn", "SigCgt", "ShdPnd")  # SigQ counts other processes' too
        kept += ("Threads",) if threads else ()
        return found + [line for line in file if line.startswith(kept)]
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_import_and_asking_change_nothing() -> None:
    output_of(
        STATE + "before = state(True)\nimport glassgrad as gg\nimport glassgrad.train\n"
        "from glassgrad.backends.native import _native\ngg.get_threads(); _native.isas()\n"
        "import copy; after = state(True)\nassert after == before, (before, after)"
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("threads", [1, 4])
def test_a_native_run_changes_nothing_but_the_number_of_threads(threads: int) -> None:
    output_of(
        STATE + "import glassgrad.train\n" + HERE + "before = state(False)\n"
        "for name in ('mlp', 'norms', 'small'): trained(name, 1)\n"
        "after = state(False)\nassert after == before, (before, after)",
        GLASSGRAD_NUM_THREADS=str(threads),
    )


def test_a_run_that_fails_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT), np.geterr()
    with pytest.raises(NonFiniteError):
        trained("mlp", 3, optimizer=optim.SGD(1e30))
    assert (signal.getsignal(signal.SIGINT), np.geterr()) == before


# -- forks and other processes ---------------------------------------------------------------------

CHILDREN = (
    HERE
    + """
import multiprocessing, os, sys
def again(name):
    return made(*trained(name, 1))
if __name__ == "__main__":
    names = ["mlp", "lstm", "norms", "small"]
    wanted = [again(name) for name in names]
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        found = pool.map(again, names + names)
    assert found == wanted + wanted, (found, wanted)
    assert [again(name) for name in names] == wanted
    print("same")
"""
)


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_processes_started_from_one_that_trained_train_alike(way: str, tmp_path: Path) -> None:
    (tmp_path / "children.py").write_text(CHILDREN)
    path = os.pathsep.join([str(ROOT), *[p for p in sys.path if p]])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "children.py"), way],
        env=os.environ | {"PYTHONPATH": path, "GLASSGRAD_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "same", done.stderr


FORK_WHILE_TRAINING = (
    HERE
    + """
import os, signal, threading, warnings
warnings.simplefilter("ignore")  # from Python 3.12 on: fork with threads
wanted = made(*trained("mlp", 2))
over = threading.Event()
def train():
    while not over.is_set():
        trained("mlp", 2)
other = threading.Thread(target=train)
other.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if made(*trained("mlp", 2)) == wanted else 1)
    assert os.waitpid(child, 0)[1] == 0
over.set()
other.join()
print("same")
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_trains_gives_a_child_that_trains() -> None:
    assert output_of(FORK_WHILE_TRAINING, GLASSGRAD_NUM_THREADS="2") == "same"


# -- threads of Python -----------------------------------------------------------------------------


def test_python_threads_train_at_once_and_each_rightly() -> None:
    """Networks of one structure share a plan, others do not."""
    names = ["mlp", "norms", "small", "mlp", "mlp", "norms"]
    wanted = [made(*trained(name, 2, seed=i)) for i, name in enumerate(names)]
    found: list[str] = [""] * len(names)

    def train(i: int) -> None:
        found[i] = made(*trained(names[i], 2, seed=i))

    threads = [threading.Thread(target=train, args=(i,)) for i in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == wanted


def test_python_threads_may_share_a_predictor() -> None:
    model, _ = trained("norms", 1)
    x = np.random.default_rng(0).normal(size=(8, 6, 64)).astype(np.float32)
    wanted = [gg.predict(model, rows) for rows in x]
    predictor = gg.Predictor(model)
    wrong: list[int] = []

    def ask(i: int) -> None:
        asked = [predictor(x[i]) for _ in range(50)]
        wrong.extend([i for found in asked if not np.array_equal(found, wanted[i])])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(x))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- interrupts ------------------------------------------------------------------------------------

INTERRUPT = """
import os, signal, sys, threading
import numpy as np, glassgrad as gg
from tests.backends.native.training import NETWORKS, made, trained
from glassgrad import optim
from glassgrad.train.callbacks import Callback
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
class Told(Callback):
    def on_begin(self, run):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
name = sys.argv[1]
model, x, batch = NETWORKS[name]("float32")
x = x.astype("f")
y = x[:, :1] * 0.5 if name == "small" else np.arange(len(x)) * 7 % 10
loss = "mse" if name == "small" else "cross_entropy"
gg.predict(model, x[:1])  # now its sizes are known
begin = {k: v.copy() for k, v in model.state_dict().items()}
usual = dict(loss=loss, optimizer=optim.Adam(1e-3), batch_size=batch, backend="native", verbose=False)
try:
    gg.fit(model, x, y, epochs=10**8, callbacks=[Told()], **usual)
except KeyboardInterrupt:
    pass
else:
    sys.exit("no interrupt")
state = model.state_dict()
assert any((state[k] != begin[k]).any() for k in state)
assert all(np.isfinite(v).all() for v in state.values())
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
gg.fit(model, x, y, epochs=1, **usual)
gg.predict(model, x[:3])
print("interrupted")
"""


@pytest.mark.parametrize("name", NETWORKS)
def test_an_interrupt_arrives_and_leaves_a_model_to_use(name: str, tmp_path: Path) -> None:
    """The run would take days: whoever waits for it to end waits in vain."""
    (tmp_path / "told.py").write_text(INTERRUPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "told.py"), name],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *[p for p in sys.path if p]])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip() == "interrupted", done.stderr


# -- pickles and copies ----------------------------------------------------------------------------


def ways() -> dict[str, Any]:
    return {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("name", NETWORKS)
def test_a_trained_model_is_copied_and_trains_on_alike(name: str, way: str) -> None:
    model, _ = trained(name, 1)
    again = ways()[way](model)
    x = NETWORKS[name]("float32")[1].astype(np.float32)
    np.testing.assert_array_equal(gg.predict(again, x[:20]), gg.predict(model, x[:20]))
    y = x[:, :1] if name == "small" else np.arange(len(x)) % 10
    loss = "mse" if name == "small" else "cross_entropy"
    for each in (model, again):
        gg.fit(each, x, y, loss=loss, optimizer="adam", batch_size=64, verbose=False)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[key], value)


def plain(thing: object) -> dict[str, Any]:
    return {k: v for k, v in vars(thing).items() if isinstance(v, int | float | str | None)}


@pytest.mark.parametrize("way", ways())
def test_what_a_run_gave_and_was_given_is_copied(way: str) -> None:
    optimizer, stopping = optim.Adam(1e-3, amsgrad=True), EarlyStopping("loss", patience=3)
    model, history = trained("mlp", 2, optimizer=optimizer, callbacks=[stopping])
    alike = ways()[way]
    for thing in (optimizer, stopping):
        assert plain(alike(thing)) == plain(thing)
        assert len(plain(thing)) > 2
    assert alike(history).to_csv() == history.to_csv()
    predictor = gg.Predictor(model)
    x = NETWORKS["mlp"]("float32")[1][:4].astype(np.float32)
    wanted = predictor(x)
    np.testing.assert_array_equal(alike(predictor)(x), wanted)


def test_a_model_that_is_being_trained_is_copied_by_its_callback() -> None:
    copies: list[nn.Module] = []

    class Keep(Callback):
        def on_interval(self, run: Run) -> None:
            copies.append(pickle.loads(pickle.dumps(run.model)))

    model, _ = trained("norms", 2, callbacks=[Keep()])
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(copies[-1].state_dict()[name], value)
