"""Signals that ask for an end: noted when they come, heeded after the step and its checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glassgrad.errors import TrainingStopped, told


class Noted(list[int]):
    """The signals that came; empty, and so false, until then."""

    def heed(self, checkpoint: Path | None = None) -> None:
        """Raise what the first of them means: KeyboardInterrupt or TrainingStopped."""
        if self[0] == signal.SIGINT:
            raise KeyboardInterrupt
        stopped = TrainingStopped(
            "training was asked to stop, and stopped after a whole step",
            where=told(checkpoint or ""),
            received="SIGTERM",
            hint='resume="auto" goes on from there' if checkpoint is not None else "",
        )
        stopped.checkpoint = checkpoint
        raise stopped


@contextmanager
def noted_signals(terminate: bool) -> Iterator[Noted]:
    """While this is open, Ctrl-C (and SIGTERM, if `terminate`) is noted in what it gives.

    A second one comes through at once. Only the main thread may do this, and only where nobody has
    set a handler of their own.
    """
    noted = Noted()
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler}
    if terminate:
        usual[signal.SIGTERM] = signal.SIG_DFL

    def note(number: int, frame: Any) -> None:
        if not noted:
            noted.append(number)
        elif number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    main = threading.current_thread() is threading.main_thread()
    ours = [n for n, handler in usual.items() if main and signal.getsignal(n) is handler]
    for number in ours:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number in ours:
            signal.signal(number, usual[number])
