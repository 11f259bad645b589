"""What a host gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from dspex_actors.sessions.tenure import Tenure
from dspex_actors.store.port import Lease


def test_what_is_given_up_together_is_released_together() -> None:
    """A thousand units and a thousand sessions are one pass over these, not a million looks."""

    async def scenario() -> None:
        released: list[Collection[str]] = []
        tenure = Tenure(asyncio.get_running_loop(), lambda *_: None, lambda _: None, released.append)
        tenure.own([Lease(f"shard:{number}", 1, "a") for number in range(3)])
        tenure.disown(["shard:0", "shard:2", "shard:9"])
        tenure.disown(["shard:0"])
        assert [set(units) for units in released] == [{"shard:0", "shard:2"}]
        assert (tenure.units, tenure.holds("shard:1", 1), "shard:0" in tenure) == (1, True, False)

    asyncio.run(scenario())
