"""OTP's rules of links and monitors, one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest

from supervisors import address as addresses
from supervisors import links
from supervisors import signals as sig
from supervisors.exits import KILLED, NORMAL, SHUTDOWN, Exit
from supervisors.links import NOPROC, is_monitoring, step
from tests.unit.supervisors.links.world import BOOM, World, address

CANNOT_REACH = Exit("noconnection", "10.0.0.7")
A, B, C = map(address, "abc")

# who traps, what arrives through a link, how the receiver ends, what it reads
EXITS = [
    (False, NORMAL, None, None),
    (False, SHUTDOWN, SHUTDOWN, None),
    (False, BOOM, BOOM, None),
    (False, KILLED, KILLED, None),
    (False, CANNOT_REACH, CANNOT_REACH, None),
    (True, NORMAL, None, NORMAL),
    (True, SHUTDOWN, None, SHUTDOWN),
    (True, BOOM, None, BOOM),
    (True, KILLED, None, KILLED),
]


def linked(names: str = "ab", trap: str = "") -> World:
    """Everybody linked with the next one."""
    world = World(names)
    for name in trap:
        world.states[name].trap_exit = True
    for a, b in pairwise(names):
        world.link(a, b)
    world.settle()
    return world


@pytest.mark.parametrize(("trap", "reason", "ended", "read"), EXITS)
def test_an_exit_through_a_link(trap: bool, reason: Exit, ended: Exit | None, read: Exit | None) -> None:
    """`normal` is dropped, other reasons are the receiver's own; one that traps reads them all."""
    world = linked(trap="b" if trap else "")
    world.end("a", reason)
    world.settle()
    assert world.states["b"].ended == ended
    assert [message.reason for message in world.exits("b")] == ([read] if read else [])
    assert not world.linked("b", "a")


@pytest.mark.parametrize("trap", ["", "b"])
def test_kill_cannot_be_trapped_and_arrives_at_links_as_killed(trap: str) -> None:
    """There it can be trapped."""
    world = linked("bc", trap=trap + "c")
    world.take("c", sig.Tell(B, sig.ExitSignal(kill=True)))
    world.settle()
    assert world.states["b"].ended == KILLED
    assert world.exits("c") == [sig.ExitMessage(B, KILLED)]


@pytest.mark.parametrize(("trap", "reason", "ended"), [("", BOOM, BOOM), ("", NORMAL, None), ("b", BOOM, None)])
def test_an_exit_signal_needs_no_link(trap: str, reason: Exit, ended: Exit | None) -> None:
    """The same table holds."""
    world = World("ab")
    world.states["b"].trap_exit = bool(trap)
    world.take("a", sig.Tell(B, sig.ExitSignal(reason)))
    world.settle()
    assert world.states["b"].ended == ended
    assert world.exits("b") == ([sig.ExitMessage(A, reason, linked=False)] if trap else [])


def test_a_normal_exit_signal_to_oneself_is_not_dropped() -> None:
    """`exit(self(), normal)` ends a process."""
    world = World("a")
    world.take("a", sig.Tell(A, sig.ExitSignal(NORMAL)))
    world.settle()
    assert world.states["a"].ended == NORMAL


def test_linking_twice_is_linking_once() -> None:
    """From both sides; one unlink undoes all of it, and one exit arrives."""
    world = linked(trap="b")
    world.link("a", "b")
    world.link("b", "a")
    world.settle()
    world.end("a")
    world.settle()
    assert len(world.exits("b")) == 1


def test_a_link_is_left_from_either_side() -> None:
    """Also by the one that did not make it."""
    world = linked()
    world.unlink("b", "a")
    world.settle()
    world.end("a")
    world.settle()
    assert world.alive("b")


def test_a_process_cannot_link_or_monitor_itself() -> None:
    """Nothing happens, as in OTP."""
    world = World("a")
    world.link("a", "a")
    world.monitor("a", "a")
    world.settle()
    assert (world.alive("a"), world.states["a"].links, world.downs) == (True, {}, [])


def test_unlink_takes_back_an_exit_that_was_not_read_yet() -> None:
    """But no exit signal that came without the link."""
    world = linked(trap="b")
    world.take("a", sig.Tell(B, sig.ExitSignal(SHUTDOWN)))
    world.end("a")
    world.settle()
    assert [message.linked for message in world.exits("b")] == [False, True]
    world.unlink("b", "a")
    assert [message.linked for message in world.exits("b")] == [False]


def test_a_link_made_again_after_unlink_holds() -> None:
    """The acknowledgement of the old unlink does not undo it."""
    world = linked()
    world.unlink("a", "b")
    world.link("a", "b")
    world.settle()
    assert world.linked("a", "b")
    assert world.linked("b", "a")


