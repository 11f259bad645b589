"""Moving sessions and emptying hosts over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dspex_actors.errors import SessionBusy
from tests.protocol.api.serving import RUNTIMES, Scenario, prepare, run, serving
from tests.unit.api.fake_runtime import READER, WRITER, FakeRuntime

BODIES = [(b"", None), (b"{}", None), (b'{"x": 1}', 422), (b"[]", 422), (b"null", 422), (b"{", 400)]
MIGRATE, DRAIN = "/v1/sessions/s/migrate", "/v1/hosts/{host}/drain"


def over(name: str, scenario: Scenario) -> None:
    """Run a scenario over a runtime that has the program `qa` and the session `s`."""

    async def whole() -> None:
        async with RUNTIMES[name]() as (runtime, key), serving(runtime, key) as client:
            await prepare(client)
            await scenario(client)

    asyncio.run(whole())


async def only_host(client: httpx.AsyncClient) -> str:
    """The name of the host of a runtime that has one; it has a `#`."""
    name: str = (await client.get("/v1/tree")).json()["id"]
    return name


def test_a_session_moves_to_another_host_or_to_the_one_that_is_named() -> None:
    """The answer has both hosts and the pause."""

    async def scenario(client: httpx.AsyncClient) -> None:
        for body, target in (({}, "b"), ({"host": None}, "b"), ({"host": "a"}, "a")):
            answer = await client.post(MIGRATE, json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"session": "s", "from": "a", "to": target, "pause_ms": 1.5}

    over("fake", scenario)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(("content", "status"), [*BODIES, (b'{"host": 1}', 422), (b'{"host": null}', None)])
def test_the_body_of_a_migrate_call_is_optional_and_checked(name: str, content: bytes, status: int | None) -> None:
    """Before anything moves; in one process there is nowhere to go."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.post(MIGRATE, content=content)
        assert answer.status_code == (status or (200 if name == "fake" else 503)), answer.text

    over(name, scenario)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(("content", "status"), BODIES)
def test_the_body_of_a_drain_call_is_optional_and_empty(name: str, content: bytes, status: int | None) -> None:
    """There is nothing to say."""

    async def scenario(client: httpx.AsyncClient) -> None:
        host = "a" if name == "fake" else await only_host(client)
        answer = await client.post(DRAIN.format(host=quote(host)), content=content)
        assert answer.status_code == (status or (200 if name == "fake" else 503)), answer.text

    over(name, scenario)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/sessions/none/migrate", {}), (MIGRATE, {"host": "none"}), (DRAIN.format(host="none"), {})],
)
def test_a_session_or_host_that_is_not_there_is_not_found(name: str, path: str, body: dict[str, Any]) -> None:
    """As everywhere."""

    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    over(name, scenario)


def test_where_there_is_one_host_nothing_can_leave_it() -> None:
    """503 with the time to wait; what was there goes on."""

    async def scenario(client: httpx.AsyncClient) -> None:
        host = await only_host(client)
        for path in (MIGRATE, DRAIN.format(host=quote(host))):
            answer = await client.post(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "no_capacity")
            assert int(answer.headers["retry-after"]) >= 1
        there = await client.post(MIGRATE, json={"host": host})
        assert there.json() == {"session": "s", "from": host, "to": host, "pause_ms": 0.0}
        turn = await client.post("/v1/sessions/s/predict", json={"inputs": {"question": "2+2?"}})
        assert (turn.status_code, turn.json()["turn"]) == (200, 1)

    over("embedded", scenario)


@pytest.mark.parametrize(("path", "key"), [(MIGRATE, READER), (DRAIN.format(host="a"), WRITER)])
def test_migrating_needs_the_scope_write_and_draining_admin(path: str, key: str) -> None:
    """A key with less gets 403."""
    answer = run(lambda client: client.post(path), FakeRuntime(), key)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


class Busy(FakeRuntime):
    """A session whose turn does not end."""

    def __init__(self) -> None:
        super().__init__()
        self.patience: list[float] = []

    async def migrate_session(self, tenant: str, session_id: str, host: str | None, patience_s: float) -> Any:
        """Notes how long it may wait."""
        self.patience.append(patience_s)
        raise SessionBusy("The session's turn has not ended in time. Try again when it has.")

    async def drain_host(self, host: str, timeout_s: float) -> Any:
        """Notes how long it may wait."""
        self.patience.append(timeout_s)
        return {"host": host, "status": "draining", "moved": 1, "left": 2}


def test_the_time_to_wait_for_a_turn_is_the_requests() -> None:
    """When it is over: 503 for a session, and what is left for a host."""
    runtime = Busy()

    async def scenario(client: httpx.AsyncClient) -> None:
        busy = await client.post(MIGRATE, headers={"X-Request-Timeout": "1.5"})
        assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "session_busy", "1")
        left = await client.post(DRAIN.format(host="a"), headers={"X-Request-Timeout": "2.5"})
        assert left.json() == {"host": "a", "status": "draining", "moved": 1, "left": 2}
        assert (await client.post(MIGRATE, headers={"X-Request-Timeout": "soon"})).status_code == 422

    run(scenario, runtime)
    assert runtime.patience == [1.5, 2.5]


def test_a_hosts_full_name_can_be_given_in_the_path() -> None:
    """Quoted: it has a `#`."""
    answer = run(lambda client: client.post(DRAIN.format(host=quote("host-1#01J"))), Busy())
    assert answer.json()["host"] == "host-1#01J"
