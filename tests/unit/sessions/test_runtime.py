"""The runtime: keys, remembered sessions, lists of turns, readiness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from dspex_actors.clock import ManualClock
from dspex_actors.embedded.local import LocalTurns
from dspex_actors.embedded.operations import LocalOperations
from dspex_actors.errors import NotFound, StoreUnavailable, Unauthenticated
from dspex_actors.resources.key import ApiKey, hash_secret
from dspex_actors.resources.session import SessionRecord
from dspex_actors.sessions.runtime import KEY_CACHE_S, SessionRuntime
from dspex_actors.store.port import Page
from tests.unit.sessions.hosting import TENANT, Bench, Scripted, ScriptedPrograms, hosting, make_session, request, until

if TYPE_CHECKING:
    from dspex_actors.lm.models import Models
    from dspex_actors.programs.catalogue import Programs


class NoModels:
    """No session here names a model."""


@asynccontextmanager
async def running(clock: ManualClock | None = None) -> AsyncIterator[tuple[SessionRuntime, Bench]]:
    """A runtime over a host in this process."""
    async with hosting() as bench:
        turns = LocalTurns(bench.host)
        turns.take(bench.store)
        runtime = runtime_of(bench, turns, clock)
        try:
            yield runtime, bench
        finally:
            runtime.close()


def runtime_of(bench: Bench, turns: LocalTurns, clock: ManualClock | None = None) -> SessionRuntime:
    """A runtime as every API process has one."""
    programs = cast("Programs", ScriptedPrograms(Scripted()))
    return SessionRuntime(
        bench.store, turns, programs, cast("Models", NoModels()), LocalOperations(bench.host), clock=clock
    )


async def predict(runtime: SessionRuntime, turn_id: str, **turn: Any) -> dict[str, Any]:
    """A turn of the session `alice`."""
    answer: dict[str, Any] = orjson.loads((await runtime.predict(TENANT, "alice", request(turn_id, **turn))).body)
    return answer


def put_key(bench: Bench, secret: str, tenant: str = TENANT, expires_at_us: int | None = None) -> None:
    """A key that is known."""
    bench.store.put_key(ApiKey("k", hash_secret(secret), tenant, ("read",), expires_at_us, 0))


def test_a_key_is_remembered_for_a_while_only() -> None:
    """One that has changed counts as before for 2 s at most."""
    clock = ManualClock()

    async def scenario() -> None:
        async with running(clock) as (runtime, bench):
            put_key(bench, "s")
            assert (await runtime.authenticate("s")).tenant == TENANT
            put_key(bench, "s", tenant="other")
            assert (await runtime.authenticate("s")).tenant == TENANT
            clock.advance(KEY_CACHE_S + 0.1)
            assert (await runtime.authenticate("s")).tenant == "other"

    asyncio.run(scenario())


def test_a_key_that_has_expired_is_refused_at_that_very_moment() -> None:
    """Remembered or not."""
    clock = ManualClock()

    async def scenario() -> None:
        async with running(clock) as (runtime, bench):
            put_key(bench, "s", expires_at_us=clock.now_us() + 1_000_000)
            await runtime.authenticate("s")
            clock.advance(1)
            with pytest.raises(Unauthenticated, match="expired"):
                await runtime.authenticate("s")

    asyncio.run(scenario())


def test_an_unknown_key_is_refused() -> None:
    """Nothing of it is remembered."""

    async def scenario() -> None:
        async with running() as (runtime, _):
            with pytest.raises(Unauthenticated, match="not known"):
                await runtime.authenticate("nobody's")
            assert runtime._keys == {}

    asyncio.run(scenario())


@pytest.mark.parametrize("used", [False, True])
def test_an_id_that_was_given_again_reaches_the_new_session(used: bool) -> None:
    """Also in a process that remembers the old one, and when the host still has that in its memory."""

    async def scenario() -> None:
        async with running() as (runtime, bench):
            make_session(bench.store, "alice")
            await predict(runtime, "t1")
            if not used:
                bench.host.disown([lease.unit for lease in bench.store.leases()])
                bench.host.own([type(lease)(lease.unit, lease.epoch, lease.host) for lease in bench.store.leases()])
            bench.store.delete_session(TENANT, "alice")
            new = make_session(bench.store, "alice")
            assert (await predict(runtime, "t1"))["turn"] == 1
            assert [entry.turn_id for entry in bench.store.entries(new.uid)] == ["t1"]

    asyncio.run(scenario())


def test_a_deleted_session_is_not_found() -> None:
    """Whichever process deleted it, streamed or not, whatever the key."""

    async def scenario() -> None:
        async with running() as (runtime, bench):
            make_session(bench.store, "alice")
            await predict(runtime, "t1")
            bench.store.delete_session(TENANT, "alice")
            for turn_id in ("t1", "t2"):
                with pytest.raises(NotFound):
                    await predict(runtime, turn_id)
            with pytest.raises(NotFound):
                await anext(runtime.stream(TENANT, "alice", request("t3", stream=True)))

    asyncio.run(scenario())


def test_a_stream_reaches_the_new_session_as_well() -> None:
    """Its first event tells whether it does."""

    async def scenario() -> None:
        async with running() as (runtime, bench):
            make_session(bench.store, "alice")
            await predict(runtime, "t1")
            bench.store.delete_session(TENANT, "alice")
            make_session(bench.store, "alice")
            events = [event async for event in runtime.stream(TENANT, "alice", request("t1", stream=True))]
            assert [event.name for event in events][-1] == "turn.completed"

    asyncio.run(scenario())


async def failing_between(runtime: SessionRuntime) -> None:
    """Turns 1 to 4, a failed attempt before each and one after the last."""
    for number in range(1, 6):
        with pytest.raises(Exception, match="raised"):
            await predict(runtime, f"f{number}", do="raise")
        if number < 5:
            await predict(runtime, f"t{number}")


async def listed(runtime: SessionRuntime, limit: int, include_failed: bool) -> list[str]:
    """The ids of all turns, page by page."""
    ids: list[str] = []
    page = Page(limit=limit)
    while True:
        found = await runtime.turns(TENANT, "alice", page, include_failed)
        ids += [item["turn_id"] for item in found.items]
        if found.next_cursor is None:
            return ids
        page = Page(limit=limit, cursor=found.next_cursor)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 10])
def test_failed_turns_stand_where_they_happened_each_once(limit: int) -> None:
    """Whatever the size of a page."""

    async def scenario() -> None:
        async with running() as (runtime, bench):
            make_session(bench.store, "alice")
            await failing_between(runtime)
            record: SessionRecord = bench.store.get_session(TENANT, "alice")
            await until(lambda: len(bench.store.failures(record.uid)) == 5)
            assert await listed(runtime, limit, False) == ["t1", "t2", "t3", "t4"]
            assert await listed(runtime, limit, True) == ["f1", "t1", "f2", "t2", "f3", "t3", "f4", "t4", "f5"]

    asyncio.run(scenario())


def test_a_turn_is_found_by_its_id_completed_or_failed() -> None:
    """The last attempt of a failed one; not found when it never ended."""

    async def scenario() -> None:
        async with running() as (runtime, bench):
            alice = make_session(bench.store, "alice")
            await predict(runtime, "t1")
            for _ in range(2):
                with pytest.raises(Exception, match="raised"):
                    await predict(runtime, "f1", do="raise")
            await until(lambda: len(bench.store.failures(alice.uid)) == 2)
            assert (await runtime.turn_by_id(TENANT, "alice", "t1"))["turn"] == 1
            failed = await runtime.turn_by_id(TENANT, "alice", "f1")
            assert (failed["status"], failed["attempts"]) == ("failed", 2)
            with pytest.raises(NotFound, match="t9"):
                await runtime.turn_by_id(TENANT, "alice", "t9")

    asyncio.run(scenario())


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts by the turns, the store by asking it."""

    async def scenario() -> None:
        async with running() as (runtime, bench):
            assert await runtime.unready() == []
            other = runtime_of(bench, LocalTurns(bench.host))

            def away() -> None:
                raise StoreUnavailable("It does not answer.")

            monkeypatch.setattr(bench.store, "ping", away)
            assert (await runtime.unready(), await other.unready()) == (["store"], ["host", "store"])
            other.close()

    asyncio.run(scenario())
