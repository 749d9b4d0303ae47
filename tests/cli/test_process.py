"""The command as a process: start-up, imports, colour, progress, signals, pipes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "glassgrad"]


def clean(**changes: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "GLASSGRAD_DATA", "TERM")}
    return {**env, "TERM": "xterm-256color", **changes}


def test_help_imports_little() -> None:
    code = (
        "import sys; from glassgrad.cli import main; main(['--help']); "
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'torch', 'rich', 'safetensors', 'sklearn', 'pandas', 'jax', 'scipy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().split("\n")[-1] == "[]"


def test_training_loads_no_rich_without_a_terminal(tmp_path: Path) -> None:
    code = (
        "import sys; from glassgrad.cli import main; main(['train', 'xor', '--epochs', '2', '--json']); "
        "assert not {'rich', 'torch', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert json.loads(done.stdout)["epochs"] == 2


def test_results_and_progress_go_their_own_ways(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "train", "xor", "--epochs", "20"], capture_output=True, text=True, cwd=tmp_path,
        env=clean(), check=True,
    )  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr
    assert "runs/xor-1" in done.stdout
    assert 5 <= done.stderr.count("epoch") <= 12
    assert "loss" in done.stderr
    failed = subprocess.run(
        [*COMMAND, "train", "nothing"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (failed.returncode, failed.stdout) == (2, "")


def test_a_character_the_output_lacks_is_escaped(tmp_path: Path) -> None:
    rows = "".join(f"{i},K\u00f6ln{i % 2}\n" for i in range(40))
    (tmp_path / "a.csv").write_text("x,y\n" + rows, encoding="utf-8")
    words = ["train", "a.csv", "--target", "y", "--epochs", "1", "--out", "m"]
    for command in (words, ["predict", "m", "a.csv"]):
        done = subprocess.run(
            [*COMMAND, *command], capture_output=True, text=True, cwd=tmp_path, check=True,
            env=clean(PYTHONIOENCODING="ascii"),
        )  # fmt: skip
        assert "K\\xf6ln1" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_no_traceback(unbuffered: str, tmp_path: Path) -> None:
    """Whether the text is refused line by line or all at once, at the end."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "source", "xor"], stdout=full, stderr=subprocess.PIPE, text=True,
            cwd=tmp_path, check=False, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def on_a_terminal(
    words: list[str], folder: Path, interrupt: bytes = b"", **env: str
) -> tuple[int, str]:
    """Run with a terminal for output and errors; the exit code and everything shown.

    Ctrl-C is pressed once `interrupt` is seen.
    """
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env=clean(COLUMNS="110", LINES="40", **env), stdin=follower,
        stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        ready, _, _ = select.select([leader], [], [], 60)
        try:
            piece = os.read(leader, 65536) if ready else b""
        except OSError:
            piece = b""
        if not piece:
            break
        shown += piece
        if interrupt and interrupt in shown:
            interrupt = b""
            process.send_signal(signal.SIGINT)
    os.close(leader)
    return process.wait(60), shown.decode()


def test_a_terminal_gets_colour_and_a_bar(tmp_path: Path) -> None:
    code, shown = on_a_terminal(["train", "digits", "--epochs", "4"], tmp_path)
    assert code == 0
    assert "\x1b[1m" in shown
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"digits .*━.*epoch [1-4]/4  rate 0\.003  \d+ s left", text)
    assert re.search(r"loss .*[▁▂▃▄▅▆▇█].* \d\.\d+", text)
    assert re.search(r"accuracy .*[▁▂▃▄▅▆▇█].* 0\.\d+", text)
    assert "runs/digits-1" in text
    assert "epoch" not in on_screen(shown).replace("epoch by epoch", "").replace(
        "every epoch", ""
    ).replace("4 epochs", "")


def on_screen(shown: str) -> str:
    """What stands on a terminal after these bytes: lines, cursor up, lines erased."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", shown):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif piece.startswith("\x1b["):
            count = int(re.sub(r"\D", "", piece) or 1)
            if piece.endswith("A"):
                row = max(0, row - count)
            elif piece.endswith("K"):
                lines[row] = "" if piece == "\x1b[2K" else lines[row][:column]
        else:
            lines[row] = (
                (lines[row].ljust(column)[:column]) + piece + lines[row][column + len(piece) :]
            )
            column += len(piece)
    return "\n".join(lines)


def test_control_c_on_a_terminal_leaves_a_clean_screen(tmp_path: Path) -> None:
    words = ["train", "digits", "--epochs", "100000"]
    code, text = on_a_terminal(words, tmp_path, interrupt=b"left")
    assert code == 130
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back
    screen = on_screen(text)
    assert "interrupted: nothing was saved" in screen
    assert "left" not in screen
    assert "━" not in screen
    assert "accuracy" not in screen
    assert list(tmp_path.iterdir()) == []


def test_no_color_is_honoured(tmp_path: Path) -> None:
    code, shown = on_a_terminal(["show", "digits"], tmp_path, NO_COLOR="1")
    assert code == 0
    assert "\x1b[" not in shown
    code, shown = on_a_terminal(["train", "xor", "--epochs", "3"], tmp_path, TERM="dumb")
    assert code == 0
    assert "\x1b[" not in shown


def test_control_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "train", "spiral", "--epochs", "10000000"], cwd=tmp_path, env=clean(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("engine"):
            break
    assert process.stderr is not None
    assert "epoch" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was saved" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m glassgrad predict m.glass digits | head -n 1",
        shell=True, cwd=_with_model(tmp_path), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("true,")
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def _with_model(folder: Path) -> Path:
    import glassgrad as gg
    from glassgrad import nn

    wide = nn.Sequential(nn.Flatten(), nn.Linear(500))
    gg.save(wide, folder / "m.glass", x=(1, 8, 8))
    return folder
