"""Variables, bindings and versions over HTTP, with the real runtime in one process."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.protocol.api.serving import Scenario, embedded, serving

SESSION = "/v1/sessions/s"
VARIABLES = f"{SESSION}/variables"
TUTOR = {
    "name": "tutor",
    "signature": "question -> answer",
    "variables": {"level": {"type": "int", "range": [1, 5], "default": 1}, "tone": {"type": "string"}},
}


def over_a_session(scenario: Scenario, **session: Any) -> None:
    """Run it against the session `s` of a program with variables."""

    async def whole() -> None:
        async with embedded() as (runtime, key), serving(runtime, key) as client:
            assert (await client.post("/v1/programs", json=TUTOR)).status_code == 201
            made = await client.post("/v1/sessions", json={"program": "tutor", "id": "s", **session})
            assert made.status_code == 201, made.text
            await scenario(client)

    asyncio.run(whole())


async def ask(client: httpx.AsyncClient, question: str = "Why?") -> dict[str, Any]:
    """A turn."""
    answer: dict[str, Any] = (await client.post(f"{SESSION}/predict", json={"inputs": {"question": question}})).json()
    return answer


async def values(client: httpx.AsyncClient) -> dict[str, Any]:
    """What the variables are now."""
    found = (await client.get(VARIABLES)).json()["variables"]
    return {name: each["value"] for name, each in found.items()}


def test_variables_are_read_and_set() -> None:
    """One, or all of them; each change is answered with what it set."""

    async def scenario(client: httpx.AsyncClient) -> None:
        first = await client.get(VARIABLES)
        shown = first.json()["variables"]["level"]
        assert shown == {"value": 2, "set": False, "type": "int", "range": [1.0, 5.0], "default": 1}
        assert (first.json()["seq"], first.headers["etag"]) == (0, '"0"')
        put = await client.put(f"{VARIABLES}/level", json={"value": 4})
        assert (put.status_code, put.json()["values"], put.headers["etag"]) == (200, {"level": 4}, '"1"')
        await ask(client)
        assert (await client.put(VARIABLES, json={"values": {"tone": "kind"}})).json()["seq"] == 3
        assert await values(client) == {"level": 2, "tone": "kind", "own": None}

    over_a_session(scenario, variables={"level": 2}, declare={"own": {"type": "json"}})


def test_a_bad_value_is_422_and_an_unknown_name_404() -> None:
    """With its place and kind, and with the names that there are."""

    async def scenario(client: httpx.AsyncClient) -> None:
        bad = await client.put(f"{VARIABLES}/level", json={"value": 9})
        problem = {"loc": ["values", "level"], "msg": "level must be from 1 to 5, not 9", "type": "range"}
        assert (bad.status_code, bad.json()["errors"]) == (422, [problem])
        unknown = await client.put(f"{VARIABLES}/pace", json={"value": 9})
        assert (unknown.status_code, "has level, tone" in unknown.json()["detail"]) == (404, True)
        assert (await client.put(f"{VARIABLES}/a%20b", json={"value": 1})).status_code == 404
        assert (await client.put(f"{VARIABLES}/level", json={})).json()["errors"][0]["loc"] == ["value"]
        assert (await client.get("/v1/sessions/none/variables")).status_code == 404

    over_a_session(scenario)


def test_a_change_is_made_only_to_what_was_read() -> None:
    """`If-Match` is the ETag of the variables; a retry with its key gets the first answer, not a 412."""

    async def scenario(client: httpx.AsyncClient) -> None:
        seen = {"If-Match": (await client.get(VARIABLES)).headers["etag"], "Idempotency-Key": "k"}
        first = await client.put(f"{VARIABLES}/level", json={"value": 3}, headers=seen)
        again = await client.put(f"{VARIABLES}/level", json={"value": 3}, headers=seen)
        assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
        for tag in ('"0"', '"x"', "7"):
            late = await client.put(f"{VARIABLES}/level", json={"value": 5}, headers={"If-Match": tag})
            assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
        for tag in ("*", first.headers["etag"]):
            done = await client.put(f"{VARIABLES}/level", json={"value": 4}, headers={"If-Match": tag})
            assert done.status_code == 200 or tag != "*"
        other = await client.put(f"{VARIABLES}/level", json={"value": 1}, headers={"Idempotency-Key": "k"})
        assert other.json()["code"] == "idempotency_mismatch"
        outcome = (await client.get(f"{SESSION}/turns/by-id/k")).json()
        assert (outcome["kind"], outcome["inputs"]) == ("variable", {"level": 3})

    over_a_session(scenario)


def test_a_rewind_brings_variables_back() -> None:
    """Those right after the turn; forward as well."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await ask(client)
        await client.put(f"{VARIABLES}/level", json={"value": 5})
        await ask(client)
        for turn, level in ((1, 1), (2, 5), (0, 1)):
            await client.post(f"{SESSION}/rewind", json={"to_turn": turn})
            assert (await values(client))["level"] == level

    over_a_session(scenario)


