"""One contract, every adapter: a test that takes `store` runs over each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.store import SqlStore, Store, open_store


@pytest.fixture
def clock() -> ManualClock:
    """The time of the stores under test."""
    return ManualClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a store in a file."""
    return f"sqlite:///{tmp_path / 'home' / 'dspex.sqlite3'}"


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
def store(request: pytest.FixtureRequest, url: str, clock: ManualClock) -> Iterator[Store]:
    """An empty store."""
    opened = open_store(url if request.param == "sqlite-file" else "sqlite://", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def file_store(url: str, clock: ManualClock) -> Iterator[SqlStore]:
    """An empty store in a file, for what only several connections show."""
    opened = open_store(url, clock=clock)
    yield opened
    opened.close()
