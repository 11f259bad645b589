"""Supervisors under supervisors, names, and what can be seen of all that."""

from __future__ import annotations

import json

import pytest

from supervisors import AlreadyStarted, Supervisor, SupervisorDown
from tests.support.supervision.actors import Named
from tests.support.supervision.world import OFTEN, World


async def supervisors_nest_to_any_depth(world: World) -> None:
    """They start from the outside in, and stop from the inside out."""
    inner = world.nested("inner", world.spec("b"), world.spec("c"))
    top = await world.start(world.spec("a"), world.nested("outer", inner), world.spec("d"))
    await world.is_written(*(f"start {id_}" for id_ in "abcd"))
    world.desk.turn_page()
    await top.stop()
    await world.is_written(*(f"{word} {id_}" for id_ in "dcba" for word in ("stop", "stopped")))


async def a_nested_supervisor_takes_the_calls_of_any(world: World) -> None:
    """`Supervisor.of` its child is its handle."""
    top = await world.start(world.nested("sup"))
    sup = await Supervisor.of(await world.child(top, "sup"))
    await sup.start_child(world.spec("a"))
    assert [row.id for row in await sup.which_children()] == ["a"]


async def a_nested_supervisor_whose_child_does_not_start_does_not_start(world: World) -> None:
    """The reason goes up with it."""
    top = await world.start()
    world.desk.put("refuse b")
    with pytest.raises(Exception, match="b refuses"):
        await top.start_child(world.nested("sup", world.spec("a"), world.spec("b")))
    await world.is_written("start a", "start b", "stop a", "stopped a")
    assert await top.which_children() == []


async def a_terminated_supervisor_takes_its_children_with_it(world: World) -> None:
    """In reverse order."""
    top = await world.start(world.nested("sup", *map(world.spec, "ab")))
    world.desk.turn_page()
    await top.terminate_child("sup")
    await world.is_written("stop b", "stopped b", "stop a", "stopped a")


async def a_supervisor_that_crashes_takes_its_children_with_it_and_comes_back(world: World) -> None:
    """No child of its former life is left."""
    top = await world.start(world.nested("sup", world.spec("a")), max_restarts=OFTEN)
    old = await world.child(top, "sup")
    a = await world.child(await Supervisor.of(old), "a")
    await world.harness.crash(old)
    new = await world.heir(top, old)
    heir = await world.child(await Supervisor.of(new), "a")
    await world.until(lambda: heir.name != a.name)
    await world.is_gone(a)


async def a_stopped_supervisor_answers_no_more(world: World) -> None:
    """Stopping it again is fine."""
    sup = await world.start(world.spec("a"))
    await sup.stop()
    await sup.stop()
    with pytest.raises(SupervisorDown):
        await sup.which_children()


async def a_supervisor_is_found_by_its_name_which_nobody_else_can_have(world: World) -> None:
    """Until it has stopped."""
    sup = await world.start(name="one")
    with pytest.raises(AlreadyStarted):
        await world.start(name="one")
    found = await Supervisor.find("one", backend=world.harness.backend)
    await found.start_child(world.spec("a"))
    assert [row.id for row in await sup.which_children()] == ["a"]
    await sup.stop()
    with pytest.raises(SupervisorDown):
        await Supervisor.find("one", backend=world.harness.backend)


async def the_name_of_an_incarnation_is_never_used_again(world: World) -> None:
    """Every start has its own, below the path of ids."""
    sup = await world.start(world.spec("a"), name="top", max_restarts=OFTEN)
    names = {(old := await world.child(sup, "a")).name}
    await world.harness.crash(old)
    names.add((old := await world.heir(sup, old)).name)
    await sup.terminate_child("a")
    await sup.restart_child("a")
    names.add((await world.child(sup, "a")).name)
    assert len(names) == 3
    assert all(name.startswith("top/a#") for name in names)


async def a_class_can_be_told_the_name_of_its_incarnation(world: World) -> None:
    """With `pass_name`."""
    sup = await world.start(world.spec("a", Named, pass_name=True))
    child = await world.child(sup, "a")
    assert await world.harness.ask(child, "given_name") == child.name


async def the_tree_is_plain_data_in_start_order(world: World) -> None:
    """With restarts and last reasons, of all supervisors below."""
    top = await world.start(world.spec("a", kind="host"), world.nested("sup", world.spec("b")))
    a = await world.child(top, "a")
    await world.harness.crash(a)
    await world.heir(top, a)
    tree = json.loads(json.dumps(await top.tree()))
    first, second = tree["children"]
    assert (first["id"], first["kind"], first["restarts"], first["status"]) == ("a", "host", 1, "ready")
    assert first["last_exit"]
    assert [node["id"] for node in second["children"]] == ["b"]


async def the_event_stream_tells_what_happens_to_children_and_ends_with_the_supervisor(world: World) -> None:
    """Started, exited, restarted, and that it gives up."""
    sup = await world.start(max_restarts=1, name="top")
    events = sup.events()
    child = await sup.start_child(world.spec("a"))
    assert child is not None
    await world.harness.crash(child)
    new = await world.heir(sup, child)
    await world.harness.crash(new)
    seen = [happening async for happening in events]
    assert [happening.kind for happening in seen] == ["started", "exited", "restarted", "exited", "escalated"]
    assert [happening.name for happening in seen[:4]] == [child.name, child.name, new.name, new.name]
    assert seen[1].reason is not None