def test_a_session_is_bound_to_another_version() -> None:
    """In line with its turns; each turn says which version made it."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await ask(client)
        made = await client.patch("/v1/programs/tutor", json={"instructions": "Be brief.", "lm": "mock"})
        assert (made.status_code, made.json()["version"], made.json()["live"]) == (200, 2, False)
        assert (await client.patch(SESSION, json={"program": "tutor"})).json()["version"] == 1
        bound = await client.patch(SESSION, json={"program": "tutor@2", "on_busy": "reject"})
        assert (bound.json()["version"], bound.json()["on_busy"], bound.headers["etag"]) == (2, "reject", '"3"')
        await ask(client)
        turns = (await client.get(f"{SESSION}/turns")).json()["items"]
        assert [turn["version"] for turn in turns] == [1, 2]
        late = await client.patch(SESSION, json={"lm": None}, headers={"If-Match": '"2"'})
        assert (late.status_code, (await client.get(SESSION)).headers["etag"]) == (412, '"3"')

    over_a_session(scenario)


def test_a_session_that_follows_runs_what_is_promoted() -> None:
    """From its next turn on, back as well as forward."""

    async def scenario(client: httpx.AsyncClient) -> None:
        await client.patch("/v1/programs/tutor", json={"instructions": "Be brief."})
        for version in (1, 2, 1):
            promoted = await client.post("/v1/programs/tutor/promote", json={"version": version})
            assert (promoted.status_code, promoted.json()["version"]) == (200, version)
            await ask(client)
        turns = (await client.get(f"{SESSION}/turns")).json()["items"]
        assert [turn["version"] for turn in turns] == [1, 2, 1]

    over_a_session(scenario, version_policy="follow")


def test_bad_changes_are_refused() -> None:
    """Each with its reason, and nothing is changed."""

    async def scenario(client: httpx.AsyncClient) -> None:
        refused = [
            await client.patch(SESSION, json=body)
            for body in ({}, {"program": "other"}, {"program": "tutor@7"}, {"version_policy": "x"}, {"lm": "x y"})
        ]
        assert [answer.status_code for answer in refused] == [422, 422, 404, 422, 422]
        assert (await client.post("/v1/programs/tutor/promote", json={"version": 2})).status_code == 404
        assert (await client.patch("/v1/programs/tutor", json={"module": "nothing"})).status_code == 422
        assert (await client.patch("/v1/programs/none", json={"lm": "mock"})).status_code == 404
        assert (await client.get(SESSION)).json()["changed"] == 0

    over_a_session(scenario)


def test_versions_are_listed_and_a_lost_update_is_noticed() -> None:
    """By the program's ETag, which each new version and each promotion changes."""

    async def scenario(client: httpx.AsyncClient) -> None:
        tag = (await client.get("/v1/programs/tutor")).headers["etag"]
        change, headers = {"instructions": "Be kind."}, {"If-Match": tag, "Idempotency-Key": "k"}
        first = await client.patch("/v1/programs/tutor", json=change, headers=headers)
        again = await client.patch("/v1/programs/tutor", json=change, headers=headers)
        assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
        assert (await client.patch("/v1/programs/tutor", json=change, headers={"If-Match": tag})).status_code == 412
        listed = (await client.get("/v1/programs/tutor/versions")).json()["items"]
        assert [(one["version"], one["live"]) for one in listed] == [(2, False), (1, True)]

    over_a_session(scenario)
