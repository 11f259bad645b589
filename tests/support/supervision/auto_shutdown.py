"""auto_shutdown and significant children."""

from __future__ import annotations

import pytest

from supervisors import BadSpec, ChildSpec, Supervisor, SupervisorSpec
from tests.support.supervision.world import NORMAL, World


def significant(world: World, id_: str, restart: str = "temporary") -> ChildSpec:
    """A child whose own end may end its supervisor."""
    return world.spec(id_, restart=restart, significant=True)


async def with_any_significant_the_first_significant_child_that_ends_ends_the_supervisor(world: World) -> None:
    """The others are stopped in reverse."""
    children = (world.spec("a"), significant(world, "b"), significant(world, "c"))
    sup = await world.start(*children, auto_shutdown="any_significant")
    b = await world.child(sup, "b")
    world.desk.turn_page()
    await world.harness.leave(b, NORMAL)
    await world.is_down(sup)
    await world.is_written("stop c", "stopped c", "stop a", "stopped a")


async def with_all_significant_the_last_significant_child_that_ends_ends_the_supervisor(world: World) -> None:
    """Not the first of them."""
    children = (significant(world, "a"), significant(world, "b", "transient"))
    sup = await world.start(*children, auto_shutdown="all_significant")
    await world.harness.leave(await world.child(sup, "b"), NORMAL)
    await world.is_in_state(sup, "b", "none")
    await world.harness.leave(await world.child(sup, "a"), NORMAL)
    await world.is_down(sup)


async def a_temporary_significant_child_ends_it_with_any_reason(world: World) -> None:
    """A crash is one."""
    sup = await world.start(significant(world, "a"), auto_shutdown="any_significant")
    await world.harness.crash(await world.child(sup, "a"))
    await world.is_down(sup)


async def a_transient_significant_child_that_crashes_is_restarted(world: World) -> None:
    """Only an end that it stays with counts."""
    sup = await world.start(significant(world, "a", "transient"), auto_shutdown="any_significant")
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    new = await world.heir(sup, old)
    await world.harness.leave(new, NORMAL)
    await world.is_down(sup)


async def a_child_that_is_not_significant_ends_nothing(world: World) -> None:
    """Its end is its own."""
    sup = await world.start(world.spec("a", restart="transient"), auto_shutdown="any_significant")
    await world.harness.leave(await world.child(sup, "a"), NORMAL)
    await world.is_in_state(sup, "a", "none")
    assert await sup.start_child(world.spec("b")) is not None


async def terminate_child_of_a_significant_child_ends_nothing(world: World) -> None:
    """Somebody wanted that."""
    sup = await world.start(significant(world, "a"), world.spec("b"), auto_shutdown="any_significant")
    await sup.terminate_child("a")
    assert [row.id for row in await sup.which_children()] == ["b"]


async def a_siblings_restart_that_stops_a_significant_child_ends_nothing(world: World) -> None:
    """The temporary one is dropped, and that is all."""
    children = (world.spec("a"), significant(world, "b"))
    sup = await world.start(*children, strategy="one_for_all", auto_shutdown="any_significant")
    old = await world.child(sup, "a")
    await world.harness.crash(old)
    await world.heir(sup, old)
    assert [row.id for row in await sup.which_children()] == ["a"]


async def a_significant_child_does_not_go_with_never(world: World) -> None:
    """At the start and later."""
    with pytest.raises(BadSpec, match="significant"):
        await world.start(significant(world, "a"))
    sup = await world.start()
    with pytest.raises(BadSpec, match="significant"):
        await sup.start_child(significant(world, "a"))


async def a_permanent_child_cannot_be_significant(world: World) -> None:
    """It never ends by itself."""
    with pytest.raises(BadSpec, match="significant and permanent"):
        significant(world, "a", "permanent")


async def auto_shutdown_does_not_go_with_a_dynamic_supervisor(world: World) -> None:
    """Whichever of the two kinds."""
    with pytest.raises(BadSpec, match="auto_shutdown"):
        await world.start(strategy="dynamic", auto_shutdown="any_significant")
    with pytest.raises(BadSpec, match="auto_shutdown"):
        await world.template(auto_shutdown="all_significant")


async def an_auto_shutdown_goes_up_through_significant_supervisors_alone(world: World) -> None:
    """A nested supervisor that ends so ends with `shutdown`, by itself."""

    def nested(id_: str, is_significant: bool) -> ChildSpec:
        child = significant(world, f"in {id_}", "transient")
        inner = SupervisorSpec(children=(child,), auto_shutdown="any_significant")
        return ChildSpec(id_, start=inner, restart="transient", significant=is_significant)

    top = await world.start(nested("a", False), nested("b", True), auto_shutdown="any_significant")
    for id_ in "ab":
        sup = await Supervisor.of(await world.child(top, id_))
        await world.harness.leave(await world.child(sup, f"in {id_}"), NORMAL)
        await (world.is_in_state(top, "a", "none") if id_ == "a" else world.is_down(top))
