"""Children spread over dynamic supervisors by key."""

from __future__ import annotations

import asyncio
import doctest
import os

import pytest

from supervisors import (
    BadSpec,
    Child,
    ChildNotFound,
    ChildSpec,
    Counts,
    Supervisor,
    SupervisorDown,
    SupervisorSpec,
    partitions,
)
from supervisors.exits import Exit
from supervisors.local_ref import local_ref
from supervisors.partitions import PartitionedSupervisor, partition_of
from tests.unit.supervisors.local.children import Counter


async def spread(**options: object) -> PartitionedSupervisor:
    """Four partitions."""
    return await PartitionedSupervisor.start(partitions=4, backend="local", **options)  # type: ignore[arg-type]


def test_the_partition_of_a_key_never_changes() -> None:
    """The example holds in every process."""
    assert doctest.testmod(partitions).failed == 0


def test_keys_spread_evenly() -> None:
    """A thousand keys over eight partitions."""
    loads = [0] * 8
    for number in range(1000):
        loads[partition_of(f"session-{number}", 8)] += 1
    assert min(loads) > 90


@pytest.mark.parametrize("key", [True, 1.5, None])
def test_a_key_is_a_text_bytes_or_a_whole_number(key: object) -> None:
    """Anything else is refused by name."""
    with pytest.raises(BadSpec, match=f"key={key!r}"):
        partition_of(key, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"partitions": 0}, {"partitions": 1.5}, {"strategy": "one_for_all"}])
def test_partitions_need_a_number_and_a_dynamic_strategy(options: dict[str, object]) -> None:
    """Before anything is started."""
    with pytest.raises(BadSpec, match=f"{next(iter(options))}="):
        asyncio.run(PartitionedSupervisor.start(backend="local", **options))  # type: ignore[arg-type]


def test_there_are_as_many_partitions_as_processors_unless_a_number_is_given() -> None:
    """As Elixir has one for each scheduler."""

    async def story() -> None:
        sup = await PartitionedSupervisor.start(backend="local")
        assert sup.partitions == os.cpu_count()
        await sup.stop()

    asyncio.run(story())


def test_a_child_is_started_in_the_partition_of_its_key_and_terminated_there() -> None:
    """The other partitions know nothing of it."""

    async def story() -> None:
        sup = await spread()
        child = await sup.start_child(ChildSpec("a", start=Counter), key="alice")
        assert isinstance(child, Child)
        (row,) = await (await sup.supervisor("alice")).which_children()
        assert row.child == child
        await sup.terminate_child(child, key="alice")
        with pytest.raises(ChildNotFound):
            await sup.terminate_child(child, key="alice")
        await sup.stop()

    asyncio.run(story())


def test_children_of_a_template_are_listed_and_counted_over_all_partitions() -> None:
    """With the template once in each."""

    async def story() -> None:
        sup = await spread(strategy="simple_one_for_one", children=[ChildSpec("a", start=Counter)])
        for number in range(20):
            await sup.start_child(key=number, args=(number,))
        values = [
            local_ref(row.child).object.value for row in await sup.which_children() if isinstance(row.child, Child)
        ]
        assert sorted(values) == list(range(20))
        assert await sup.count_children() == Counts(4, 20, 0, 20)
        assert len([node for node in (await sup.tree())["children"] if node["children"]]) > 1
        await sup.stop()

    asyncio.run(story())


def test_a_partition_that_ends_leaves_the_others_and_comes_back_empty() -> None:
    """The call that finds it gone says so, the next one is served."""

    async def story() -> None:
        sup = await spread()
        keys = ("a", next(key for key in "bcdefgh" if partition_of(key, 4) != partition_of("a", 4)))
        for key in keys:
            await sup.start_child(ChildSpec(key, start=Counter), key=key)
        local_ref((await sup.supervisor("a")).name).exit(Exit("killed"))
        with pytest.raises(SupervisorDown):
            await sup.start_child(ChildSpec("a", start=Counter), key="a")
        assert [row.child.id for row in await sup.which_children() if isinstance(row.child, Child)] == [keys[1]]
        assert await sup.start_child(ChildSpec("a", start=Counter), key="a") is not None
        await sup.stop()

    asyncio.run(story())


def test_partitions_are_found_by_name_with_their_number() -> None:
    """Another handle sends keys where the first one does."""

    async def story() -> None:
        sup = await spread(name="sessions")
        found = await PartitionedSupervisor.find("sessions", backend="local")
        assert (found.name, found.partitions) == ("sessions", 4)
        assert (await found.supervisor("x")).name == (await sup.supervisor("x")).name
        await found.stop()
        with pytest.raises(SupervisorDown):
            await PartitionedSupervisor.find("sessions", backend="local")

    asyncio.run(story())


def test_new_specifications_reach_every_partition_and_its_successors() -> None:
    """A template, here."""

    async def story() -> None:
        sup = await spread(strategy="simple_one_for_one", children=[ChildSpec("a", start=Counter, args=(1,))])
        template = ChildSpec("a", start=Counter, args=(2,))
        await sup.update_specs(SupervisorSpec(strategy="simple_one_for_one", children=(template,)))
        partition: Supervisor = await sup.supervisor("k")
        local_ref(partition.name).exit(Exit("killed"))
        with pytest.raises(SupervisorDown):
            await sup.which_children()
        for key in ("k", "other", "third"):
            child = await sup.start_child(key=key)
            assert child is not None
            assert local_ref(child).object.value == 2
        await sup.stop()

    asyncio.run(story())
