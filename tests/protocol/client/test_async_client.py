"""The asynchronous client against the real server."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

import dspex_actors as dx
from tests.support.serving import Served


def test_many_sessions_are_asked_at_once(server: Served) -> None:
    """Each has its own turns."""

    async def scenario() -> list[int]:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            sessions = [await client.open("qa") for _ in range(20)]
            replies = await asyncio.gather(*(session.predict(question="why") for session in sessions))
            return [reply.turn for reply in replies]

    assert asyncio.run(scenario()) == [1] * 20


def test_a_stream_ends_in_its_reply(server: Served) -> None:
    """The events are those of the synchronous client."""

    async def scenario() -> tuple[list[str], str]:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            session = await client.open("qa")
            events = [event async for event in session.stream(question="why")]
            assert events[-1].reply is not None
            return [event.name for event in events], events[-1].reply.outputs.answer

    names, answer = asyncio.run(scenario())
    assert (names[0], names[-1]) == ("turn.started", "turn.completed")
    assert "mock answer to 'why'" in answer


def test_a_stream_that_is_left_still_becomes_a_turn(server: Served) -> None:
    """A turn's life does not depend on who listens."""

    async def scenario() -> str:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            session = await client.open("qa")
            async with aclosing(session.stream(question="why", idempotency_key="left")) as events:
                await anext(events)
            return str((await session.predict(question="why", idempotency_key="left")).turn_id)

    assert asyncio.run(scenario()) == "left"


def test_programs_sessions_and_turns_are_listed_shown_and_deleted(server: Served) -> None:
    """The whole surface, awaited."""

    async def scenario() -> None:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            await client.programs.create("async-temp", "a -> b")
            session = await client.open("async-temp", "async-session")
            reply = await session.predict(a="x")
            assert [turn["turn"] async for turn in session.turns()] == [1]
            assert await session.turn(1) == await session.turn_by_id(reply.turn_id)
            assert (await session.rewind(0))["next_turn"] == 2
            assert (await (await session.fork(at_turn=1)).predict(a="y")).turn == 2
            assert "async-session" in [each["id"] async for each in client.sessions.list()]
            assert "async-temp" in [each["name"] async for each in client.programs.list()]
            assert (await client.sessions.get("async-session"))["turns"] == 1
            async for each in client.sessions.list():
                if each["program"] == "async-temp":
                    await client.sessions.delete(each["id"])
            await client.programs.delete("async-temp")
            with pytest.raises(dx.NotFound):
                await client.programs.get("async-temp")

    asyncio.run(scenario())


def test_a_running_turn_is_cancelled_and_a_busy_session_says_so_at_once(server: Served) -> None:
    """Neither error is waited away: the session was told to reject, and somebody cancelled."""

    async def scenario() -> None:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            session = await client.open("qa", lm="mock?latency_s=20", on_busy="reject")
            turn = asyncio.ensure_future(session.predict(question="long", idempotency_key="t1"))
            async with asyncio.timeout(10):
                while (await client.sessions.get(session.id))["status"] != "busy":  # noqa: ASYNC110 - each look is a request
                    await asyncio.sleep(0)
            with pytest.raises(dx.SessionBusy):
                await session.predict(question="me too")
            assert (await session.cancel("t1"))["cancelled"] == ["t1"]
            with pytest.raises(dx.Cancelled):
                await turn

    asyncio.run(scenario())


def test_the_server_tells_about_itself(server: Served) -> None:
    """Tree, info, readiness."""

    async def scenario() -> tuple[str, bool, bool]:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            return (await client.tree())["status"], (await client.info())["mock"], await client.ready()

    assert asyncio.run(scenario()) == ("ready", True, True)


def test_variables_versions_and_bindings(server: Served) -> None:
    """As the synchronous client has them."""

    async def scenario() -> None:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            await client.programs.create("atutor", "question -> answer", variables={"level": {"type": "int"}})
            session = client.session((await client.sessions.create("atutor", variables={"level": 2}))["id"])
            seq = (await session.set_variable("level", 3))["seq"]
            await session.set_variables({}, if_match=seq)
            assert (await session.variables())["variables"]["level"]["value"] == 2
            version = (await client.programs.update("atutor", lm="mock"))["version"]
            assert [one["version"] async for one in client.programs.versions("atutor")] == [2, 1]
            await client.programs.promote("atutor", version)
            assert (await client.sessions.update(session.id, program="atutor"))["version"] == version

    asyncio.run(scenario())


def test_a_session_and_a_host_stay_where_there_is_no_other_host(server: Served) -> None:
    """As with the synchronous client."""

    async def scenario() -> None:
        async with dx.AsyncClient(server.url, api_key=server.key) as client:
            session, host = await client.open("qa"), (await client.tree())["id"]
            assert (await session.migrate(host))["to"] == host
            for call in (session.migrate(timeout_s=0.5), client.drain_host(host, timeout_s=0.5)):
                with pytest.raises(dx.NoCapacity):
                    await call

    asyncio.run(scenario())
