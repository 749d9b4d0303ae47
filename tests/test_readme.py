"""The README stays true: its excerpts are what is printed, its files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import glassgrad as gg
from examples import table
from glassgrad import data, nn, optim
from glassgrad.cli import main
from glassgrad.engine import executor

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_excerpt_is_what_source_prints() -> None:
    x, y = data.spiral(seed=0)
    model = nn.Sequential(hidden=nn.Linear(64), relu=nn.ReLU(), output=nn.Linear(3))
    program = gg.source(model, x, y, loss="cross_entropy", optimizer=optim.Adam(1e-2), metrics=())
    found = re.search(r"<!-- excerpt: spiral.*?-->\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    assert found.group(1) in program


def test_what_the_readme_points_at_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_the_two_commands_stand_in_the_readme() -> None:
    assert "pip install . && glassgrad train digits" in TEXT
    assert "pip install '.[test]' && pytest" in TEXT


def excerpt(name: str) -> list[str]:
    """The lines of a console excerpt."""
    found = re.search(rf"<!-- excerpt: {name}.*?-->\n```console\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def printed(command: str, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    """What a line such as `$ glassgrad ...` prints."""
    capsys.readouterr()
    dollar, program, *words = shlex.split(command)
    assert (dollar, program) == ("$", "glassgrad")
    assert main([*words, *more]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_a_folder")
def test_the_table_of_the_readme_is_made_and_trains_as_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table.main(["--csv", "homes.csv", "--epochs", "1"])
    command, *expected = excerpt("homes")
    found = printed(command, capsys)[: len(expected)]
    for line, wanted in zip(found, expected, strict=True):
        if wanted.startswith("engine") and executor()[0] == "numpy":  # no compiled kernels here
            assert line.startswith("engine   numpy")
        elif wanted.startswith(("train  ", "test  ")):  # sums may be taken in another order
            numbers = [[float(n) for n in text.split()[1:]] for text in (line, wanted)]
            assert numbers[0] == pytest.approx(numbers[1], rel=0.1)
        else:
            assert line == wanted


@pytest.mark.usefixtures("in_a_folder")
def test_a_character_model_is_trained_and_writes_by_the_commands_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("play.txt").write_text("ROMEO:\nBut soft, what light through yonder window breaks?\n" * 20)
    train, sample, first, *_ = excerpt("sample")
    printed(train, capsys, "--epochs", "1", "--width", "8")
    found = printed(sample, capsys)
    assert first.startswith("ROMEO:")
    assert found[0].startswith("ROMEO:")
    assert len("\n".join(found)) == len("ROMEO:") + 180


def test_what_the_readme_counts_is_there() -> None:
    def count(row: str) -> int:
        found = re.search(rf"^\| {row} \|.*?: ([0-9]+)[ ,;|]", TEXT, re.MULTILINE)
        assert found is not None
        return int(found[1])

    schedules = [s for s in vars(optim).values() if isinstance(s, type)]
    assert count("losses") == len(nn.losses.RECORDS)
    assert count("schedules") == sum(issubclass(s, optim.Schedule) for s in schedules) - 1
    assert count("activations") == sum(
        isinstance(found, type) and found.__module__ == "glassgrad.nn.activations"
        for name, found in vars(nn).items()
    )
    row = next(line for line in TEXT.splitlines() if line.startswith("| optimisers |"))
    for name in {kind.__name__ for kind in optim.NAMED.values()} - {"LBFGS"}:
        assert name in row
