"""Instances for these tests, ended after each module or test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.serve.instances import Instance, free_port

Serve = Callable[..., Instance]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts instances; the same name is the same home."""
    with ExitStack() as stack:

        def start(name: str = "home", port: int | None = None, app: str = "tiny_app") -> Instance:
            instance = Instance(tmp_path / name, port or free_port(), app)
            stack.callback(instance.end)
            return instance

        yield start
