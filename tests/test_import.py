"""`import glassgrad` loads NumPy and the standard library, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import glassgrad as gg


def loaded(code: str) -> set[str]:
    """Top-level modules that are there after some code, in a fresh process."""
    script = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_loads_only_numpy_and_the_standard_library() -> None:
    mine = loaded("import glassgrad") - loaded("import numpy") - {"glassgrad"}
    outside = {name for name in mine if name not in sys.stdlib_module_names}
    assert not outside


def test_using_the_library_loads_only_numpy_and_the_standard_library() -> None:
    code = (
        "import numpy as np, glassgrad as gg\n"
        "from glassgrad import nn, optim\n"
        "gg.fit(nn.Linear(1), np.ones((4, 1)), np.ones((4, 1)), loss='mse',"
        " optimizer=optim.SGD(0.1), verbose=False)"
    )
    outside = {
        n for n in loaded(code) - loaded("import numpy.random") if n not in sys.stdlib_module_names
    }
    assert outside <= {"glassgrad"}


def test_import_changes_nothing_of_the_process() -> None:
    code = (
        "import signal, threading, warnings, random\n"
        "import numpy as np\n"
        "state = np.random.get_state()[1].tobytes()\n"
        "before = (len(warnings.filters), threading.active_count(), signal.getsignal(2), random.getstate(), np.geterr())\n"
        "import glassgrad, glassgrad.nn, glassgrad.train\n"
        "after = (len(warnings.filters), threading.active_count(), signal.getsignal(2), random.getstate(), np.geterr())\n"
        "assert before == after and state == np.random.get_state()[1].tobytes()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    for name in gg.__all__:
        assert getattr(gg, name) is not None
    assert sorted(gg.__all__) == gg.__all__
    assert set(gg.__all__) <= set(dir(gg))
