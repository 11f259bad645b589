"""Busy sessions and cancelled turns over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.protocol.api.serving import RUNTIMES, Scenario, embedded, prepare, serving

INPUTS = {"inputs": {"question": "2+2?"}}
SLOW = "mock?latency_s=20"


def over(name: str, scenario: Scenario) -> None:
    """Run a scenario over a runtime that has the program `qa` and the session `s`."""

    async def whole() -> None:
        async with RUNTIMES[name]() as (runtime, key), serving(runtime, key) as client:
            await prepare(client)
            await scenario(client)

    asyncio.run(whole())


async def slow(client: httpx.AsyncClient, on_busy: str = "enqueue") -> tuple[str, asyncio.Task[httpx.Response]]:
    """A session whose turns take long, and the task of its first one, `t1`, which runs."""
    made = await client.post("/v1/sessions", json={"program": "qa", "lm": SLOW, "on_busy": on_busy})
    path = f"/v1/sessions/{made.json()['id']}"
    turn = asyncio.create_task(client.post(f"{path}/predict", json=INPUTS, headers={"Idempotency-Key": "t1"}))
    async with asyncio.timeout(10):
        while (await client.get(path)).json()["status"] != "busy":  # noqa: ASYNC110 - each look is a request
            await asyncio.sleep(0)
    return path, turn


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_session_says_what_it_does_when_it_is_busy(name: str) -> None:
    """As created; turns wait unless told otherwise; another word is refused."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for on_busy in ("enqueue", "reject", "interrupt"):
            made = await client.post("/v1/sessions", json={"program": "qa", "id": on_busy, "on_busy": on_busy})
            assert (made.status_code, made.json()["on_busy"]) == (201, on_busy)
            assert (await client.get(f"/v1/sessions/{on_busy}")).json()["on_busy"] == on_busy
        assert (await client.get("/v1/sessions/s")).json()["on_busy"] == "enqueue"
        wrong = await client.post("/v1/sessions", json={"program": "qa", "on_busy": "wait"})
        assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, ["on_busy"])

    over(name, scenario)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 200), (b"{}", 200), (b'{"turn_id": null}', 200), (b'{"turn_id": "a b"}', 422),
        (b'{"turn_id": 1}', 422), (b'{"turn": "t1"}', 422), (b"[]", 422), (b"{", 400),
    ],
)  # fmt: skip
def test_the_body_of_a_cancel_call_is_optional_and_checked(name: str, content: bytes, status: int) -> None:
    """Nothing runs: nothing is cancelled."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/sessions/s/cancel", content=content)
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.json() == {"session": "s", "cancelled": [], "too_late": []}

    over(name, scenario)


def over_embedded(scenario: Any) -> None:
    """Run a scenario over the real runtime."""

    async def whole() -> None:
        async with embedded() as (runtime, key), serving(runtime, key) as client:
            await prepare(client)
            await scenario(client)

    asyncio.run(whole())


@pytest.mark.parametrize("body", [{}, {"turn_id": "t1"}])
def test_a_running_turn_is_cancelled(body: dict[str, str]) -> None:
    """Its caller gets 409; its key tells; the call can be repeated."""

    async def scenario(client: httpx.AsyncClient) -> None:
        path, turn = await slow(client)
        for _ in range(2):
            answer = await client.post(f"{path}/cancel", json=body, headers={"Idempotency-Key": "c1"})
            assert (answer.status_code, answer.json()["cancelled"]) == (200, ["t1"])
        assert (("idempotency-replayed" in answer.headers), (await turn).status_code) == (not body, 409)
        assert (await turn).json()["code"] == "cancelled"
        async with asyncio.timeout(10):
            while (await client.get(f"{path}/turns/by-id/t1")).status_code == 404:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        assert (await client.get(f"{path}/turns/by-id/t1")).json()["error"]["code"] == "cancelled"
        assert (await client.post(f"{path}/restart")).status_code == 200
        assert (await client.post(f"{path}/cancel", json={"turn_id": "t1"})).json()["cancelled"] == ["t1"]

    over_embedded(scenario)


def test_a_turn_that_has_ended_is_too_late_to_cancel_and_an_unknown_one_is_not_found() -> None:
    """Whether its session is in memory or not."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await client.post("/v1/sessions/s/predict", json=INPUTS, headers={"Idempotency-Key": "t1"})
        for _ in range(2):
            answer = await client.post("/v1/sessions/s/cancel", json={"turn_id": "t1"})
            assert answer.json() == {"session": "s", "cancelled": [], "too_late": ["t1"]}
            assert (await client.post("/v1/sessions/s/cancel", json={"turn_id": "none"})).status_code == 404
            await client.post("/v1/sessions/s/restart")
        assert (await client.post("/v1/sessions/none/cancel")).status_code == 404

    over_embedded(scenario)


