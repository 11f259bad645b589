"""The calls and what they answer."""

from __future__ import annotations

import pytest

from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    CallTimeout,
    ChildNotFound,
    ChildSpec,
    Counts,
    MaxChildren,
    NotForDynamic,
    Restarting,
    Running,
    StartError,
    SupervisorSpec,
)
from tests.support.supervision.world import OFTEN, World


async def start_child_answers_the_child_with_what_its_start_returned(world: World) -> None:
    """Its `info`; `which_child` answers the same child."""
    sup = await world.start()
    child = await sup.start_child(world.spec("a"))
    assert child is not None
    assert (child.id, child.info) == ("a", "a is here")
    assert (await sup.which_child("a")).child == child


async def start_child_answers_nothing_when_the_start_is_ignored(world: World) -> None:
    """The specification is kept, a dynamic one is not."""
    world.desk.put("ignore a")
    sup, dynamic = await world.start(), await world.template()
    assert await sup.start_child(world.spec("a")) is None
    assert await dynamic.start_child() is None
    assert (await sup.which_child("a")).child is None
    assert await dynamic.which_children() == []


async def start_child_of_a_running_id_answers_the_child_that_runs(world: World) -> None:
    """As an error."""
    sup = await world.start(world.spec("a"))
    with pytest.raises(AlreadyStarted) as taken:
        await sup.start_child(world.spec("a"))
    assert taken.value.child == await world.child(sup, "a")


async def start_child_of_an_id_that_does_not_run_says_already_present(world: World) -> None:
    """Terminated, or restarting."""
    sup = await world.start(world.spec("a"), world.spec("b"), max_restarts=OFTEN)
    await sup.terminate_child("a")
    world.desk.put("refuse b")
    await world.harness.crash(await world.child(sup, "b"))
    await world.is_in_state(sup, "b", "restarting")
    for id_ in "ab":
        with pytest.raises(AlreadyPresent):
            await sup.start_child(world.spec(id_))


async def start_child_that_fails_says_why_and_keeps_nothing(world: World) -> None:
    """The supervisor goes on; it was no restart."""
    sup = await world.start(max_restarts=0)
    world.desk.put("refuse a")
    with pytest.raises(StartError, match="ValueError: a refuses"):
        await sup.start_child(world.spec("a"))
    assert await sup.which_children() == []


async def start_child_beyond_max_children_is_refused(world: World) -> None:
    """Until one has ended."""
    sup = await world.template(max_children=1)
    first = await sup.start_child()
    assert first is not None
    with pytest.raises(MaxChildren):
        await sup.start_child()
    await sup.terminate_child(first)
    assert await sup.start_child() is not None


async def start_child_takes_what_its_strategy_needs(world: World) -> None:
    """A template, or a specification."""
    sup, dynamic = await world.start(), await world.template()
    with pytest.raises(BadSpec, match="no template"):
        await sup.start_child(args=(1,))
    with pytest.raises(BadSpec, match="template"):
        await dynamic.start_child(world.spec("b"))


async def restart_child_starts_a_terminated_child_under_a_new_name(world: World) -> None:
    """And answers it, with what its start returned."""
    sup = await world.start(world.spec("a"))
    old = await world.child(sup, "a")
    await sup.terminate_child("a")
    new = await sup.restart_child("a")
    assert new is not None
    assert (new.id, new.name == old.name, new.info) == ("a", False, "a is here")


async def restart_child_that_fails_keeps_the_specification(world: World) -> None:
    """It can be tried again."""
    sup = await world.start(world.spec("a"))
    await sup.terminate_child("a")
    world.desk.put("refuse a")
    with pytest.raises(StartError, match="a refuses"):
        await sup.restart_child("a")
    assert await world.state(sup, "a") == "none"
    world.desk.take("refuse a")
    assert await sup.restart_child("a") is not None


async def restart_child_and_delete_child_refuse_what_runs_restarts_or_is_not_there(world: World) -> None:
    """`running`, `restarting`, `not_found`."""
    sup = await world.start(world.spec("a"), world.spec("b"), max_restarts=OFTEN)
    world.desk.put("refuse b")
    await world.harness.crash(await world.child(sup, "b"))
    await world.is_in_state(sup, "b", "restarting")
    for call in (sup.restart_child, sup.delete_child):
        for id_, error in (("a", Running), ("b", Restarting), ("c", ChildNotFound)):
            with pytest.raises(error):
                await call(id_)


async def a_dynamic_supervisor_has_no_restart_child_and_no_delete_child(world: World) -> None:
    """`simple_one_for_one` is the error's code."""
    sup = await world.template()
    for call in (sup.restart_child, sup.delete_child):
        with pytest.raises(NotForDynamic) as refused:
            await call("a")
        assert refused.value.code == "simple_one_for_one"


async def delete_child_removes_a_terminated_childs_specification(world: World) -> None:
    """Its id is free."""
    sup = await world.start(world.spec("a"))
    await sup.terminate_child("a")
    await sup.delete_child("a")
    assert await sup.which_children() == []
    assert await sup.start_child(world.spec("a")) is not None


