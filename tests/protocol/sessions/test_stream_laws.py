"""The laws of a stream, while hosts are lost, sessions move and links are cut at random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_actors.resources.session import SessionRecord
from dspex_actors.resources.turn import TurnEvent, TurnRequest
from tests.protocol.sessions.wiring import Wires, text, wires
from tests.unit.sessions.hosting import request, until

TURN = {"tokens": 12, "pause": 6}
WHOLE = "".join(f"{number} " for number in range(12))
Faults = list[str]


def few(faults: Faults) -> bool:
    """A turn that is running at three losses is refused, rightly."""
    return faults.count("lose") < 3


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["lose", "move", "cut"]), max_size=4).filter(few), st.integers(0, 2**32))
def test_every_reader_sees_rising_ids_and_exactly_one_end(faults: Faults, seed: int) -> None:
    """Who sends the turn and stays, who only watches, and who comes and goes; the turn is recorded once."""

    async def scenario() -> None:
        async with wires("h0") as wired:
            alice = wired.session("alice", "h0")
            wired.settle()
            stays = asyncio.create_task(_read(lambda _: wired.router.stream(alice, _turn())))
            await _paused(wired, "h0")
            looks_on = asyncio.create_task(_read(lambda last: wired.watch(alice, "t", last)))
            comes_and_goes = asyncio.create_task(_read(lambda last: wired.watch(alice, "t", last), random.Random(seed)))
            await _strike(wired, alice, faults)
            for reader in (stays, looks_on, comes_and_goes):
                _check(await reader)
            if "cut" not in faults:  # else the turn may have ended before its reader was there again
                assert text(_last_attempt(stays.result())) == WHOLE
            assert wired.journal(alice) == [(1, "t")]
            await wired.nothing_left()

    asyncio.run(scenario())


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(["lose", "move", "cut"]), min_size=1, max_size=3).filter(few), st.integers(0, 2**32))
def test_a_client_that_retries_with_its_last_event_sees_one_stream(faults: Faults, seed: int) -> None:
    """Its replica dies with every connection, so that nobody but itself sends the turn again."""

    async def scenario() -> None:
        async with wires("h0") as wired:
            alice = wired.session("alice", "h0")
            wired.settle()
            client = asyncio.create_task(_read(lambda last: _send(wired, alice, last), random.Random(seed)))
            await _paused(wired, "h0")
            await _strike(wired, alice, faults)
            _check(await client)
            assert wired.journal(alice) == [(1, "t")]

    asyncio.run(scenario())


def _turn(last: tuple[int, int] = (1, 0)) -> TurnRequest:
    return request("t", stream=True, timeout_s=20, last_event=last, **TURN)


async def _send(wired: Wires, alice: SessionRecord, last: tuple[int, int]) -> AsyncGenerator[TurnEvent]:
    """Send the turn; a connection that breaks takes the router's memory of it along."""
    before = set(wired.router._turns)
    events = wired.router.stream(alice, _turn(last))
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()
        for number in set(wired.router._turns) - before:
            wired.router._forget(number)


async def _read(
    connect: Callable[[tuple[int, int]], AsyncGenerator[TurnEvent]], breaks: random.Random | None = None
) -> list[TurnEvent]:
    """All that one reader sees, over as many connections as it takes."""
    seen, last = list[TurnEvent](), (1, 0)
    while not seen or not seen[-1].name.startswith("turn.") or seen[-1].name == "turn.started":
        events, left = connect(last), breaks.randint(1, 9) if breaks else -1
        while left and (event := await anext(events, None)) is not None:
            seen.append(event)
            left -= 1
        await events.aclose()
        last = _number(seen[-1])
    return seen


async def _strike(wired: Wires, alice: SessionRecord, faults: Faults) -> None:
    """One fault after the other, each in the middle of the turn; then let it end."""
    serving = "h0"
    for number, fault in enumerate(faults, 1):
        if fault == "cut":
            (link := wired.router._links[serving]).close()
            await until(lambda: wired.router._links.get(serving, link) is not link)  # noqa: B023 - awaited here
            continue
        heir = f"h{number}"
        await wired.start(heir)
        wired.publish()
        await wired.ready(heir)
        if fault == "lose":
            await wired.fail_over(serving, heir)
        else:
            wired.store.take_over(wired.leases(serving), heir)
            wired.settle()
            wired.nodes[serving].host.disown([alice.unit])
        serving = heir
        await _paused(wired, serving)
    wired.nodes[serving].program.gate("pause").open()


async def _paused(wired: Wires, name: str) -> None:
    await until(lambda: wired.nodes[name].program.gate("pause").reached > 0)


def _check(events: list[TurnEvent]) -> None:
    numbers = [_number(event) for event in events]
    assert numbers == sorted(set(numbers)), numbers
    ends = [event.name for event in events if event.name in ("turn.completed", "turn.failed")]
    assert ends == ["turn.completed"] == [events[-1].name]
    assert WHOLE.startswith(text(_last_attempt(events)))


def _last_attempt(events: list[TurnEvent]) -> list[TurnEvent]:
    starts = [place for place, event in enumerate(events) if event.name == "turn.started"]
    return events[starts[-1] :] if starts else events


def _number(event: TurnEvent) -> tuple[int, int]:
    attempt, _, number = event.id.partition(".")
    return int(attempt), int(number)
