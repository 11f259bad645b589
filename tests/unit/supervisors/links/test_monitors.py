"""Monitors from outside of any process."""

from __future__ import annotations

import asyncio

import pytest

from supervisors import Exit
from supervisors.local_links import LocalLinks, address_of
from supervisors.local_ref import local_ref
from supervisors.monitors import monitor
from tests.unit.supervisors.links.probes import WAIT_S, Family, Plain, probe, run


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
