"""What tests of the native executor share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import glassgrad as gg
from tests.backends.native.training import forget


@pytest.fixture
def own_plans() -> Iterator[None]:
    """A test writes its plans itself and leaves none behind, and no number of threads."""
    forget()
    yield
    gg.set_threads(0)
    forget()
