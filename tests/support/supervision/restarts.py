"""Restart types, and restarts that fail."""

from __future__ import annotations

from supervisors import Backoff, Counts
from tests.support.supervision.actors import Bare, Plain
from tests.support.supervision.world import NORMAL, OFTEN, SHUTDOWN, SHUTDOWN_WHY, World


async def a_permanent_child_is_always_restarted(world: World) -> None:
    """Whatever it says, and when it dies without a word."""
    sup = await world.start(world.spec("a"), max_restarts=OFTEN)
    for reason in (NORMAL, SHUTDOWN, SHUTDOWN_WHY):
        old = await world.child(sup, "a")
        await world.harness.leave(old, reason)
        await world.heir(sup, old)
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    await world.heir(sup, old)


async def a_transient_child_is_restarted_when_it_crashes(world: World) -> None:
    """Its end was no wish."""
    sup = await world.start(world.spec("a", restart="transient"))
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    await world.heir(sup, old)


async def a_transient_child_that_ends_with_normal_or_shutdown_stays_without_a_process(world: World) -> None:
    """So does one whose shutdown says why; its specification is kept."""
    ids = {"a": NORMAL, "b": SHUTDOWN, "c": SHUTDOWN_WHY}
    sup = await world.start(*(world.spec(id_, restart="transient") for id_ in ids))
    for id_, reason in ids.items():
        await world.harness.leave(await world.child(sup, id_), reason)
        await world.is_in_state(sup, id_, "none")
    assert await sup.count_children() == Counts(3, 0, 0, 3)
    assert len(world.desk.diary()) == 3


async def a_temporary_child_is_never_restarted_and_its_specification_goes(world: World) -> None:
    """Its id is free again."""
    sup = await world.start(world.spec("a", restart="temporary"))
    await world.harness.crash(await world.child(sup, "a"))
    await world.is_empty(sup)
    assert world.desk.diary() == ["start a"]
    assert await sup.start_child(world.spec("a")) is not None


async def a_plain_class_lives_until_it_is_stopped_and_is_restarted_when_it_crashes(world: World) -> None:
    """Nothing of it is asked for, not even `terminate`."""
    sup = await world.start(world.spec("a", Plain, 7), world.spec("b", Bare))
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    new = await world.heir(sup, old)
    assert tuple(await world.harness.ask(new, "arguments")) == (7,)
    await sup.stop()
    await world.is_written("start a", "start b", "start a", "stop a")


async def a_restart_that_fails_is_tried_again_while_others_are_served(world: World) -> None:
    """The child is `restarting`, and not active, all that time."""
    sup = await world.start(world.spec("a"), world.spec("b"), max_restarts=OFTEN)
    world.desk.put("refuse a")
    await world.harness.crash(await world.child(sup, "a"))
    await world.until(lambda: world.desk.diary().count("start a") > 2)
    assert await world.state(sup, "a") == "restarting"
    assert await sup.count_children() == Counts(2, 1, 0, 2)
    assert await sup.start_child(world.spec("c")) is not None
    world.desk.take("refuse a")
    await world.is_in_state(sup, "a", "running")


async def terminate_child_ends_a_loop_of_restarts(world: World) -> None:
    """No attempt comes after it."""
    sup = await world.start(world.spec("a"), max_restarts=OFTEN)
    world.desk.put("refuse a")
    await world.harness.crash(await world.child(sup, "a"))
    await world.is_in_state(sup, "a", "restarting")
    await sup.terminate_child("a")
    world.desk.turn_page()
    world.desk.take("refuse a")
    await sup.restart_child("a")
    await world.is_written("start a")


async def a_supervisor_stops_in_a_loop_of_restarts(world: World) -> None:
    """Its other children are asked as always."""
    sup = await world.start(world.spec("a"), world.spec("b"), max_restarts=OFTEN)
    world.desk.put("refuse b")
    await world.harness.crash(await world.child(sup, "b"))
    await world.is_in_state(sup, "b", "restarting")
    await sup.stop()
    assert world.desk.diary()[-2:] == ["stop a", "stopped a"]


async def in_one_for_all_a_restart_that_fails_stops_everything_and_is_redone(world: World) -> None:
    """What had started again is stopped again."""
    sup = await world.start(world.spec("a"), world.spec("b"), strategy="one_for_all", max_restarts=OFTEN)
    world.desk.put("refuse b")
    old = await world.child(sup, "a")
    world.desk.turn_page()
    await world.harness.crash(old)
    again = ["start a", "start b", "stop a", "stopped a", "start a", "start b"]
    await world.until(lambda: world.desk.diary()[2:8] == again)
    world.desk.take("refuse b")
    await world.is_in_state(sup, "b", "running")
    await world.is_in_state(sup, "a", "running")


async def in_rest_for_one_a_restart_that_fails_resumes_from_the_child_that_failed(world: World) -> None:
    """Those that started again before it stay."""
    sup = await world.start(*map(world.spec, "abc"), strategy="rest_for_one", max_restarts=OFTEN)
    world.desk.put("refuse b")
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    await world.until(lambda: world.desk.diary().count("start b") > 3)
    a = await world.child(sup, "a")
    world.desk.take("refuse b")
    await world.is_in_state(sup, "c", "running")
    assert await world.child(sup, "a") == a
    assert world.desk.diary().count("start a") == 2


async def a_restart_that_is_ignored_succeeds_without_a_process(world: World) -> None:
    """It can be restarted later."""
    sup = await world.start(world.spec("a"))
    world.desk.put("ignore a")
    await world.harness.crash(await world.child(sup, "a"))
    await world.is_in_state(sup, "a", "none")
    world.desk.take("ignore a")
    assert await sup.restart_child("a") is not None


async def a_dynamic_child_whose_restart_is_ignored_is_dropped(world: World) -> None:
    """Nobody could start it again."""
    sup = await world.template()
    child = await sup.start_child()
    assert child is not None
    world.desk.put("ignore a")
    await world.harness.crash(child)
    await world.is_empty(sup)


async def with_a_back_off_the_child_is_restarting_while_it_waits(world: World) -> None:
    """Beyond OTP."""
    sup = await world.start(world.spec("a", backoff=Backoff(3600.0)), world.spec("b", backoff=Backoff(0.01)))
    for id_ in "ab":
        await world.harness.crash(await world.child(sup, id_))
    await world.until(lambda: world.desk.diary().count("start b") == 2)
    assert await world.state(sup, "a") == "restarting"
    assert world.desk.diary().count("start a") == 1
