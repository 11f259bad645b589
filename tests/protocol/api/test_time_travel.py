"""Rewind and fork over HTTP, with the real runtime in one process."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from dspex_actors.embedded.local import local
from tests.protocol.api.serving import Scenario, embedded, serving
from tests.support.serving import add_key

SESSION = "/v1/sessions/s"
QA = {"name": "qa", "signature": "question, history: dspy.History -> answer"}


def over_three_turns(scenario: Scenario) -> None:
    """Run it against the session `s`, which has had the turns `one`, `two` and `three`."""

    async def whole() -> None:
        async with embedded() as (runtime, key), serving(runtime, key) as client:
            assert (await client.post("/v1/programs", json=QA)).status_code == 201
            assert (await client.post("/v1/sessions", json={"program": "qa", "id": "s"})).status_code == 201
            for question in ("one", "two", "three"):
                await ask(client, question)
            await scenario(client)

    asyncio.run(whole())


async def ask(client: httpx.AsyncClient, question: str, session: str = SESSION) -> dict[str, Any]:
    """A turn, its key being the question."""
    body, headers = {"inputs": {"question": question}}, {"Idempotency-Key": question}
    answer: dict[str, Any] = (await client.post(f"{session}/predict", json=body, headers=headers)).json()
    return answer


async def marks(client: httpx.AsyncClient, session: str = SESSION) -> dict[int, bool]:
    """Which turns were left."""
    return {turn["turn"]: turn["left"] for turn in (await client.get(f"{session}/turns")).json()["items"]}


def test_a_session_is_rewound_and_what_was_left_restored() -> None:
    """Numbers go on; nothing is lost; each turn says where it stands."""

    async def scenario(client: httpx.AsyncClient) -> None:
        rewound = await client.post(f"{SESSION}/rewind", json={"to_turn": 1}, headers={"Idempotency-Key": "r"})
        assert (rewound.status_code, rewound.json()["to_turn"], rewound.json()["next_turn"]) == (200, 1, 4)
        fourth = await ask(client, "four")
        assert (fourth["turn"], "after 'one'" in fourth["outputs"]["answer"]) == (4, True)
        assert await marks(client) == {1: False, 2: True, 3: True, 4: False}
        assert (await client.get(f"{SESSION}/turns/3")).json()["left"] is True
        await client.post(f"{SESSION}/rewind", json={"to_turn": 3})
        assert await marks(client) == {1: False, 2: False, 3: False, 4: True}
        assert (await client.get(SESSION)).json()["turns"] == 4

    over_three_turns(scenario)


def test_a_rewinds_key_replays_it_and_tells_what_became_of_it() -> None:
    """It moves nothing a second time; a turn's key is not a rewind's."""

    async def scenario(client: httpx.AsyncClient) -> None:
        key = {"Idempotency-Key": "r"}
        first = await client.post(f"{SESSION}/rewind", json={"to_turn": 1}, headers=key)
        await client.post(f"{SESSION}/rewind", json={"to_turn": 3})
        again = await client.post(f"{SESSION}/rewind", json={"to_turn": 1}, headers=key)
        assert (again.headers["idempotency-replayed"], again.json()) == ("true", first.json())
        assert await marks(client) == {1: False, 2: False, 3: False}
        shown = (await client.get(f"{SESSION}/turns/by-id/r")).json()
        assert (shown["kind"], shown["inputs"], shown["status"]) == ("rewind", {"to_turn": 1}, "completed")
        for body, used in (({"to_turn": 2}, "r"), ({"to_turn": 1}, "one")):
            other = await client.post(f"{SESSION}/rewind", json=body, headers={"Idempotency-Key": used})
            assert other.json()["code"] == "idempotency_mismatch"

    over_three_turns(scenario)


def test_a_session_is_forked_and_both_go_on() -> None:
    """At a turn, or as it is; the fork says where it comes from."""

    async def scenario(client: httpx.AsyncClient) -> None:
        made = await client.post(f"{SESSION}/fork", json={"at_turn": 2, "id": "f"})
        assert (made.status_code, made.headers["location"]) == (201, "/v1/sessions/f")
        assert (made.json()["turns"], made.json()["forked_from"]) == (2, {"id": "s", "turn": 2})
        third = await ask(client, "three", "/v1/sessions/f")
        assert (third["turn"], "after 'one', 'two'" in third["outputs"]["answer"]) == (3, True)
        assert await marks(client, "/v1/sessions/f") == {1: False, 2: False, 3: False}
        assert (await client.get("/v1/sessions/f/turns/1")).json()["turn_id"] is None
        whole = (await client.post(f"{SESSION}/fork", json={})).json()
        assert (await client.delete(SESSION)).status_code == 204
        fourth = await ask(client, "four", f"/v1/sessions/{whole['id']}")
        assert (fourth["turn"], "earlier turns shown: 3" in fourth["outputs"]["answer"]) == (4, True)

    over_three_turns(scenario)


def test_a_fork_that_is_sent_twice_is_made_once() -> None:
    """The key is the session's: with another one's it is refused."""

    async def scenario(client: httpx.AsyncClient) -> None:
        key = {"Idempotency-Key": "k"}
        first = await client.post(f"{SESSION}/fork", json={"at_turn": 1}, headers=key)
        again = await client.post(f"{SESSION}/fork", json={"at_turn": 1}, headers=key)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert again.json()["id"] == first.json()["id"]
        other = await client.post(f"/v1/sessions/{first.json()['id']}/fork", json={"at_turn": 1}, headers=key)
        assert other.json()["code"] == "idempotency_mismatch"

    over_three_turns(scenario)


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("s/rewind", {"to_turn": 4}, 404, "not_found"),
    ("s/rewind", {"to_turn": -1}, 422, "invalid_request"),
    ("s/rewind", {"to_turn": "1"}, 422, "invalid_request"),
    ("s/rewind", {"to_turn": 2**63}, 422, "invalid_request"),
    ("s/rewind", {"to_turn": True}, 422, "invalid_request"),
    ("s/rewind", {}, 422, "invalid_request"),
    ("s/rewind", {"to_turn": 1, "more": 1}, 422, "invalid_request"),
    ("none/rewind", {"to_turn": 0}, 404, "not_found"),
    ("s/fork", {"at_turn": 4}, 404, "not_found"),
    ("s/fork", {"at_turn": -1}, 422, "invalid_request"),
    ("s/fork", {"at_turn": 1.5}, 422, "invalid_request"),
    ("s/fork", {"id": "no name"}, 422, "invalid_request"),
    ("s/fork", {"id": "s"}, 409, "already_exists"),
    ("none/fork", {}, 404, "not_found"),
]


def test_what_cannot_be_is_refused() -> None:
    """With a code, and a session that is as it was."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for call, body, status, code in REFUSED:
            answer = await client.post(f"/v1/sessions/{call}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), (call, body)
        assert len((await client.get("/v1/sessions")).json()["items"]) == 1
        assert (await ask(client, "four"))["turn"] == 4
        assert (await client.get(f"{SESSION}/turns?include=failed")).json()["items"][-1]["turn"] == 4

    over_three_turns(scenario)


def test_both_need_the_scope_to_write() -> None:
    """Reading is not enough."""

    async def whole() -> None:
        async with local() as runtime, serving(runtime.runtime, add_key(runtime, ("read",))) as client:
            for call, body in (("rewind", {"to_turn": 0}), ("fork", {})):
                assert (await client.post(f"{SESSION}/{call}", json=body)).status_code == 403

    asyncio.run(whole())
