"""Monitors from outside of any process."""

from __future__ import annotations

import asyncio

import pytest

from supervisors import ChildSpec, Exit, Supervisor, SupervisorSpec
from supervisors.child import Child
from supervisors.errors import NotAProcess
from supervisors.local_links import LocalLinks, address_of
from supervisors.local_ref import local_ref
from supervisors.monitors import monitor
from supervisors.signals import Down
from tests.unit.supervisors.links.probes import WAIT_S, Family, Plain, Probe, probe, run, told


def test_it_tells_the_end_once_and_again_when_asked() -> None:
    """Of a process and of a plain object, however they are named."""

    async def story(family: Family) -> None:
        a, plain = await family.start("a"), await family.start("plain", Plain)
        names = (a, address_of(a), local_ref(a), plain)
        watchers = [await monitor(name) for name in names]
        probe(a).exit()
        await family.supervisor.terminate_child("plain")
        reasons = [(await watcher.down(WAIT_S)).reason.kind for watcher in watchers]
        assert reasons == ["normal", "normal", "normal", "shutdown"]
        assert await watchers[0].down(WAIT_S) is await watchers[0].down(WAIT_S)

    run(story)


def test_of_the_dead_it_tells_noproc() -> None:
    """At once."""

    async def story(family: Family) -> None:
        a = await family.start("a")
        await family.supervisor.terminate_child("a")
        assert (await (await monitor(a)).down(WAIT_S)).reason == Exit("noproc")

    run(story)


def test_waiting_for_it_can_be_limited() -> None:
    """The monitor stays."""

    async def story(family: Family) -> None:
        a = await family.start("a")
        watcher = await monitor(a)
        with pytest.raises(TimeoutError):
            await watcher.down(0.001)
        probe(a).exit()
        assert (await watcher.down(WAIT_S)).process == address_of(a)

    run(story)


def test_one_that_is_closed_watches_nothing_and_cancels_who_waits() -> None:
    """Closing it twice is fine."""

    async def story(family: Family) -> None:
        a = await family.start("a")
        watcher = await monitor(a)
        waiting = asyncio.create_task(watcher.down())
        watcher.close()
        watcher.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert LocalLinks.here().watches == 0

    run(story)


def test_a_supervisor_is_watched_by_its_handle_and_says_why_it_ended() -> None:
    """One that was stopped, one that gave up, and one that is gone; a later one of that name is another."""

    async def story(family: Family) -> None:
        top = await Supervisor.start(name="top", backend="local")
        children = [ChildSpec("a", start=Probe)]
        weary = await Supervisor.start(max_restarts=0, children=children, backend="local")
        watchers = [await monitor(sup) for sup in (top, weary, top)]
        await top.stop()
        local_ref(await living(weary, "a")).exit(Exit("killed"))
        assert [(await watcher.down(WAIT_S)).reason.kind for watcher in watchers] == ["shutdown"] * 3
        again = await Supervisor.start(name="top", backend="local")
        assert (await (await monitor(top)).down(WAIT_S)).reason == Exit("noproc")
        (await monitor(again)).close()
        assert LocalLinks.here().watches == 0
        await again.stop()

    run(story)


def test_a_nested_supervisor_is_watched_by_its_child_and_by_its_handle() -> None:
    """It gave up, which its parent answers with a restart; a process may watch it, and not link with it."""

    async def story(family: Family) -> None:
        nested = SupervisorSpec(max_restarts=0, children=(ChildSpec("a", start=Probe),))
        child = await family.supervisor.start_child(ChildSpec("nested", start=nested))
        assert isinstance(child, Child)
        sup, watching = await Supervisor.of(child), await family.start("watching")
        watchers = [await monitor(child), await monitor(sup)]
        ref = await probe(watching).monitor(sup)
        for linked in (sup, family.supervisor):
            with pytest.raises(NotAProcess):
                await probe(watching).link(linked)
        local_ref(await living(sup, "a")).exit(Exit("killed"))
        downs = [await watcher.down(WAIT_S) for watcher in watchers]
        assert [(down.process, down.reason.kind) for down in downs] == [(sup.address, "shutdown")] * 2
        assert await told(watching) == Down(ref, sup.address, downs[0].reason)

    run(story)


async def living(supervisor: Supervisor, id_: str) -> Child:
    """The child of an id."""
    found = (await supervisor.which_child(id_)).child
    assert isinstance(found, Child)
    return found
