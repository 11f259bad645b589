"""Intensity: how many restarts are too many, and what comes of it."""

from __future__ import annotations

from supervisors import Exit, Supervisor
from tests.support.supervision.world import World


def is_no_crash(reason: Exit) -> bool:
    """For `counts`: crashes and kills do not."""
    return reason.kind not in ("crash", "killed")


async def by_default_the_second_restart_in_five_seconds_is_one_too_many(world: World) -> None:
    """Giving up stops the children in reverse."""
    sup = await world.start(*map(world.spec, "abc"))
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    new = await world.heir(sup, old)
    world.desk.turn_page()
    await world.harness.crash(new)
    await world.is_down(sup)
    await world.is_written("stop c", "stopped c", "stop b", "stopped b")


async def with_intensity_zero_the_first_failure_is_fatal(world: World) -> None:
    """Nothing is started again."""
    sup = await world.start(world.spec("a"), max_restarts=0)
    await world.harness.crash(await world.child(sup, "a"))
    await world.is_down(sup)
    assert world.desk.diary() == ["start a"]


async def all_children_share_one_counter(world: World) -> None:
    """Two that crash once each are two restarts."""
    sup = await world.start(world.spec("a"), world.spec("b"))
    a, b = await world.child(sup, "a"), await world.child(sup, "b")
    await world.harness.crash(a)
    await world.heir(sup, a)
    await world.harness.crash(b)
    await world.is_down(sup)


async def the_restart_of_a_group_counts_once(world: World) -> None:
    """However many it is of."""
    sup = await world.start(*map(world.spec, "abc"), strategy="one_for_all", max_restarts=1)
    old = await world.child(sup, "b")
    await world.harness.crash(old)
    await world.heir(sup, old)
    await world.is_in_state(sup, "c", "running")


async def each_attempt_at_a_restart_counts(world: World) -> None:
    """Those that fail too."""
    sup = await world.start(world.spec("a"), max_restarts=3)
    world.desk.put("refuse a")
    await world.harness.crash(await world.child(sup, "a"))
    await world.is_down(sup)
    assert world.desk.diary() == ["start a"] * 4


async def a_dynamic_supervisor_makes_three_restarts_by_default(world: World) -> None:
    """As in Elixir."""
    sup = await world.template()
    world.desk.turn_page()
    child = await sup.start_child()
    assert child is not None
    world.desk.put("refuse a")
    await world.harness.crash(child)
    await world.is_down(sup)
    assert world.desk.diary() == ["start a"] * 4


async def an_exit_that_does_not_count_is_restarted_for_nothing(world: World) -> None:
    """Which ones do is a function in the specification."""
    sup = await world.start(world.spec("a"), max_restarts=0, counts=is_no_crash)
    for _ in range(2):
        old = await world.child(sup, "a")
        await world.harness.crash(old)
        await world.heir(sup, old)


async def one_that_gives_up_ends_with_shutdown_and_its_parent_restarts_it(world: World) -> None:
    """As it was declared, without what `start_child` brought. Intensities multiply: its end counts with its parent."""
    top = await world.start(world.nested("sup", world.spec("a"), max_restarts=0))
    old = await world.child(top, "sup")
    await (await Supervisor.of(old)).start_child(world.spec("b"))
    await world.harness.crash(await world.child(await Supervisor.of(old), "b"))
    new = await world.heir(top, old)
    assert [row.id for row in await (await Supervisor.of(new)).which_children()] == ["a"]
    (node,) = (await top.tree())["children"]
    assert node["last_exit"].startswith("shutdown")
    await world.harness.crash(await world.child(await Supervisor.of(new), "a"))
    await world.is_down(top)


async def a_transient_supervisor_that_gives_up_is_not_restarted(world: World) -> None:
    """`shutdown` is what it ends with."""
    nested = world.nested("sup", world.spec("a"), max_restarts=0, restart="transient")
    top = await world.start(nested)
    await world.harness.crash(await world.child(await Supervisor.of(await world.child(top, "sup")), "a"))
    await world.is_in_state(top, "sup", "none")
