"""Programs repeat runs of the NumPy engine bit for bit: here that is what runs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _as_text(numpy_engine: None) -> None:
    """Every test of this folder."""
