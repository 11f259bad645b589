"""Strategies: who is restarted when a child dies."""

from __future__ import annotations

from tests.support.supervision.world import OFTEN, World


async def one_for_one_is_the_default_and_restarts_only_the_dead_child(world: World) -> None:
    """The others do not notice."""
    sup = await world.start(world.spec("a"), world.spec("b"))
    a, b = await world.child(sup, "a"), await world.child(sup, "b")
    await world.harness.crash(a)
    await world.heir(sup, a)
    await world.is_written("start a", "start b", "start a")
    assert await world.child(sup, "b") == b


async def one_for_all_stops_the_others_in_reverse_order_then_starts_all_in_order(world: World) -> None:
    """The dead one is not asked to stop."""
    sup = await world.start(*map(world.spec, "abc"), strategy="one_for_all")
    b = await world.child(sup, "b")
    world.desk.turn_page()
    await world.harness.crash(b)
    await world.heir(sup, b)
    ends = ["stop c", "stopped c", "stop a", "stopped a"]
    await world.is_written(*ends, "start a", "start b", "start c")


async def rest_for_one_restarts_the_dead_child_and_those_started_after_it(world: World) -> None:
    """Those started before it do not notice."""
    sup = await world.start(*map(world.spec, "abc"), strategy="rest_for_one")
    a, b = await world.child(sup, "a"), await world.child(sup, "b")
    world.desk.turn_page()
    await world.harness.crash(b)
    await world.heir(sup, b)
    await world.is_written("stop c", "stopped c", "start b", "start c")
    assert await world.child(sup, "a") == a


async def in_a_group_restart_children_that_were_terminated_come_back(world: World) -> None:
    """`terminate_child` is forgotten when the group starts again."""
    sup = await world.start(world.spec("a"), world.spec("b"), strategy="one_for_all")
    await sup.terminate_child("a")
    await world.harness.crash(await world.child(sup, "b"))
    await world.is_in_state(sup, "a", "running")


async def in_a_group_restart_temporary_children_are_dropped(world: World) -> None:
    """Stopped, and their specification goes."""
    sup = await world.start(world.spec("a"), world.spec("b", restart="temporary"), strategy="one_for_all")
    a = await world.child(sup, "a")
    await world.harness.crash(a)
    await world.heir(sup, a)
    assert [row.id for row in await sup.which_children()] == ["a"]
    assert world.desk.diary().count("start b") == 1


async def a_child_added_later_is_the_last_of_its_group(world: World) -> None:
    """`start_child` appends."""
    sup = await world.start(world.spec("a"), strategy="rest_for_one")
    await sup.start_child(world.spec("b"))
    a, b = await world.child(sup, "a"), await world.child(sup, "b")
    await world.harness.crash(b)
    await world.heir(sup, b)
    assert await world.child(sup, "a") == a


async def simple_one_for_one_starts_nothing_at_init(world: World) -> None:
    """There is the template alone."""
    sup = await world.template()
    assert (await sup.which_children(), world.desk.diary()) == ([], [])


async def simple_one_for_one_appends_arguments_to_its_template(world: World) -> None:
    """A restart has them too, and says what its start returned."""
    sup = await world.start(world.spec("a"), strategy="simple_one_for_one", max_restarts=OFTEN)
    child = await sup.start_child(args=("x", 1))
    assert child is not None
    assert tuple(await world.harness.ask(child, "arguments")) == ("x", 1)
    await world.harness.crash(child)
    await world.until(lambda: world.desk.diary() == ["start a", "start a"])
    (heir,) = await world.running(sup, 1)
    assert heir.info == "a is here"
    assert tuple(await world.harness.ask(heir, "arguments")) == ("x", 1)


async def a_dynamic_supervisor_restarts_only_the_dead_child(world: World) -> None:
    """Its children are strangers to each other, also under one id."""
    sup = await world.start(strategy="dynamic")
    a, b = await sup.start_child(world.spec("a")), await sup.start_child(world.spec("a"))
    assert a is not None
    assert b is not None
    assert a.key != b.key
    await world.harness.crash(a)
    await world.until(lambda: world.desk.diary() == ["start a"] * 3)
    rows = {child.key: child for child in await world.running(sup, 2)}
    assert rows[b.key] == b
    assert rows[a.key].name != a.name


async def dynamic_children_stop_in_parallel(world: World) -> None:
    """All are asked before the first has ended."""
    sup = await world.template()
    for _ in range(2):
        await sup.start_child()
    world.desk.turn_page()
    world.desk.put("linger a")
    stopping = world.background(sup.stop())
    await world.is_written("stop a", "stop a")
    world.desk.take("linger a")
    await stopping
    await world.is_written("stop a", "stop a", "stopped a", "stopped a")
