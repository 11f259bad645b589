"""Retention over HTTP and in the client, with the real runtime in one process."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

import dspex_actors as dx
from dspex_actors.embedded.local import LocalRuntime, local
from dspex_actors.errors import Gone, InvalidRequest
from tests.protocol.api.serving import Scenario, embedded, serving
from tests.support.serving import add_key

SESSION = "/v1/sessions/s"
RETENTION = "/v1/retention"
QA = "question: str, history: dspy.History -> answer: str"


def over_six_turns(scenario: Scenario) -> None:
    """Run it against the session `s`, which has had six turns, `t1` to `t6`."""

    async def whole() -> None:
        async with embedded() as (runtime, key), serving(runtime, key) as client:
            await client.post("/v1/programs", json={"name": "qa", "signature": QA, "params": {"history_window": 2}})
            await client.post("/v1/sessions", json={"program": "qa", "id": "s"})
            for n in range(1, 7):
                assert (await ask(client, f"t{n}")).status_code == 200
            await scenario(client)

    asyncio.run(whole())


async def ask(client: httpx.AsyncClient, key: str, question: str = "Why?") -> httpx.Response:
    """A turn."""
    return await client.post(
        f"{SESSION}/predict", json={"inputs": {"question": question}}, headers={"Idempotency-Key": key}
    )


async def kept(client: httpx.AsyncClient, **what: Any) -> None:
    """Let the tenant keep that, and wait until its past is removed."""
    assert (await client.put(RETENTION, json=what)).status_code == 200
    async with asyncio.timeout(10):
        while not (await client.get(SESSION)).json()["removed_turns"]:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)


def test_what_is_kept_is_said_and_seen() -> None:
    """Everything at first; another's change is not overwritten; a repeat is none."""

    async def scenario(client: httpx.AsyncClient) -> None:
        first = await client.get(RETENTION)
        assert first.json() == {"journal_days": None, "journal_turns": None, "failed_days": None, "default": True}
        tag = {"If-Match": first.headers["etag"]}
        for _ in range(2):
            said = await client.put(RETENTION, json={"journal_days": 30}, headers=tag)
            assert (said.status_code, said.json()["journal_days"], said.json()["default"]) == (200, 30.0, False)
        assert (await client.put(RETENTION, json={"failed_days": 1}, headers=tag)).status_code == 412
        assert (await client.delete(RETENTION)).status_code == 204
        assert (await client.get(RETENTION)).json() == first.json()

    over_six_turns(scenario)


@pytest.mark.parametrize("bad", [{"journal_turns": 0}, {"journal_days": -1}, {"days": 3}, {"journal_turns": "3"}])
def test_what_cannot_be_kept_is_refused(bad: dict[str, Any]) -> None:
    """With its place."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.put(RETENTION, json=bad)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, [next(iter(bad))])

    over_six_turns(scenario)


def test_a_removed_turn_is_gone_and_its_key_runs_nothing() -> None:
    """By its number, by its key, as events, as a retry; with another body its key is taken, as ever."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await kept(client, journal_turns=2)
        for path in ("turns/4", "turns/by-id/t4", "turns/by-id/t4/events"):
            answer = await client.get(f"{SESSION}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (410, "gone"), path
        assert ((await ask(client, "t4")).status_code, (await ask(client, "t4", "No?")).status_code) == (410, 422)
        listed = (await client.get(f"{SESSION}/turns")).json()
        assert ([turn["turn"] for turn in listed["items"]], listed["removed_turns"]) == ([5, 6], 4)
        assert (await ask(client, "t5")).headers["idempotency-replayed"] == "true"
        assert (await ask(client, "t7")).json()["turn"] == 7

    over_six_turns(scenario)


def test_time_travel_goes_as_far_as_there_is_a_past() -> None:
    """To the oldest turn that is left, which the refusal names; a fork is refused likewise."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await kept(client, journal_turns=2)
        await client.put(RETENTION, json={})  # or a sweep that comes after the next turn removes one more
        for call, body in (("rewind", {"to_turn": 4}), ("fork", {"at_turn": 4})):
            answer = await client.post(f"{SESSION}/{call}", json=body)
            assert (answer.status_code, "the oldest one left is 5" in answer.json()["detail"]) == (410, True)
        assert (await client.post(f"{SESSION}/rewind", json={"to_turn": 5})).status_code == 200
        shown = (await ask(client, "t7")).json()["outputs"]["answer"]
        assert "earlier turns shown: 2" in shown
        fork = await client.post(f"{SESSION}/fork", json={"id": "f"})
        assert (fork.json()["turns"], fork.json()["removed_turns"]) == (7, 4)
        await client.delete(SESSION)
        assert (await client.get("/v1/sessions/f/turns")).json()["items"][0]["turn"] == 5

    over_six_turns(scenario)


def test_only_an_admin_says_what_is_kept() -> None:
    """Everybody may see it."""

    async def whole() -> None:
        async with local() as runtime, serving(runtime.runtime, add_key(runtime, ("write",))) as client:
            assert (await client.get(RETENTION)).status_code == 200
            assert (await client.put(RETENTION, json={})).status_code == 403

    asyncio.run(whole())


def test_one_process_keeps_what_it_is_told() -> None:
    """As its default; what cannot be is refused at once."""

    async def whole(runtime: LocalRuntime) -> dict[str, Any]:
        async with runtime:
            return (await runtime.runtime.retention("default")).public()

    held = asyncio.run(whole(dx.local(retention={"journal_turns": 3})))
    assert (held["journal_turns"], held["default"]) == (3, True)
    with pytest.raises(InvalidRequest):
        dx.local(retention={"journal_turns": 0})
    assert Gone.status == 410
