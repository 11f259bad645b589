"""Sessions with hosts of their own, over HTTP: what is refused, what is shown, and what is left when there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from dspex_actors.embedded.local import LocalRuntime, LocalTurns, local
from dspex_actors.embedded.operations import LocalOperations
from dspex_actors.errors import NoCapacity
from dspex_actors.resources.session import SessionRecord
from tests.protocol.api.serving import RUNTIMES, Scenario, prepare, serving
from tests.support.serving import add_key

SESSIONS = "/v1/sessions"
LIMITS = {"memory_mb": 500, "cpus": 0.5}
ANN: dict[str, Any] = {"program": "qa", "id": "ann", "isolation": "dedicated", "limits": LIMITS}


class Standbys(LocalOperations):
    """Gives hosts away, so many; all of them are this process."""

    def __init__(self, opened: LocalRuntime, free: int) -> None:
        made = opened.runtime
        assert isinstance(made._turns, LocalTurns)
        super().__init__(made._turns._host)
        self._turns, self._store, self.free, self.vacated = made._turns, opened.store, free, list[str]()
        made._operations = self

    def check_isolation(self, isolation: str) -> None: ...

    async def house(self, record: SessionRecord, patience_s: float) -> None:
        if self.free == 0:
            raise NoCapacity("No standby became free.", retry_after_s=2)
        self.free -= 1
        self._turns.take(self._store)

    async def vacate(self, record: SessionRecord) -> None:
        self.vacated.append(record.id)


def over(name: str, scenario: Scenario) -> None:
    """Run a scenario over a runtime that has the program `qa` and the session `s`."""

    async def whole() -> None:
        async with RUNTIMES[name]() as (runtime, key), serving(runtime, key) as client:
            await prepare(client)
            await scenario(client)

    asyncio.run(whole())


def over_hosts(free: int, scenario: Any) -> None:
    """Run a scenario, which gets a client and the standbys, over the real runtime with so many of them."""

    async def whole() -> None:
        async with local() as opened:
            standbys = Standbys(opened, free)
            async with serving(opened.runtime, add_key(opened, ("admin",))) as client:
                await prepare(client)
                await scenario(client, standbys)

    asyncio.run(whole())


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("more", "loc", "why"),
    [
        ({"isolation": "alone"}, ["isolation"], "'shared' or 'dedicated'"),
        ({"isolation": None}, ["isolation"], "'shared' or 'dedicated'"),
        ({"isolation": "shared"}, ["limits"], 'isolation "dedicated"'),
        ({"limits": None}, ["limits"], "dictionary"),
        ({"limits": {"memory_mb": 15}}, ["limits", "memory_mb"], "16"),
        ({"limits": {"memory_mb": 2**31}}, ["limits", "memory_mb"], "2147483647"),
        ({"limits": {"memory_mb": 99.5}}, ["limits", "memory_mb"], "integer"),
        ({"limits": {"memory_mb": "500"}}, ["limits", "memory_mb"], "integer"),
        ({"limits": {"cpus": 0}}, ["limits", "cpus"], "0.1"),
        ({"limits": {"cpus": True}}, ["limits", "cpus"], "number"),
        ({"limits": {"memory_gb": 1}}, ["limits", "memory_gb"], "not permitted"),
    ],
)
def test_what_cannot_be_limited_is_refused_by_field(name: str, more: dict[str, Any], loc: list[str], why: str) -> None:
    """With the field's own sentence, before anything is made."""

    async def scenario(client: httpx.AsyncClient) -> None:
        refused = await client.post(SESSIONS, json=ANN | more)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        (error,) = refused.json()["errors"]
        assert (error["loc"], why in error["msg"]) == (loc, True), error
        assert (await client.get(f"{SESSIONS}/ann")).status_code == 404

    over(name, scenario)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("change", [{"isolation": "dedicated"}, {"isolation": "shared"}, {"limits": {"cpus": 1}}])
def test_isolation_and_limits_are_for_good(name: str, change: dict[str, Any]) -> None:
    """Neither PATCH nor a fork takes them."""

    async def scenario(client: httpx.AsyncClient) -> None:
        before = (await client.get(f"{SESSIONS}/s")).json()
        for refused in (
            await client.patch(f"{SESSIONS}/s", json=change),
            await client.post(f"{SESSIONS}/s/fork", json={"id": "f", **change}),
        ):
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
            assert [error["loc"] for error in refused.json()["errors"]] == [list(change)]
        assert (await client.get(f"{SESSIONS}/s")).json() == before
        assert (await client.get(f"{SESSIONS}/f")).status_code == 404

    over(name, scenario)


