"""A turn's stream, resumed over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from dspex_actors.api.turn_body import MAX_TIMEOUT_S
from dspex_actors.errors import DspexError, HostLost
from dspex_actors.resources.turn import TurnEvent
from tests.protocol.api.serving import embedded, prepare, run, serving, wait
from tests.unit.api.fake_runtime import READER, FakeRuntime

EVENTS = "/v1/sessions/s/turns/by-id/t/events"


async def follow(client: httpx.AsyncClient, path: str = EVENTS, **headers: str) -> httpx.Response:
    """All that comes."""
    return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_stream_is_resumed_as_events() -> None:
    """The same framing as the turn's own; any reader of the session may."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> httpx.Response:
        await prepare(client)
        return await follow(client, authorization=f"Bearer {READER}")

    answer = run(scenario, runtime)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith('id: 1.1\nevent: turn.started\ndata: {"attempt":1}\n\n')
    assert runtime.watched == [("t", (1, 0), MAX_TIMEOUT_S)]


@pytest.mark.parametrize(
    ("query", "headers", "last"),
    [
        ("", {"last_event_id": "2.7"}, (2, 7)),
        ("?last_event_id=2.7", {}, (2, 7)),
        ("?last_event_id=1.1", {"last_event_id": "2.7"}, (2, 7)),
        ("?last_event_id=", {"last_event_id": ""}, (1, 0)),
    ],
)
def test_the_last_event_comes_from_the_header_or_the_query(
    query: str, headers: dict[str, str], last: tuple[int, int]
) -> None:
    """The header counts first: a browser that connects again sends it to the same address."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        await follow(client, EVENTS + query, x_request_timeout="5", **headers)

    run(scenario, runtime)
    assert runtime.watched == [("t", last, 5.0)]


@pytest.mark.parametrize("bad", ["7", "1.0", "0.1", "1.2.3", "a.b", "99999.1", "-1.2", "1.9999999999"])
def test_what_is_no_id_of_an_event_is_refused(bad: str) -> None:
    """By the stream and by a turn that is sent again."""

    async def scenario(client: httpx.AsyncClient) -> list[httpx.Response]:
        sent = await client.post("/v1/sessions/s/predict", json={"inputs": {}}, headers={"Last-Event-ID": bad})
        return [await follow(client, last_event_id=bad), await follow(client, f"{EVENTS}?last_event_id={bad}"), sent]

    for answer in run(scenario):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "<attempt>.<n>" in answer.json()["detail"]


def test_a_turn_that_is_sent_again_says_what_its_client_has() -> None:
    """So that its attempts are numbered above that."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "2.7"}
        await client.post("/v1/sessions/s/predict", json={"inputs": {}}, headers=headers)

    run(scenario, runtime)
    assert runtime.asked[0].last_event == (2, 7)


@pytest.mark.parametrize("path", [EVENTS.replace("/t/", "/u/"), EVENTS.replace("/s/", "/nobody/")])
def test_a_turn_that_is_unknown_is_an_ordinary_problem(path: str) -> None:
    """A status, not an event."""
    answer = run(lambda client: follow(client, path))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("error", [None, HostLost("Send it again.")])
def test_a_turn_that_is_silent_is_kept_open_by_comments(error: DspexError | None) -> None:
    """And ends in one event, numbered after the one that the client has."""
    runtime = FakeRuntime()
    runtime.events, runtime.late_error = (TurnEvent("3.6", "turn.completed", b"{}"),), error

    async def scenario(client: httpx.AsyncClient) -> list[str]:
        await prepare(client)
        runtime.gate = asyncio.Event()
        async with client.stream("GET", EVENTS, headers={"Last-Event-ID": "3.5"}) as answer:
            lines = answer.aiter_lines()
            seen = [await anext(lines) for _ in range(4)]
            runtime.gate.set()
            return seen + [line async for line in lines]

    lines = run(scenario, runtime, keep_alive_s=0.01)
    assert lines[:4] == [": keep-alive", "", ": keep-alive", ""]
    ends = [line for line in lines if line.startswith(("id:", "event:"))]
    assert ends == ["id: 3.6", "event: turn.failed" if error else "event: turn.completed"]


def test_head_does_not_wait_for_the_turn() -> None:
    """It would for as long as the turn runs."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> list[httpx.Response]:
        await prepare(client)
        runtime.gate = asyncio.Event()
        return [await client.head(EVENTS), await client.head(EVENTS.replace("/s/", "/nobody/"))]

    there, nowhere = run(scenario, runtime)
    assert (there.status_code, there.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (nowhere.status_code, runtime.watched) == (404, [])


def test_a_watcher_that_leaves_closes_its_watch() -> None:
    """At once."""
    runtime = FakeRuntime()

    async def scenario(client: httpx.AsyncClient) -> None:
        await prepare(client)
        runtime.gate = asyncio.Event()
        async with client.stream("GET", EVENTS) as answer:
            await anext(answer.aiter_lines())
        await wait(runtime.gone)

    run(scenario, runtime)


def test_a_recorded_turn_is_its_answer_alone() -> None:
    """From the real runtime, however often it is asked for, marked as replayed."""

    async def scenario() -> None:
        async with embedded() as (runtime, key), serving(runtime, key) as client:
            await prepare(client)
            sent = await _predict(client)
            for last, end in (("", "1.1"), ("1.3", "1.4")):
                answer = await follow(client, last_event_id=last)
                assert answer.headers["idempotency-replayed"] == "true"
                assert answer.text.startswith(f"id: {end}\nevent: turn.completed\ndata: {{")
                assert answer.text.count("event:") == 1
                assert f'"latency_ms":{sent["latency_ms"]}' in answer.text

    asyncio.run(scenario())


async def _predict(client: httpx.AsyncClient) -> dict[str, Any]:
    body = {"inputs": {"question": "why"}}
    answer = await client.post("/v1/sessions/s/predict", json=body, headers={"Idempotency-Key": "t"})
    found: dict[str, Any] = answer.json()
    return found
