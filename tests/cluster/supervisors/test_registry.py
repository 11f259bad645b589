"""Registries and groups of a cluster: what is found where, and what outlives whom."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import ray

from supervisors import Child, ChildSpec, Process, Supervisor
from supervisors.entries import Event, Holder
from supervisors.errors import AlreadyRegistered, BadSpec, ChildGone, NoMembers, NotRegistered, RegistryDown, StaleEpoch
from supervisors.groups import Groups
from supervisors.groups_core import GroupEvent, Joined, Left, RoundRobin
from supervisors.keeper import release
from supervisors.registry import Registry, Via, keeper_spec
from tests.cluster.supervisors.actors import Worker, another, eventually, living, sigkill, worker


class Named(Process):
    """Registers when it starts."""

    def __init__(self, via: Via) -> None:
        self._via = via

    async def init(self) -> Any:
        await self._via.register(self)

    async def pid(self) -> int:
        return os.getpid()

    async def register_many(self, count: int) -> int:
        names = await self._via.open()
        await asyncio.gather(*(names.register(("many", number), number) for number in range(count)))
        return names.count()


class Twin:
    """Registers when it is told to."""

    async def register(self, key: str) -> int:
        return (await (await Registry.open("names")).register(key)).who.epoch

    async def seen(self, key: str) -> int:
        names = await Registry.open("names")
        await names.sync()
        return len(names.lookup(key))


def twin(number: int) -> Any:
    """The handle of a life of the process `twin`, later than those of lower numbers."""
    return ray.remote(num_cpus=0)(Twin).options(name=f"twin#{number:024x}", namespace="supervisors").remote()


@dataclass(frozen=True)
class Card:
    """A value of a class of the user's."""

    name: str


def told(story: Callable[[Supervisor, Registry], Awaitable[None]]) -> None:
    """Run it with a supervised keeper and the registry `names`; afterwards nobody holds anything."""

    async def run() -> None:
        supervisor = await Supervisor.start(max_restarts=50, children=[keeper_spec()])
        names = await Registry.open("names")
        try:
            await story(supervisor, names)
        finally:
            await supervisor.stop()

    asyncio.run(run())


def named(id_: str, via: Via, **options: Any) -> ChildSpec:
    """A child that registers."""
    return worker(id_, Named, args=(via,), **options)


def holder_of(names: Registry, key: str, *, other_than: Holder | None = None) -> Callable[[], Awaitable[Holder | None]]:
    """Whether somebody, or somebody else, holds the key here by now."""

    async def found() -> Holder | None:
        holder = names.whereis(key)
        return holder if holder != other_than else None

    return found


async def started(supervisor: Supervisor, spec: ChildSpec) -> Child:
    """The child."""
    child = await supervisor.start_child(spec)
    assert child is not None
    return child


def test_a_name_is_found_and_called_anywhere() -> None:
    """The registered child's value and address have come to this process."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await started(supervisor, named("a", names.via("k", Card("a"))))
        await names.sync()
        (entry,) = names.lookup("k")
        assert (entry.value, entry.who.address.name, entry.who.node) == (Card("a"), child.name, child.node)
        assert await names.via("k").call("pid") == child.pid
        assert names.keys_of(await names.holder(child)) == ["k"]

    told(story)


def test_a_plain_actor_is_registered_by_others() -> None:
    """It knows of no registry; taken keys and what is no actor are refused."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        first, second = [await started(supervisor, worker(id_, Worker)) for id_ in "ab"]
        await names.register("k", 1, who=first)
        with pytest.raises(AlreadyRegistered) as taken:
            await names.register("k", 2, who=second)
        assert taken.value.holder == await names.holder(first)
        assert await names.update_value("k", lambda value: value + 1, who=first) == (2, 1)
        assert await names.call("k", "name") == ""
        assert await names.unregister("k", who=first) == 1
        unnamed: Any = ray.remote(num_cpus=0)(Worker).remote()
        await unnamed.name.remote()
        for who, why in ((None, "no actor"), (object(), "give a Child"), (unnamed, "with a name")):
            with pytest.raises(BadSpec, match=why):
                await names.register("k", who=who)
        with pytest.raises(BadSpec, match="cannot be pickled"):
            await names.register("k", asyncio.get_running_loop(), who=first)

    told(story)


def test_a_killed_child_loses_its_name_and_its_restarted_self_gets_it_again() -> None:
    """With a higher epoch, and without the caller's doing."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        via = names.via("k")
        old = await started(supervisor, named("a", via))
        first, heard = await eventually(holder_of(names, "k")), list[Event]()
        names.listen(heard.append)
        sigkill(old.pid)
        second = await eventually(holder_of(names, "k", other_than=first))
        new = await another(supervisor, old)
        assert (second.process, second.epoch > first.epoch) == (first.process, True)
        assert [type(event).__name__ for event in heard] == ["Unregistered", "Registered"]
        assert await via.call("pid") == new.pid

    told(story)


def test_looking_up_asks_nobody() -> None:
    """The keeper is stopped meanwhile, and ten thousand names are found."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        await started(supervisor, named("a", names.via("k")))
        assert await names.call("k", "register_many", 10_000) == 10_001
        await names.sync()
        keeper = (await living(supervisor, "registry")).pid
        os.kill(keeper, signal.SIGSTOP)
        try:
            assert all(names.lookup(("many", number))[0].value == number for number in range(10_000))
            assert len(names.select(prefix=("many",), where=lambda entry: entry.value < 10)) == 10
            with pytest.raises(RegistryDown):
                await names.sync(timeout_s=0.2)
        finally:
            os.kill(keeper, signal.SIGCONT)

    told(story)


