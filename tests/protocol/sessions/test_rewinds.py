"""Rewinds over the wire: they keep their place among the turns, and survive what a turn survives."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from dspex_actors.errors import DspexError
from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import rewind_request
from tests.protocol.sessions.wiring import Wires, serving, wires
from tests.unit.sessions.hosting import WAIT_S, until


async def rewind(wired: Wires, record: SessionRecord, to_turn: int, key: str) -> dict[str, Any]:
    """A rewind's answer."""
    answer = await wired.router.predict(record, rewind_request(to_turn, key, WAIT_S))
    return {**orjson.loads(answer.body), "replayed": answer.replayed}


def test_a_rewind_goes_between_the_turns_that_it_was_sent_between() -> None:
    """Also while the first of them runs."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            await wired.predict(alice, "a")
            running = wired.begin(alice, "b", gate="g")
            rewound = asyncio.ensure_future(rewind(wired, alice, 1, "r"))
            after = wired.begin(alice, "c")
            await until(lambda: node.waiters() == 3)
            node.program.gate("g").open()
            assert [(await running)["turn"], (await rewound)["next_turn"], (await after)["turn"]] == [2, 3, 3]
            assert (await after)["outputs"]["seen"] == ["a"]
            assert wired.journal(alice) == [(1, "a"), (2, "b"), (None, "r"), (3, "c")]
            await wired.nothing_left()

    asyncio.run(scenario())


def test_a_rewind_that_is_refused_raises_what_a_turn_raises() -> None:
    """Its key is one of the session's."""

    async def scenario() -> None:
        async with serving() as (wired, _, alice):
            await wired.predict(alice, "a")
            for to_turn, key, code in ((2, "r", "not_found"), (0, "a", "idempotency_mismatch")):
                with pytest.raises(DspexError) as refused:
                    await rewind(wired, alice, to_turn, key)
                assert refused.value.code == code

    asyncio.run(scenario())


def test_a_rewind_that_was_acknowledged_is_there_after_a_failover() -> None:
    """The next host shows the program the conversation that it made, and gives its answer again."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            for name in ("a", "b", "c"):
                await wired.predict(alice, name)
            first = await rewind(wired, alice, 2, "r")
            await wired.fail_over("a", "b")
            assert (await wired.predict(alice, "d"))["outputs"]["seen"] == ["a", "b"]
            assert await rewind(wired, alice, 2, "r") == {**first, "replayed": True}

    asyncio.run(scenario())


def test_a_rewind_that_waits_when_its_host_is_lost_happens_once_and_in_order() -> None:
    """Behind the turn that it was sent after; the old host's commits change nothing."""

    async def scenario() -> None:
        async with wires("a", "b") as wired:
            alice = wired.session("alice", "a")
            wired.settle()
            await wired.predict(alice, "a")
            running = wired.begin(alice, "b", gate="g")
            rewound = asyncio.ensure_future(rewind(wired, alice, 0, "r"))
            await until(lambda: wired.nodes["a"].waiters() == 2)
            wired.nodes["b"].program.gate("g").open()
            await wired.fail_over("a", "b")
            assert [(await running)["turn"], (await rewound)["next_turn"]] == [2, 3]
            wired.nodes["a"].program.gate("g").open()
            await until(lambda: not wired.nodes["a"].host._active)
            assert wired.journal(alice) == [(1, "a"), (2, "b"), (None, "r")]

    asyncio.run(scenario())
