"""Whatever is killed, in the end exactly what was specified lives, once, and who was not killed was not restarted."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

from supervisors import Supervisor
from tests.cluster.supervisors.actors import gone, nested, pids, registered, runs, sigkill, whole, worker

KILLS = 15
ROOM: dict[str, Any] = {"max_restarts": 1000, "max_seconds": 60.0}
CHILDREN = ["/a", "/left", "/left/b", "/left/c", "/left/deep", "/left/deep/d", "/right", "/right/e"]


async def tree() -> Supervisor:
    """Supervisors three deep."""
    return await Supervisor.start(
        name="storm",
        detached=True,
        children=[
            worker("a"),
            nested("left", worker("b"), worker("c"), nested("deep", worker("d"), **ROOM), **ROOM),
            nested("right", worker("e"), **ROOM),
        ],
        **ROOM,
    )


def test_a_storm_of_kills_leaves_no_twin_and_no_gap() -> None:
    """Supervisors and children alike, one or several at once, also while they are on their way back."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)

    async def story() -> None:
        root = await tree()
        killed: set[int] = set()
        seen = pids(await whole("storm", 9))
        for _ in range(KILLS):
            living = sorted(pid for pid in seen if runs(pid))
            victims = chance.sample(living, k=min(len(living), chance.choice([1, 1, 2, 3])))
            for pid in victims:
                sigkill(pid)
            killed |= set(victims)
            await gone(*victims)
            if chance.random() < 0.5:
                seen = await _settled(root.name, killed) - killed
        after = await _settled(root.name, killed)
        assert seen - killed <= after
        assert registered("storm") == ["", *CHILDREN]
        await root.stop()
        await gone(*after)
        assert registered("storm") == []

    asyncio.run(story())


async def _settled(name: str, killed: set[int]) -> set[int]:
    return pids(await whole(name, 1 + len(CHILDREN), *killed))
