"""PyTorch with `torch.compile`, only on request: `--peers torch.compile`."""

from __future__ import annotations

import torch

from . import Job, pytorch

about = pytorch.about


def job(name: str, threads: int) -> Job:
    """A workload made ready: it is compiled at its first steps."""
    return pytorch.job(name, threads, torch.compile)
