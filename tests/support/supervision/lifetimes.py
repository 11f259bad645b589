"""Init, and the shutdown of children."""

from __future__ import annotations

import pytest

from supervisors import ChildSpec, FailedToStartChild, StartError, SupervisorDown, SupervisorStopping
from tests.support.supervision.actors import Bare, Plain
from tests.support.supervision.world import World


async def children_start_one_after_the_other_in_order(world: World) -> None:
    """The second waits until the first is up."""
    world.desk.put("hang a")
    starting = world.background(world.start(world.spec("a"), world.spec("b")))
    await world.is_written("start a")
    world.desk.take("hang a")
    await starting
    await world.is_written("start a", "start b")


async def when_init_fails_those_started_already_are_stopped_in_reverse(world: World) -> None:
    """The error names the child and says why; later ones are not started."""
    world.desk.put("refuse c")
    with pytest.raises(FailedToStartChild, match="c refuses") as failed:
        await world.start(*map(world.spec, "abcd"))
    assert (failed.value.id, failed.value.reason.kind) == ("c", "init_failed")
    stops = ["stop b", "stopped b", "stop a", "stopped a"]
    await world.is_written("start a", "start b", "start c", *stops)


async def a_constructor_that_raises_is_a_start_that_failed(world: World) -> None:
    """Of a plain class, too."""
    world.desk.put("refuse a")
    with pytest.raises(FailedToStartChild, match="ValueError: a refuses"):
        await world.start(world.spec("a", Plain))


async def a_child_that_is_ignored_at_init_is_kept_without_a_process(world: World) -> None:
    """A temporary one is not kept."""
    world.desk.put("ignore a")
    world.desk.put("ignore b")
    sup = await world.start(world.spec("a"), world.spec("b", restart="temporary"), world.spec("c"))
    assert [row.id for row in await sup.which_children()] == ["c", "a"]
    assert await world.state(sup, "a") == "none"


async def children_stop_in_reverse_order_one_after_the_other(world: World) -> None:
    """The next one is asked when the one before has ended."""
    sup = await world.start(world.spec("a"), world.spec("b"))
    world.desk.turn_page()
    world.desk.put("linger b")
    stopping = world.background(sup.stop())
    await world.is_written("stop b")
    world.desk.take("linger b")
    await stopping
    await world.is_written("stop b", "stopped b", "stop a", "stopped a")


async def no_child_is_left_when_stop_has_returned(world: World) -> None:
    """Of whatever class."""
    sup = await world.start(world.spec("a"), world.spec("b", Plain), world.spec("c", Bare))
    children = await world.running(sup, 3)
    await sup.stop()
    assert [child.id for child in children if await world.harness.is_alive(child)] == []


async def a_brutal_kill_does_not_ask(world: World) -> None:
    """It is killed."""
    sup = await world.start(world.spec("a", shutdown="brutal_kill"))
    await sup.terminate_child("a")
    assert world.desk.diary() == ["start a"]
    assert (await sup.tree())["children"][0]["last_exit"] == "killed"


async def with_a_number_of_seconds_a_child_is_asked_and_killed_when_they_are_over(world: World) -> None:
    """It has not finished what it was asked."""
    sup = await world.start(world.spec("a", shutdown=world.harness.moment_s))
    old = await world.child(sup, "a")
    world.desk.put("linger a")
    await sup.terminate_child("a")
    assert world.desk.diary() == ["start a", "stop a"]
    last_exit = (await sup.tree())["children"][0]["last_exit"]
    assert last_exit == f"killed: terminate took longer than {world.harness.moment_s:g} s"
    assert not await world.harness.is_alive(old)


async def with_infinity_a_child_is_waited_for(world: World) -> None:
    """As long as it takes."""
    sup = await world.start(world.spec("a", shutdown="infinity"))
    world.desk.put("linger a")
    ending = world.background(sup.terminate_child("a"))
    await world.is_written("start a", "stop a")
    assert not ending.done()
    world.desk.take("linger a")
    await ending
    await world.is_written("start a", "stop a", "stopped a")


async def by_default_a_worker_has_five_seconds_and_a_supervisor_all_the_time(world: World) -> None:
    """To end when they are asked."""
    assert world.spec("a").shutdown_or_default == 5.0
    assert world.nested("sup").shutdown_or_default == "infinity"
    assert ChildSpec("own", start=Bare, type="supervisor").shutdown_or_default == "infinity"


async def a_terminate_that_raises_does_not_hang_the_supervisor(world: World) -> None:
    """It is a crash, and the stop goes on."""
    sup = await world.start(world.spec("a"), world.spec("b"))
    world.desk.put("fail b")
    await sup.terminate_child("b")
    assert "terminate raised ValueError" in (await sup.tree())["children"][1]["last_exit"]
    await sup.stop()
    assert world.desk.diary()[-1] == "stopped a"


async def a_child_that_dies_while_it_is_asked_does_not_hang_the_supervisor(world: World) -> None:
    """The wait is for its end, not for its answer."""
    sup = await world.start(world.spec("a", shutdown="infinity"))
    old = await world.child(sup, "a")
    world.desk.put("linger a")
    ending = world.background(sup.terminate_child("a"))
    await world.is_written("start a", "stop a")
    await world.harness.crash(old)
    await ending
    assert await world.state(sup, "a") == "none"


async def a_start_that_takes_too_long_is_given_up(world: World) -> None:
    """Beyond OTP: after `start_timeout_s`."""
    sup = await world.start()
    world.desk.put("hang a")
    with pytest.raises(StartError, match="not started within"):
        await sup.start_child(world.spec("a", start_timeout_s=world.harness.moment_s))
    assert await sup.which_children() == []


async def stop_ends_a_start_that_is_under_way(world: World) -> None:
    """It does not wait behind it."""
    sup = await world.start(world.spec("a"))
    world.desk.put("hang b")
    starting = world.background(sup.start_child(world.spec("b")))
    await world.is_written("start a", "start b")
    await sup.stop()
    with pytest.raises((SupervisorStopping, SupervisorDown)):
        await starting
    assert world.desk.diary()[-1] == "stopped a"
