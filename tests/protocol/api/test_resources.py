"""Programs, sessions, turns: what every runtime answers over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.protocol.api.serving import RUNTIMES, Scenario, prepare, serving

PREDICT = "/v1/sessions/s/predict"
INPUTS = {"inputs": {"question": "2+2?"}}


@pytest.fixture(params=RUNTIMES)
def over(request: pytest.FixtureRequest) -> Any:
    """Runs a scenario over one of the runtimes, the program `qa` and the session `s` made."""

    async def whole(scenario: Scenario) -> None:
        async with RUNTIMES[request.param]() as (runtime, key), serving(runtime, key) as client:
            await prepare(client)
            await scenario(client)

    return lambda scenario: asyncio.run(whole(scenario))


def test_a_program_is_created_shown_listed_and_deleted(over: Any) -> None:
    """Its whole life."""

    async def scenario(client: httpx.AsyncClient) -> None:
        made = await client.post("/v1/programs", json={"name": "p", "signature": "a -> b"})
        assert (made.status_code, made.headers["location"]) == (201, "/v1/programs/p")
        assert (made.json()["name"], made.json()["version"]) == ("p", 1)
        assert (await client.get("/v1/programs/p")).json() == made.json()
        assert [one["name"] for one in (await client.get("/v1/programs")).json()["items"]] == ["p", "qa"]
        deleted = await client.delete("/v1/programs/p")
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert (await client.get("/v1/programs/p")).status_code == 404

    over(scenario)


def test_a_session_is_created_shown_listed_and_deleted(over: Any) -> None:
    """Its whole life."""

    async def scenario(client: httpx.AsyncClient) -> None:
        made = await client.post("/v1/sessions", json={"program": "qa", "id": "t"})
        assert (made.status_code, made.headers["location"]) == (201, "/v1/sessions/t")
        assert {"id": "t", "program": "qa", "version": 1, "turns": 0}.items() <= made.json().items()
        assert (await client.get("/v1/sessions/t")).json()["id"] == "t"
        assert [one["id"] for one in (await client.get("/v1/sessions?sort=created_at")).json()["items"]] == ["s", "t"]
        assert (await client.delete("/v1/sessions/t")).status_code == 204
        assert (await client.get("/v1/sessions/t")).status_code == 404

    over(scenario)


def test_a_session_is_restarted(over: Any) -> None:
    """It is shown, one restart on; one that is not there is not found."""

    async def scenario(client: httpx.AsyncClient) -> None:
        restarted = await client.post("/v1/sessions/s/restart")
        assert (restarted.status_code, restarted.json()["id"], restarted.json()["restarts"]) == (200, "s", 1)
        assert (await client.post(PREDICT, json=INPUTS)).json()["turn"] == 1
        assert (await client.post("/v1/sessions/none/restart")).status_code == 404

    over(scenario)


def test_a_turn_is_answered_and_found_again(over: Any) -> None:
    """By its number, by its key, in the list."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.post(PREDICT, json=INPUTS, headers={"Idempotency-Key": "key-1"})
        assert (answer.status_code, answer.json()["turn"], answer.json()["turn_id"]) == (200, 1, "key-1")
        assert "idempotency-replayed" not in answer.headers
        shown = (await client.get("/v1/sessions/s/turns/1")).json()
        assert (shown["inputs"], shown["status"]) == (INPUTS["inputs"], "completed")
        assert (await client.get("/v1/sessions/s/turns/by-id/key-1")).json() == shown
        listed = {"items": [shown], "next_cursor": None, "removed_turns": 0}
        assert (await client.get("/v1/sessions/s/turns")).json() == listed

    over(scenario)


def test_the_same_key_and_body_is_replayed_and_says_so(over: Any) -> None:
    """Nothing runs twice."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for path, body in (("/v1/programs", {"name": "p", "signature": "a -> b"}), (PREDICT, INPUTS)):
            headers = {"Idempotency-Key": "key-1"}
            first = await client.post(path, json=body, headers=headers)
            again = await client.post(path, json=body, headers=headers)
            assert (again.status_code, again.json()) == (first.status_code, first.json())
            assert again.headers["idempotency-replayed"] == "true"
            assert "idempotency-replayed" not in first.headers

    over(scenario)


def test_the_same_key_with_another_body_is_refused(over: Any) -> None:
    """A key means one thing."""

    async def scenario(client: httpx.AsyncClient) -> None:
        headers = {"Idempotency-Key": "key-1"}
        for path, one, other in (
            ("/v1/sessions", {"program": "qa", "id": "t"}, {"program": "qa", "id": "u"}),
            (PREDICT, INPUTS, {"inputs": {"question": "3+3?"}}),
        ):
            await client.post(path, json=one, headers=headers)
            refused = await client.post(path, json=other, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")

    over(scenario)


def test_pages_follow_each_other_without_gap_or_overlap(over: Any) -> None:
    """The cursor of one is the start of the next."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for n in range(4):
            await client.post("/v1/sessions", json={"program": "qa", "id": f"t{n}"})
        seen, cursor = [], ""
        while cursor is not None:
            page = (await client.get("/v1/sessions?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json()
            seen += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert seen == ["t3", "t2", "t1", "t0", "s"]

    over(scenario)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/programs", {"name": "qa", "signature": "a -> b"}, 409, "already_exists"),
        ("DELETE", "/v1/programs/qa", None, 409, "in_use"),
        ("GET", "/v1/programs/none", None, 404, "not_found"),
        ("DELETE", "/v1/programs/none", None, 404, "not_found"),
        ("POST", "/v1/sessions", {"program": "none"}, 404, "not_found"),
        ("POST", "/v1/sessions", {"program": "qa", "id": "s"}, 409, "already_exists"),
        ("DELETE", "/v1/sessions/none", None, 404, "not_found"),
        ("POST", "/v1/sessions/none/predict", INPUTS, 404, "not_found"),
        ("GET", "/v1/sessions/none/turns", None, 404, "not_found"),
        ("GET", "/v1/sessions/s/turns/99", None, 404, "not_found"),
        ("GET", "/v1/sessions/s/turns/by-id/none", None, 404, "not_found"),
    ],
)
def test_what_is_not_there_or_is_in_the_way_is_a_problem(
    over: Any, method: str, path: str, body: object, status: int, code: str
) -> None:
    """With the code that API.md names."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"

    over(scenario)