async def terminate_child_stops_it_for_good_and_may_be_repeated(world: World) -> None:
    """The specification stays, of a temporary child it goes."""
    sup = await world.start(world.spec("a"), world.spec("b", restart="temporary"))
    a = await world.child(sup, "a")
    for _ in range(2):
        await sup.terminate_child("a")
    await sup.terminate_child("b")
    assert not await world.harness.is_alive(a)
    assert [row.id for row in await sup.which_children()] == ["a"]
    assert world.desk.diary()[-4:] == ["stop a", "stopped a", "stop b", "stopped b"]


async def terminate_child_of_an_unknown_id_says_not_found(world: World) -> None:
    """Also of one whose specification went with it."""
    sup = await world.start()
    with pytest.raises(ChildNotFound):
        await sup.terminate_child("a")


async def a_dynamic_supervisor_terminates_the_child_it_is_given_not_an_id(world: World) -> None:
    """One that is gone is not found."""
    sup = await world.template()
    first, second = await sup.start_child(), await sup.start_child()
    assert first is not None
    with pytest.raises(NotForDynamic):
        await sup.terminate_child("a")
    await sup.terminate_child(first)
    assert await world.running(sup, 1) == [second]
    with pytest.raises(ChildNotFound):
        await sup.terminate_child(first)


async def which_children_lists_the_newest_first_with_type_and_modules(world: World) -> None:
    """A child, none, or `restarting`."""
    sup = await world.start(*map(world.spec, "ab"), world.nested("sup"), max_restarts=OFTEN)
    await sup.terminate_child("a")
    world.desk.put("refuse b")
    await world.harness.crash(await world.child(sup, "b"))
    await world.is_in_state(sup, "b", "restarting")
    rows = await sup.which_children()
    assert [(row.id, row.type) for row in rows] == [("sup", "supervisor"), ("b", "worker"), ("a", "worker")]
    assert [row.child for row in rows[1:]] == ["restarting", None]
    assert rows[1].modules == ("tests.support.supervision.actors",)


async def children_of_a_dynamic_supervisor_have_no_id(world: World) -> None:
    """`which_children` says none, and `which_child` takes the child itself."""
    sup = await world.template()
    child = await sup.start_child()
    assert child is not None
    (row,) = await sup.which_children()
    assert row.id is None
    assert await sup.which_child(child) == row
    with pytest.raises(NotForDynamic):
        await sup.which_child("a")


async def count_children_counts_specifications_running_children_supervisors_and_workers(world: World) -> None:
    """Those without a process are not active."""
    sup = await world.start(world.spec("a"), world.spec("b"), world.nested("sup"))
    await sup.terminate_child("a")
    assert await sup.count_children() == Counts(specs=3, active=2, supervisors=1, workers=2)


async def which_child_answers_one_of_them_or_not_found(world: World) -> None:
    """By its id."""
    sup = await world.start(world.spec("a"), world.spec("b"))
    assert (await sup.which_child("a")) == (await sup.which_children())[1]
    with pytest.raises(ChildNotFound):
        await sup.which_child("c")


async def update_specs_starts_nothing_and_stops_nothing(world: World) -> None:
    """New children can be restarted, removed ones go on, those that stay have their new specification."""
    sup = await world.start(world.spec("a"), world.spec("b"))
    b = await world.child(sup, "b")
    await sup.update_specs(SupervisorSpec(children=(world.spec("a", restart="temporary"), world.spec("c"))))
    assert world.desk.diary() == ["start a", "start b"]
    assert await world.child(sup, "b") == b
    assert await sup.restart_child("c") is not None
    await sup.terminate_child("a")
    assert sorted(str(row.id) for row in await sup.which_children()) == ["b", "c"]


async def calls_are_served_one_after_the_other_and_reads_at_once(world: World) -> None:
    """A slow start delays the next call, whose caller may give up; the call is served all the same."""
    sup = await world.start()
    world.desk.put("hang a")
    slow = world.background(sup.start_child(world.spec("a")))
    await world.is_written("start a")
    with pytest.raises(CallTimeout):
        await sup.start_child(world.spec("b"), timeout_s=0.05)
    assert [row.id for row in await sup.which_children(timeout_s=10)] == ["a"]
    world.desk.take("hang a")
    await slow
    await world.is_written("start a", "start b")


async def two_children_of_one_supervisor_cannot_share_an_id(world: World) -> None:
    """A bad specification starts nothing."""
    with pytest.raises(BadSpec, match="Two children"):
        await world.start(world.spec("a"), world.spec("a"))
    assert world.desk.diary() == []


async def what_start_takes_is_a_class_or_a_supervisor(world: World) -> None:
    """Anything else is refused by name."""
    with pytest.raises(BadSpec, match="start="):
        ChildSpec("a", start="Worker")
