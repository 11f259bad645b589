"""One server for the tests of the client and of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_actors.client.client import Client
from tests.support.serving import Served, served

QA = "question: str, history: dspy.History -> answer: str"
SUM = "a: int, b: int -> total: int"


@pytest.fixture(scope="session")
def server() -> Iterator[Served]:
    """A server with the programs `qa`, `sum`, and `fails`, whose model always fails."""
    fails = {"signature": "question -> answer", "lm": "mock?fail=1"}
    with served({"qa": QA, "sum": SUM, "fails": fails}) as running:
        yield running


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test."""
    for name in ("HOME", "HOST", "PORT", "API_KEY", "LM"):
        monkeypatch.delenv(f"DSPEX_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def client(server: Served) -> Iterator[Client]:
    """A client of the server."""
    with Client(server.url, api_key=server.key) as made:
        yield made
