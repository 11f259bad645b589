"""Instances for these tests, ended after each module or test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from tests.cluster.serve.instances import Instance

Serve = Callable[..., Instance]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts instances; the same name is the same home."""
    with ExitStack() as stack:
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="d", dir="/tmp")))  # short, for sockets

        def start(name: str = "home", port: int | None = None, app: str = "tiny_app") -> Instance:
            instance = Instance(tmp_path / name, port or free_port(), sockets, app)
            stack.callback(instance.end)
            return instance

        yield start