def test_names_outlive_the_keeper() -> None:
    """Looking up goes on, changes wait, nobody registers again, and a held name is never free."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await started(supervisor, named("a", names.via("k")))
        plain = await started(supervisor, worker("plain", Worker))
        await names.register("l", who=plain)
        holder = await eventually(holder_of(names, "k"))
        keeper = await living(supervisor, "registry")
        sigkill(keeper.pid)
        assert names.whereis("k") == holder
        with pytest.raises(AlreadyRegistered):
            await names.register("k", who=plain)
        await names.register("m", who=plain)
        assert (await living(supervisor, "registry")).pid != keeper.pid
        assert [names.whereis(key) for key in "klm"] == [holder, *[await names.holder(plain)] * 2]
        assert await names.call("k", "pid") == child.pid

    told(story)


def test_who_dies_while_the_keeper_is_dead_holds_nothing_afterwards() -> None:
    """The next life looks who lives."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        gone = await started(supervisor, named("a", names.via("k"), restart="temporary"))
        stays = await started(supervisor, worker("plain", Worker))
        await names.register("l", who=stays)
        await eventually(holder_of(names, "k"))
        sigkill((await living(supervisor, "registry")).pid)
        sigkill(gone.pid)
        await eventually(lambda: _lost(names, "k"))
        assert (await names.register("k", who=stays)).who == names.whereis("l")

    told(story)


async def _lost(names: Registry, key: str) -> bool:
    return not names.lookup(key)


def test_a_stale_twin_neither_answers_for_a_name_nor_takes_it_back() -> None:
    """Two lives of one process, both alive: the later one counts."""

    async def story(_: Supervisor, names: Registry) -> None:
        old = twin(1)
        assert await old.seen.remote("k") == 0
        new = twin(2)
        await old.register.remote("k")
        assert await old.register.remote("l") < await new.register.remote("k")
        with pytest.raises(StaleEpoch):
            await old.register.remote("l")
        await names.sync()
        assert (names.whereis("l"), await old.seen.remote("l"), names.count()) == (None, 0, 1)
        ray.kill(new)
        await eventually(lambda: _lost(names, "k"))
        with pytest.raises(StaleEpoch):
            await old.register.remote("k")

    told(story)


def test_who_is_told_of_an_end_here_finds_no_name_of_it_and_may_give_it_away() -> None:
    """Also if the keeper has not heard of that end: it hears of it first."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child, other = [await started(supervisor, worker(id_, Worker)) for id_ in ("plain", "other")]
        entry = await names.register("k", who=child)
        release(entry.who.address.incarnation)
        with pytest.raises(NotRegistered):
            await names.call("k", "name")
        assert await names.register("k", who=other) in names.lookup("k")
        await supervisor.terminate_child("plain")
        with pytest.raises(ChildGone):
            await names._keeper.call(entry.who, "name", (), {})
        with pytest.raises(StaleEpoch):
            await names.register("k", who=child)

    told(story)


def test_groups_span_the_cluster() -> None:
    """Members, events and messages; a killed member leaves."""

    async def story(supervisor: Supervisor, _: Registry) -> None:
        groups, heard = await Groups.open(), list[GroupEvent]()
        children = [await started(supervisor, worker(id_, Worker, args=(id_,), restart="temporary")) for id_ in "abc"]
        groups.monitor("g", heard.append)
        a, b, c = await groups.join_all("g", children)
        assert groups.members("g") == groups.local_members("g") == (a, b, c)
        assert await groups.dispatch("g", "name") == ["a", "b", "c"]
        turn = RoundRobin()
        assert [await groups.dispatch("g", "name", to="one", choose=turn) for _ in "ab"] == [["a"], ["b"]]
        await groups.leave("g", who=children[1])
        sigkill(children[0].pid)
        await eventually(lambda: _is_left(groups, c))
        assert heard == [Joined("g", a), Joined("g", b), Joined("g", c), Left("g", b), Left("g", a)]
        with pytest.raises(NoMembers):
            await groups.dispatch("nobody", "name", to="one")

    told(story)


async def _is_left(groups: Groups, member: Holder) -> bool:
    return groups.members("g") == (member,)


def test_a_registry_without_a_keeper_says_so() -> None:
    """In the time that was given."""

    async def story() -> None:
        with pytest.raises(RegistryDown, match="Start it under a supervisor"):
            await Registry.open("names", home="nobody", timeout_s=0.3)

    asyncio.run(story())
