"""Changes over the wire: what was acknowledged survives the host, and a zombie changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import variable_request
from dspex_actors.resources.variables import Variable
from tests.protocol.sessions.wiring import Wires, wires
from tests.unit.sessions.hosting import WAIT_S, until


def declare(wired: Wires) -> None:
    """Every host's program has the variable `level`."""
    for node in wired.nodes.values():
        node.program.variables["level"] = Variable(type="int", default=1)


async def put(wired: Wires, record: SessionRecord, level: int, key: str) -> dict[str, Any]:
    """A change's answer."""
    answer = await wired.router.predict(record, variable_request({"level": level}, False, None, key, WAIT_S))
    return {**orjson.loads(answer.body), "replayed": answer.replayed}


def test_a_variable_that_was_acknowledged_is_there_after_a_failover() -> None:
    """Set from outside and by a turn; the key gets its first answer from the next host."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            declare(wired)
            alice = wired.session("alice", "a")
            wired.settle()
            first = await put(wired, alice, 5, "p")
            await wired.predict(alice, "t1", set={"level": 6})
            await wired.fail_over("a", "b")
            assert (await wired.predict(alice, "t2"))["outputs"]["variables"] == {"level": 6}
            assert await put(wired, alice, 5, "p") == {**first, "replayed": True}
            assert wired.journal(alice) == [(None, "p"), (1, "t1"), (2, "t2")]

    asyncio.run(scenario())


def test_changes_that_wait_at_a_lost_host_are_made_once_and_in_order() -> None:
    """Behind the turn that ran there, which runs again; what the zombie sets comes to nothing."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            declare(wired)
            alice, zombie = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            running = wired.begin(alice, "t1", gate="g", set={"level": 9})
            await until(lambda: zombie.program.gate("g").reached == 1)
            changes = [asyncio.ensure_future(put(wired, alice, level, f"p{level}")) for level in (2, 3)]
            await until(lambda: zombie.waiters() == 3)
            wired.nodes["b"].program.gate("g").open()
            await wired.fail_over("a", "b")
            assert [(await change)["seq"] for change in changes] == [2, 3]
            zombie.program.gate("g").open()
            await until(lambda: not zombie.host._active)
            assert (await running)["turn"] == 1
            assert wired.journal(alice) == [(1, "t1"), (None, "p2"), (None, "p3")]
            assert (await wired.predict(alice, "t2"))["outputs"]["variables"] == {"level": 3}

    asyncio.run(scenario())
