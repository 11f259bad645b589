"""Turns as events over a real socket."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from dspex_actors.errors import DspexError, MailboxFull
from dspex_actors.resources.turn import TurnEvent
from tests.protocol.api.serving import prepare, run, wait
from tests.unit.api.fake_runtime import FakeRuntime

PREDICT = "/v1/sessions/s/predict"
BODY: dict[str, object] = {"inputs": {}}
EVENTS = {"Accept": "text/event-stream"}


def test_a_turn_is_streamed_event_by_event() -> None:
    """Framed as the specification has it, and nothing after the terminal event."""
    answer = run(lambda client: client.post(PREDICT, json=BODY, headers=EVENTS))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"]
    assert answer.text == (
        'id: 1.1\nevent: turn.started\ndata: {"attempt":1}\n\nid: 1.2\nevent: turn.completed\ndata: {"turn":1}\n\n'
    )


def test_an_event_is_sent_when_it_happens() -> None:
    """The first is there while the turn still runs."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> list[str]:
        await prepare(client)
        runtime.gate = asyncio.Event()
        async with client.stream("POST", PREDICT, json=BODY, headers=EVENTS) as answer:
            lines = answer.aiter_lines()
            first = [await anext(lines) for _ in range(3)]
            runtime.gate.set()
            return first + [line async for line in lines]

    lines = run(scenario, runtime)
    assert (lines[1], lines[-3]) == ("event: turn.started", "event: turn.completed")


def test_a_silent_stream_is_kept_open_by_comments() -> None:
    """A proxy on the way does not take it for dead."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> list[str]:
        await prepare(client)
        runtime.gate = asyncio.Event()
        async with client.stream("POST", PREDICT, json=BODY, headers=EVENTS) as answer:
            lines, seen = answer.aiter_lines(), list[str]()
            while seen.count(": keep-alive") < 2:
                seen.append(await anext(lines))
            runtime.gate.set()
            return seen + [line async for line in lines]

    lines = run(scenario, runtime, keep_alive_s=0.01)
    assert "event: turn.completed" in lines
    assert lines[lines.index(": keep-alive") + 1] == ""


@pytest.mark.parametrize("error", [None, MailboxFull("Too many turns wait.")])
def test_a_turn_that_waits_long_is_answered_by_comments_until_it_starts(error: DspexError | None) -> None:
    """The status is spent on them: what goes wrong afterwards is the terminal event."""
    runtime = FakeRuntime()
    runtime.events = (TurnEvent("1.1", "turn.completed", b"{}"),)
    runtime.late_error = error

    async def scenario(client: httpx.AsyncClient) -> list[str]:
        await prepare(client)
        runtime.gate = asyncio.Event()
        async with client.stream("POST", PREDICT, json=BODY, headers=EVENTS) as answer:
            lines = answer.aiter_lines()
            seen = [await anext(lines) for _ in range(4)]
            runtime.gate.set()
            return seen + [line async for line in lines]

    lines = run(scenario, runtime, keep_alive_s=0.01)
    assert lines[:4] == [": keep-alive", "", ": keep-alive", ""]
    events = [line for line in lines if line.startswith(("id:", "event:"))]
    assert events == ["id: 1.1", "event: turn.failed" if error else "event: turn.completed"]


def test_what_is_wrong_before_the_first_event_is_an_ordinary_problem() -> None:
    """A status, not an event."""
    runtime = FakeRuntime()
    runtime.error = MailboxFull("Too many turns wait.")

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        return await client.post(PREDICT, json=BODY, headers=EVENTS)

    answer = run(scenario, runtime)
    assert (answer.status_code, answer.json()["code"]) == (503, "mailbox_full")


@pytest.mark.parametrize("events", [(), (TurnEvent("1.1", "turn.started", b"{}"),)])
def test_a_stream_that_ends_too_soon_is_our_fault_and_says_so(events: tuple[TurnEvent, ...]) -> None:
    """There is always an end."""
    runtime = FakeRuntime()
    runtime.events = events

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        return await client.post(PREDICT, json=BODY, headers=EVENTS)

    answer = run(scenario, runtime)
    assert answer.status_code == (200 if events else 500)
    assert '"code":"internal"' in answer.text


def test_a_replayed_stream_says_so() -> None:
    """As an answer in one piece would."""
    runtime = FakeRuntime()
    runtime.events = (TurnEvent("1.2", "turn.completed", b"{}", replayed=True),)

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        return await client.post(PREDICT, json=BODY, headers=EVENTS)

    assert run(scenario, runtime).headers["idempotency-replayed"] == "true"


def test_a_client_that_leaves_a_stream_closes_it_below() -> None:
    """At once; the server that ends with the test has no task left."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        runtime.gate = asyncio.Event()
        async with client.stream("POST", PREDICT, json=BODY, headers=EVENTS) as answer:
            await anext(answer.aiter_lines())
            assert not runtime.gone.is_set()
        await wait(runtime.gone)

    run(scenario, runtime)
