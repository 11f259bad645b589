"""Init: children start one after the other, in order, or none of them runs."""

from __future__ import annotations

from supervisors import FailedToStartChild, SupervisorSpec, SupervisorStopping
from supervisors import messages as m
from tests.unit.supervisors.world import BOOM, KILLED, NORMAL, SHUTDOWN, World, child_of, spec_of, specs_of


def beginning(ids: str, **options: str) -> World:
    """A supervisor whose first child is starting."""
    world = World(SupervisorSpec(children=specs_of(ids, **options)))
    world.send(m.Init())
    return world


def test_a_supervisor_without_children_is_ready_at_once() -> None:
    """Nothing to start."""
    assert beginning("").log == [m.Ready()]


def test_each_child_starts_when_the_one_before_it_is_up() -> None:
    """Ready comes with the last."""
    world = beginning("ab")
    assert world.started() == "a"
    world.start_succeeds()
    assert (world.started(), world.seen(m.Ready)) == ("ab", [])
    assert world.start_succeeds() == [m.Ready()]


def test_a_child_that_fails_at_init_rolls_back_those_before_it_in_reverse_and_names_itself() -> None:
    """Those after it are not started."""
    world = beginning("abcd")
    world.start_succeeds()
    world.start_succeeds()
    world.start_fails()
    world.settle()
    assert (world.started(), world.stopped()) == ("abc", "ba")
    assert world.left == m.Leave(SHUTDOWN, FailedToStartChild("c", BOOM))
    assert world.seen(m.Ready) == []


def test_a_child_that_ignores_at_init_is_kept_without_a_process_and_the_next_one_starts() -> None:
    """It counts as started."""
    world = beginning("ab")
    world.start_ignores()
    world.settle()
    rows = world.ask(m.WhichChildren())
    assert [(row.id, row.child) for row in rows] == [("b", child_of("b", 2)), ("a", None)]
    counts = world.ask(m.CountChildren())
    assert (counts.specs, counts.active, counts.workers) == (2, 1, 2)


def test_a_temporary_child_that_ignores_at_init_is_not_kept() -> None:
    """Neither process nor specification."""
    world = beginning("ab", restart="temporary")
    world.start_ignores()
    world.settle()
    assert list(world.state.slots) == ["b"]


def test_a_child_that_dies_during_init_is_restarted_when_init_is_over() -> None:
    """As in OTP, where its exit waits in the mailbox; its stamp is that of the restart."""
    world = beginning("ab")
    world.start_succeeds()
    assert world.exits("a") == []
    world.now = 7.0
    assert [type(effect) for effect in world.start_succeeds()] == [m.Ready, m.Start]
    assert world.state.stamps == [7.0]


def test_a_call_during_init_is_served_when_init_is_over() -> None:
    """After what died meanwhile."""
    world = beginning("ab")
    world.start_succeeds()
    ref = world.call(m.TerminateChild("b"))
    world.exits("a")
    assert [type(effect) for effect in world.start_succeeds()] == [m.Ready, m.Start, m.StopChild]
    world.settle()
    assert world.answers[ref] is None


def test_reads_are_answered_during_init() -> None:
    """They change nothing."""
    world = beginning("ab")
    rows = world.answers[world.call(m.WhichChildren())]
    assert [(row.id, row.child) for row in rows] == [("b", None), ("a", None)]


def test_a_temporary_child_that_ends_during_init_is_gone_when_init_is_over() -> None:
    """Its exit counts nothing."""
    world = World(SupervisorSpec(children=(spec_of("a", restart="temporary"), spec_of("b"))))
    world.send(m.Init())
    world.start_succeeds()
    world.exits("a", NORMAL)
    world.settle()
    assert (list(world.state.slots), world.state.stamps) == (["b"], [])


def test_an_init_that_fails_forgets_what_died_meanwhile() -> None:
    """Nothing is restarted on the way out."""
    world = beginning("ab")
    world.start_succeeds()
    world.exits("a")
    assert isinstance(world.start_fails()[-1], m.Leave)
    assert world.started() == "ab"


def test_a_stop_during_init_stops_the_start_under_way_and_those_before_it() -> None:
    """No further child starts, it is never ready, and who waits is told."""
    world = beginning("abc")
    world.start_succeeds()
    ref = world.call(m.TerminateChild("a"))
    world.send(m.Stop(SHUTDOWN))
    world.settle()
    assert (world.started(), world.stopped(), world.seen(m.Ready)) == ("ab", "ba", [])
    assert (world.left, world.answers[ref]) == (m.Leave(SHUTDOWN), SupervisorStopping())


def test_a_start_that_succeeds_after_the_stop_does_not_go_on_with_init() -> None:
    """The backend was quicker than our wish to stop it."""
    world = beginning("ab")
    world.send(m.Stop(SHUTDOWN))
    assert world.start_succeeds() == []
    assert world.exits("a", KILLED) == [m.Leave(SHUTDOWN)]


def test_a_supervisor_that_is_stopped_before_it_begins_starts_nothing() -> None:
    """It leaves when it would have begun; who waits is told."""
    world = World(SupervisorSpec(children=specs_of("a")))
    ref = world.call(m.TerminateChild("a"))
    assert world.send(m.Stop(SHUTDOWN)) == []
    assert world.send(m.Init()) == [m.Reply(ref, SupervisorStopping()), m.Leave(SHUTDOWN)]


def test_dynamic_supervisors_start_nothing_at_init() -> None:
    """The template is no child."""
    for spec in (
        SupervisorSpec(strategy="simple_one_for_one", children=specs_of("t")),
        SupervisorSpec(strategy="dynamic"),
    ):
        world = World(spec)
        assert world.send(m.Init()) == [m.Ready()]
        assert world.ask(m.WhichChildren()) == []
