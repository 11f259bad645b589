"""The contract of supervision, kept by Ray actors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError

from supervisors import Child, Exit
from supervisors.ray_watch import actor_record, find_actor, is_dead
from tests.cluster.supervisors.actors import sigkill
from tests.support.supervision.laws import LAWS, name_of
from tests.support.supervision.world import CRASH, Law, obeys


class RayHarness:
    """Children are reached by their names."""

    backend = "ray"
    options: dict[str, Any] = {"num_cpus": 0}
    wait_s = 60.0
    moment_s = 3.0
    max_seconds = 120.0

    async def ask(self, child: Child, method: str, *args: Any) -> Any:
        """A call."""
        return await getattr(find_actor(child.name, child.namespace), method).remote(*args)

    async def crash(self, child: Child) -> None:
        """A process says so; of a plain class nothing but its death is known."""
        handle = find_actor(child.name, child.namespace)
        if hasattr(handle, "supervised_exit"):
            await self.leave(child, CRASH)
        else:
            sigkill(child.pid)

    async def leave(self, child: Child, reason: Exit) -> None:
        """Its own method ends it; there may be no answer."""
        try:
            await self.ask(child, "leave", reason)
        except RayActorError:
            return

    async def is_alive(self, child: Child) -> bool:
        """Whether Ray counts it as alive."""
        handle = find_actor(child.name, child.namespace)
        return handle is not None and not is_dead(await actor_record(handle._actor_id))


@pytest.mark.parametrize("law", LAWS, ids=name_of)
def test_contract(law: Law, tmp_path: Path) -> None:
    """A law of the contract."""
    asyncio.run(obeys(law, RayHarness(), tmp_path))