def test_one_process_has_no_host_to_give_away() -> None:
    """It says where there is one, and makes nothing."""

    async def scenario(client: httpx.AsyncClient) -> None:
        refused = await client.post(SESSIONS, json=ANN, headers={"Idempotency-Key": "k"})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        assert "dspex serve" in refused.json()["detail"]
        assert [error["loc"] for error in refused.json()["errors"]] == [["isolation"]]
        assert (await client.get(f"{SESSIONS}/ann")).status_code == 404
        shared = await client.post(SESSIONS, json={"program": "qa", "id": "ann"}, headers={"Idempotency-Key": "k2"})
        assert (shared.status_code, shared.json()["isolation"]) == (201, "shared")

    over("embedded", scenario)


def test_it_is_created_with_a_host_and_shown_with_its_limits() -> None:
    """In the list too; what it does not name is null, as all of it is for a session that shares."""

    async def scenario(client: httpx.AsyncClient, standbys: Standbys) -> None:
        made = await client.post(SESSIONS, json=ANN)
        shown = made.json()
        assert (made.status_code, made.headers["location"], standbys.free) == (201, f"{SESSIONS}/ann", 1)
        assert (shown["isolation"], shown["limits"], shown["host"] is not None) == ("dedicated", LIMITS, True)
        assert (await client.get(f"{SESSIONS}/ann")).json() == shown
        await client.post(SESSIONS, json=ANN | {"id": "bob", "limits": {"cpus": 2}})
        found = {each["id"]: each for each in (await client.get(SESSIONS)).json()["items"]}
        assert (found["bob"]["limits"], standbys.free) == ({"memory_mb": None, "cpus": 2}, 0)
        assert (found["s"]["isolation"], found["s"]["limits"]) == ("shared", {"memory_mb": None, "cpus": None})

    over_hosts(2, scenario)


def test_a_fork_has_a_host_of_its_own_and_the_same_limits() -> None:
    """One of a session that shares has none."""

    async def scenario(client: httpx.AsyncClient, standbys: Standbys) -> None:
        await client.post(SESSIONS, json=ANN)
        fork = await client.post(f"{SESSIONS}/ann/fork", json={"id": "f"})
        assert (fork.status_code, fork.json()["isolation"], fork.json()["limits"]) == (201, "dedicated", LIMITS)
        assert (fork.json()["forked_from"], standbys.free) == ({"id": "ann", "turn": 0}, 0)
        other = await client.post(f"{SESSIONS}/s/fork", json={"id": "t"})
        assert (other.status_code, other.json()["isolation"]) == (201, "shared")

    over_hosts(2, scenario)


def test_when_it_is_deleted_its_host_hears_of_it_and_its_name_is_free() -> None:
    """Of a session that shares nobody does."""

    async def scenario(client: httpx.AsyncClient, standbys: Standbys) -> None:
        await client.post(SESSIONS, json=ANN)
        for session, vacated in (("s", []), ("ann", ["ann"])):
            assert (await client.delete(f"{SESSIONS}/{session}")).status_code == 204
            assert (await client.get(f"{SESSIONS}/{session}")).status_code == 404
            assert standbys.vacated == vacated
        shared = await client.post(SESSIONS, json={"program": "qa", "id": "ann"})
        assert (shared.status_code, shared.json()["isolation"]) == (201, "shared")

    over_hosts(1, scenario)


def test_where_no_host_is_free_nothing_is_left_and_the_same_call_goes_through_later() -> None:
    """Its key is not used up: it made nothing."""

    async def scenario(client: httpx.AsyncClient, standbys: Standbys) -> None:
        key = {"Idempotency-Key": "k"}
        refused = await client.post(SESSIONS, json=ANN, headers=key)
        assert (refused.status_code, refused.json()["code"]) == (503, "no_capacity")
        assert (refused.headers["retry-after"], standbys.vacated) == ("2", ["ann"])
        assert (await client.get(f"{SESSIONS}/ann")).status_code == 404
        standbys.free = 2
        made = [await client.post(SESSIONS, json=ANN, headers=key) for _ in range(2)]
        assert [answer.status_code for answer in made] == [201, 201]
        assert made[1].headers["idempotency-replayed"] == "true"
        fork = await client.post(f"{SESSIONS}/ann/fork", json={"id": "f"})
        assert (fork.status_code, (await client.get(f"{SESSIONS}/f")).status_code) == (503, 404)

    over_hosts(0, scenario)
