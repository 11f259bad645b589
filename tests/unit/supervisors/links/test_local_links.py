"""Links and monitors between children of one event loop."""

from __future__ import annotations

import asyncio

import pytest

from supervisors import Exit, Process
from supervisors.errors import NotAProcess, NotStarted, NotYourMonitor
from supervisors.local_child import LocalNode
from supervisors.local_links import LocalLinks, address_of
from supervisors.local_ref import local_ref
from supervisors.monitors import monitor
from supervisors.signals import Down
from tests.unit.supervisors.links.probes import WAIT_S, Clumsy, Family, Plain, Probe, Slow, probe, run, told

BOOM = Exit("crash", "ValueError: boom")
NOPROC = Exit("noproc")


def test_a_crash_goes_through_a_chain_of_links() -> None:
    """Each ends with the first one's reason."""

    async def story(family: Family) -> None:
        a, b, c = [await family.start(id_) for id_ in "abc"]
        await probe(a).link(b)
        await probe(b).link(c)
        ends = [await monitor(child) for child in (b, c)]
        probe(a).exit(BOOM)
        assert [(await end.down(WAIT_S)).reason for end in ends] == [BOOM, BOOM]

    run(story)


def test_one_that_traps_reads_the_exit_and_lives() -> None:
    """With who it was, and why."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b", Probe, True)
        await probe(a).link(b)
        probe(a).exit(BOOM)
        assert await told(b) == (address_of(a), BOOM)
        assert local_ref(b).is_alive

    run(story)


def test_a_kill_is_not_trapped() -> None:
    """Its link, which traps, reads `killed`."""

    async def story(family: Family) -> None:
        a, b, c = await family.start("a"), await family.start("b", Probe, True), await family.start("c", Probe, True)
        await probe(b).link(c)
        await probe(a).send_exit(b, kill=True)
        assert await told(c) == (address_of(b), Exit("killed"))

    run(story)


def test_a_stopped_child_ends_its_links_with_shutdown() -> None:
    """As any other reason but `normal`."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b")
        await probe(a).link(b)
        end = await monitor(b)
        await family.supervisor.terminate_child("a")
        assert (await end.down(WAIT_S)).reason == Exit("shutdown")

    run(story)


def test_after_unlink_the_other_ones_end_is_not_noticed() -> None:
    """Whoever had made the link."""

    async def story(family: Family) -> None:
        a, b, c = [await family.start(id_) for id_ in "abc"]
        await probe(a).link(b)
        await probe(c).link(a)
        await asyncio.sleep(0)  # the signals arrive
        await probe(a).unlink(b)
        await probe(a).unlink(c)
        ends = [await monitor(child) for child in (b, c)]
        for child in (b, c):
            probe(child).exit(BOOM)
        assert [(await end.down(WAIT_S)).reason for end in ends] == [BOOM, BOOM]
        assert local_ref(a).is_alive

    run(story)


def test_links_and_monitors_to_the_dead_say_noproc() -> None:
    """At once."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b", Probe, True)
        await family.supervisor.terminate_child("a")
        await probe(b).link(a)
        ref = await probe(b).monitor(a)
        both = {await told(b), await told(b)}
        assert both == {(address_of(a), NOPROC), Down(ref, address_of(a), NOPROC)}

    run(story)


def test_monitors_stack_and_can_be_given_up() -> None:
    """Twice is once too late."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b")
        first, second = await probe(b).monitor(a), await probe(b).monitor(a)
        assert (probe(b).demonitor(first), probe(b).demonitor(first)) == (True, False)
        probe(a).exit()
        assert await told(b) == Down(second, address_of(a), Exit("normal"))
        assert probe(b).told.empty()

    run(story)


def test_a_plain_object_can_be_monitored_and_not_linked() -> None:
    """The error says what to do."""

    async def story(family: Family) -> None:
        plain, b = await family.start("plain", Plain), await family.start("b")
        with pytest.raises(NotAProcess, match="let the class inherit"):
            await probe(b).link(plain)
        ref = await probe(b).monitor(plain)
        await family.supervisor.terminate_child("plain")
        assert await told(b) == Down(ref, address_of(plain), Exit("shutdown"))

    run(story)


def test_what_is_no_name_of_a_process_is_refused() -> None:
    """With what is accepted."""

    async def story(family: Family) -> None:
        b = await family.start("b")
        with pytest.raises(NotAProcess, match="Child, Address or LocalRef"):
            await probe(b).link("a")

    run(story)


def test_a_process_can_be_named_in_every_way() -> None:
    """All are the same link."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b", Probe, True)
        for name in (a, address_of(a), local_ref(a), probe(a)):
            await probe(b).link(name)
        probe(a).exit(BOOM)
        assert await told(b) == (address_of(a), BOOM)
        assert probe(b).told.empty()

    run(story)


def test_the_name_is_free_before_anybody_is_told() -> None:
    """Neither links nor monitors see the dead in the list of the living."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b", Probe, True)
        living: list[bool] = []
        local_ref(a).watch(lambda reason: living.append(a.name in LocalNode.here().children), release=True)
        await probe(b).link(a)
        await probe(b).monitor(a)
        probe(a).exit()
        await told(b)
        assert living == [False]

    run(story)


def test_messages_wait_until_init_is_over() -> None:
    """A process is told nothing before it has started."""

    async def story(family: Family) -> None:
        a = await family.start("a")
        watching, go = asyncio.Event(), asyncio.Event()
        starting = asyncio.create_task(family.start("slow", Slow, a, watching, go))
        await watching.wait()
        end = await monitor(a)
        probe(a).exit(BOOM)
        await end.down(WAIT_S)
        go.set()
        child = await starting
        assert await told(child) == Down(child.info, address_of(a), BOOM)

    run(story)


def test_a_handler_that_fails_is_a_crash() -> None:
    """With its exception as the reason."""

    async def story(family: Family) -> None:
        a, clumsy = await family.start("a"), await family.start("clumsy", Clumsy)
        end = await monitor(clumsy)
        await probe(clumsy).monitor(a)
        probe(a).exit()
        assert (await end.down(WAIT_S)).reason == Exit("crash", "ValueError: cannot hear it")

    run(story)


def test_only_a_started_process_has_links() -> None:
    """The error says what to do."""
    with pytest.raises(NotStarted, match="Start it under a supervisor"):
        asyncio.run(Process().link(Process()))


def test_a_monitor_is_given_up_by_its_owner() -> None:
    """Nobody else can."""

    async def story(family: Family) -> None:
        a, b = await family.start("a"), await family.start("b")
        ref = await probe(b).monitor(a)
        with pytest.raises(NotYourMonitor, match="Call demonitor there"):
            probe(a).demonitor(ref)

    run(story)


def test_an_end_leaves_nothing_behind() -> None:
    """No watch of the dead, none on the dead."""

    async def story(family: Family) -> None:
        a, b, c = await family.start("a"), await family.start("b", Probe, True), await family.start("c")
        await probe(a).link(b)
        await probe(b).monitor(a)
        await probe(a).monitor(c)
        probe(a).exit(BOOM)
        await told(b)
        await told(b)
        assert LocalLinks.here().watches == 0

    run(story)
