"""The contract of supervision, kept by objects of one process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisors import Child, Exit
from supervisors.local_ref import local_ref
from tests.support.supervision.laws import LAWS, name_of
from tests.support.supervision.world import CRASH, Law, obeys


class LocalHarness:
    """Children are reached by `local_ref`."""

    backend = "local"
    options: dict[str, Any] = {}
    wait_s = 10.0
    moment_s = 0.05
    max_seconds = 5.0

    async def ask(self, child: Child, method: str, *args: Any) -> Any:
        """A call."""
        return await local_ref(child).call(method, *args)

    async def crash(self, child: Child) -> None:
        """As a call that raises would do."""
        local_ref(child).exit(CRASH)

    async def leave(self, child: Child, reason: Exit) -> None:
        """Its own method ends it."""
        await local_ref(child).call("leave", reason)

    async def is_alive(self, child: Child) -> bool:
        """Whether it has an object."""
        return local_ref(child).is_alive


@pytest.mark.parametrize("law", LAWS, ids=name_of)
def test_contract(law: Law, tmp_path: Path) -> None:
    """A law of the contract."""
    asyncio.run(obeys(law, LocalHarness(), tmp_path))
