"""Streams of `dx.local()`: resumed by the turn's id, and given back by an activation that is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

import dspex_actors as dx
from dspex_actors.embedded.local import _LocalWait
from dspex_actors.errors import Moved
from dspex_actors.sessions.activation import Ask
from tests.unit.sessions.hosting import request

if TYPE_CHECKING:
    from dspex_actors.sessions.host import Host


def test_a_stream_is_resumed_in_the_process_that_runs_it() -> None:
    """The rest while it runs, the answer alone afterwards; what is no turn, or no event, is refused."""

    async def scenario() -> None:
        async with dx.local(programs={"qa": "question -> answer"}, lm="mock?latency_s=0.2") as runtime:
            session = await runtime.open("qa")
            stream = session.stream(question="word by word", idempotency_key="k")
            first = [(await anext(stream)).id for _ in range(2)]
            await stream.aclose()
            rest = [event.id async for event in session.resume("k", first[-1])]
            assert [*first, *rest] == [f"1.{n}" for n in range(1, len(rest) + 3)]
            assert [event.name async for event in session.resume("k")] == ["turn.completed"]
            with pytest.raises(dx.NotFound):
                await anext(session.resume("other"))
            with pytest.raises(dx.InvalidRequest):
                await anext(session.resume("k", "17"))

    asyncio.run(scenario())


def test_a_turn_that_is_given_back_in_the_middle_is_asked_for_under_the_next_attempt() -> None:
    """What was shown is void; the same attempt never starts twice."""
    asks: list[Ask] = []

    class Taker:
        def ask(self, ask: Ask, waiter: object) -> None:
            asks.append(ask)

    async def scenario() -> None:
        wait = _LocalWait(cast("Host", Taker()), Ask("u", "unit", 1, 1, request("t", stream=True)))
        wait.started(1)
        wait.token(2, "a", "x")
        wait.fail(Moved("The session is being served anew."))
        await asyncio.sleep(0)
        assert [(ask.attempt, ask.seen, ask.resent) for ask in asks] == [(1, (1, 0), False), (2, (1, 2), True)]

    asyncio.run(scenario())