def test_a_session_that_rejects_answers_503_at_once() -> None:
    """With the time to wait; the running turn is not disturbed."""

    async def scenario(client: httpx.AsyncClient) -> None:
        path, turn = await slow(client, "reject")
        refused = await client.post(f"{path}/predict", json=INPUTS)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
            503,
            "session_busy",
            "1",
        )
        assert not turn.done()
        await client.post(f"{path}/cancel")
        assert (await turn).status_code == 409

    over_embedded(scenario)


def test_a_session_that_interrupts_answers_the_newest_turn() -> None:
    """Those before it get 409."""

    async def scenario(client: httpx.AsyncClient) -> None:
        path, turn = await slow(client, "interrupt")
        newest = asyncio.create_task(client.post(f"{path}/predict", json=INPUTS))
        assert ((await turn).status_code, (await turn).json()["code"]) == (409, "cancelled")
        assert "on_busy: interrupt" in (await turn).json()["detail"]
        await client.post(f"{path}/cancel")
        assert (await newest).status_code == 409

    over_embedded(scenario)


def test_a_streamed_turn_that_is_cancelled_ends_in_one_event() -> None:
    """`turn.failed`, with the code."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await client.post("/v1/sessions", json={"program": "qa", "id": "slow", "lm": SLOW})
        headers = {"Accept": "text/event-stream"}
        async with client.stream("POST", "/v1/sessions/slow/predict", json=INPUTS, headers=headers) as stream:
            events = []
            async for line in stream.aiter_lines():
                events += [line] if line.startswith("event: ") else []
                if line == "event: turn.started":
                    assert len((await client.post("/v1/sessions/slow/cancel")).json()["cancelled"]) == 1
                if line.startswith("data: ") and events[-1] == "event: turn.failed":
                    assert '"code":"cancelled"' in line
        assert events == ["event: turn.started", "event: turn.failed"]

    over_embedded(scenario)


@pytest.mark.parametrize(("cancels", "status"), [(False, "completed"), (True, "failed")])
def test_a_client_that_goes_leaves_its_turn_running_unless_it_asked_otherwise(cancels: bool, status: str) -> None:
    """The turn's key tells, to whoever comes back."""

    async def scenario(client: httpx.AsyncClient) -> None:
        lm = SLOW if cancels else "mock?latency_s=0.3"
        await client.post("/v1/sessions", json={"program": "qa", "id": "slow", "lm": lm})
        body, path = {**INPUTS, "cancel_on_disconnect": cancels}, "/v1/sessions/slow"
        headers = {"Idempotency-Key": "t1", "Accept": "text/event-stream"}
        async with client.stream("POST", f"{path}/predict", json=body, headers=headers) as stream:
            assert "turn.started" in await anext(aiter(stream.aiter_text()))
        async with asyncio.timeout(10):
            while (found := await client.get(f"{path}/turns/by-id/t1")).status_code == 404:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        assert found.json()["status"] == status
        assert found.json().get("error", {"code": "cancelled"})["code"] == "cancelled"

    over_embedded(scenario)


def test_a_turn_whose_time_is_up_while_it_waits_never_starts() -> None:
    """By the header or the body, whichever is smaller; the running turn is not disturbed."""

    async def scenario(client: httpx.AsyncClient) -> None:
        path, turn = await slow(client)
        for header, field in (("0.05", 60), ("60", 0.05)):
            late = await client.post(
                f"{path}/predict", json={**INPUTS, "timeout_s": field}, headers={"X-Request-Timeout": header}
            )
            assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
            assert "before it could start" in late.json()["detail"]
        assert not turn.done()
        assert (await client.post(f"{path}/cancel")).json()["cancelled"] == ["t1"]
        assert (await turn).status_code == 409

    over_embedded(scenario)