def test_links_made_while_unlinks_cross_are_agreed_on() -> None:
    """`a` links and unlinks while `b` links: both see no link."""
    world = World("ab")
    world.link("a", "b")
    world.unlink("a", "b")
    world.link("b", "a")
    world.settle()
    assert not world.linked("a", "b")
    assert not world.linked("b", "a")


def test_both_leave_and_link_again_at_once() -> None:
    """Both wanted the link in the end, and have it."""
    world = linked()
    for a, b in ("a", "b"), ("b", "a"):
        world.unlink(a, b)
        world.link(a, b)
    world.settle()
    assert world.linked("a", "b")
    assert world.linked("b", "a")


@pytest.mark.parametrize("gone", ["end", "vanish"])
def test_a_link_to_the_dead_sends_noproc(gone: str) -> None:
    """It ends who made it, or is read."""
    world = World("abc")
    world.end("a") if gone == "end" else world.vanish("a")
    world.states["c"].trap_exit = True
    world.link("b", "a")
    world.link("c", "a")
    world.settle()
    assert world.states["b"].ended == NOPROC
    assert world.exits("c") == [sig.ExitMessage(A, NOPROC)]


@pytest.mark.parametrize("gone", ["end", "vanish"])
def test_a_monitor_on_the_dead_reports_noproc(gone: str) -> None:
    """Once."""
    world = World("ab")
    world.end("b") if gone == "end" else world.vanish("b")
    ref = world.monitor("a", "b")
    world.settle()
    assert world.downs == [sig.Down(ref, B, NOPROC)]


def test_monitors_stack_and_are_given_up_one_by_one() -> None:
    """Each has its own reference and its own down message."""
    world = World("ab")
    first, second, third = (world.monitor("a", "b") for _ in range(3))
    world.settle()
    world.take("a", sig.StopMonitor(second))
    world.end("b")
    world.settle()
    assert world.downs == [sig.Down(first, B, BOOM), sig.Down(third, B, BOOM)]


def test_a_monitor_is_one_way() -> None:
    """The watched one does not notice that its watcher ends, and forgets it."""
    world = World("ab")
    world.monitor("a", "b")
    world.settle()
    world.end("a")
    world.settle()
    assert world.alive("b")
    assert world.states["b"].watchers == {}


@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, BOOM, KILLED])
def test_a_down_carries_the_reason_also_normal(reason: Exit) -> None:
    """Whether the watcher traps or not."""
    world = World("ab")
    ref = world.monitor("a", "b")
    world.settle()
    world.end("b", reason)
    world.settle()
    assert world.downs == [sig.Down(ref, B, reason)]


@pytest.mark.parametrize("flush", [False, True])
def test_demonitor_with_flush_takes_back_a_message_that_was_not_read(flush: bool) -> None:
    """Without, it stays in the inbox."""
    world = World("ab")
    ref = world.monitor("a", "b")
    world.take("a", sig.Arrived(B, sig.DownSignal(ref, BOOM)))
    assert not is_monitoring(world.states["a"], ref)
    world.take("a", sig.StopMonitor(ref, flush))
    assert list(world.states["a"].inbox) == ([] if flush else [sig.Down(ref, B, BOOM)])


def test_a_lost_node_is_noconnection_and_the_peer_may_live() -> None:
    """Links and monitors end here; what the peer still believes has no effect."""
    world = linked(trap="a")
    ref = world.monitor("a", "b")
    world.settle()
    world.take("a", sig.Gone(B, CANNOT_REACH))
    world.settle()
    assert world.exits("a") == [sig.ExitMessage(B, CANNOT_REACH)]
    assert world.downs == [sig.Down(ref, B, CANNOT_REACH)]
    world.end("b")
    world.settle()
    assert len(world.exits("a")) == 1


def test_names_are_released_before_downs_and_exits_go_out() -> None:
    """In this order."""
    world = linked("ba")
    world.monitor("b", "a")
    world.settle()
    effects = [type(effect).__name__ for effect in _effects_of_the_end(world, "a")]
    assert effects[0] == "Release"
    assert effects[1:3] == ["Send", "Send"]


def _effects_of_the_end(world: World, name: str) -> list[sig.Effect]:
    return step(world.states[name], sig.Ended(BOOM))


def test_one_that_is_dying_reads_nothing_more() -> None:
    """The first reason counts; it says so when it has ended."""
    world = World("ab")
    world.states["b"].dying = True
    world.states["b"].trap_exit = True
    world.take("a", sig.Tell(B, sig.ExitSignal(SHUTDOWN)))
    world.take("a", sig.Tell(B, sig.ExitSignal(kill=True)))
    world.settle()
    assert world.states["b"].ended is None
    assert not world.exits("b")


def test_the_core_imports_no_event_loop_no_clock_and_no_chance() -> None:
    """Everything it needs is given to it."""
    impure = {"asyncio", "ray", "random", "secrets", "socket", "threading", "time"}
    assert not any(impure & vars(module).keys() for module in (links, sig, addresses))
