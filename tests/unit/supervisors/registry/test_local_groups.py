"""Groups of children in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from supervisors import Child, ChildSpec, Supervisor
from supervisors.entries import Operation
from supervisors.errors import BadSpec, NoMembers, NotJoined
from supervisors.groups import Groups
from supervisors.groups_core import GroupEvent, Joined, Left, RoundRobin
from supervisors.local_registry import LocalKeeper

Story = Callable[[Groups, list[Child]], Awaitable[None]]


class Member:
    """Says its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def whoami(self) -> str:
        return self.name

    async def fail(self) -> None:
        raise ValueError(self.name)


def told(story: Story) -> None:
    """Run it with three temporary children, `a`, `b` and `c`."""

    async def run() -> None:
        specs = [ChildSpec(id_, start=Member, args=(id_,), restart="temporary") for id_ in "abc"]
        supervisor = await Supervisor.start(strategy="dynamic", backend="local")
        children = [child for spec in specs if (child := await supervisor.start_child(spec))]
        await story(await Groups.open(backend="local"), children)
        await supervisor.stop()
        assert (await Groups.open(backend="local")).which_groups() == ()

    asyncio.run(run())


def test_processes_join_and_leave_as_often_as_they_like() -> None:
    """Leaving a group one is not in is an error."""

    async def story(groups: Groups, children: list[Child]) -> None:
        a, b, _ = await groups.join_all("g", children)
        await groups.join("g", who=children[0])
        assert [who.process for who in groups.members("g")].count(a.process) == 2
        assert groups.local_members("g") == groups.members("g")
        await asyncio.gather(*(groups.leave("g", who=children[0]) for _ in range(2)))
        assert groups.members("g")[0] == b
        with pytest.raises(NotJoined):
            await groups.leave("g", who=children[0])

    told(story)


def test_leaving_twice_at_the_same_time_leaves_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the keeper takes its time to answer."""

    async def slowly(keeper: LocalKeeper, operation: Operation, timeout_s: float) -> object:
        await asyncio.sleep(0)
        return keeper._perform(operation)

    async def story(groups: Groups, children: list[Child]) -> None:
        monkeypatch.setattr(LocalKeeper, "ask", slowly)
        await asyncio.gather(*(groups.join("g", who=children[0]) for _ in range(3)))
        await asyncio.gather(*(groups.leave("g", who=children[0]) for _ in range(2)))
        assert len(groups.members("g")) == 1

    told(story)


def test_a_group_is_there_while_it_has_members() -> None:
    """In this scope only."""

    async def story(groups: Groups, children: list[Child]) -> None:
        other = await Groups.open("other", backend="local")
        await groups.join("g", who=children[0])
        await other.join("h", who=children[0])
        assert (groups.which_groups(), other.which_local_groups()) == (("g",), ("h",))
        await groups.leave("g", who=children[0])
        assert groups.which_groups() == ()

    told(story)


def test_those_who_monitor_get_the_members_and_then_each_join_and_leave() -> None:
    """Of one group, or of the whole scope; until they stop."""

    async def story(groups: Groups, children: list[Child]) -> None:
        of_g, of_all = list[GroupEvent](), list[GroupEvent]()
        before = await groups.join("g", who=children[0])
        members, end = groups.monitor("g", of_g.append)
        everything, _ = groups.monitor_scope(of_all.append)
        assert (members, everything) == ((before,), {"g": (before,)})
        b = await groups.join("g", who=children[1])
        h = await groups.join("h", who=children[2])
        await groups.leave("g", who=children[1])
        end()
        await groups.leave("g", who=children[0])
        assert of_g == [Joined("g", b), Left("g", b)]
        assert of_all == [Joined("g", b), Joined("h", h), Left("g", b), Left("g", before)]

    told(story)


def test_a_message_goes_to_all_to_those_here_or_to_one() -> None:
    """All at the same time; an exception is an answer, and here the end of the child that raised it."""

    async def story(groups: Groups, children: list[Child]) -> None:
        await groups.join_all("g", children)
        assert await groups.dispatch("g", "whoami") == ["a", "b", "c"]
        assert await groups.dispatch("g", "whoami", to="local") == ["a", "b", "c"]
        turn = RoundRobin()
        picks = [await groups.dispatch("g", "whoami", to="one", choose=turn) for _ in range(4)]
        assert picks == [["a"], ["b"], ["c"], ["a"]]
        (answer,) = await groups.dispatch("g", "fail", to="one", choose=turn)
        assert answer.code == "crash"
        assert await groups.dispatch("g", "whoami") == ["a", "c"]

    told(story)


def test_a_message_to_nobody_is_an_error_only_where_somebody_is_asked_for() -> None:
    """All of nobody is nobody."""

    async def story(groups: Groups, _: list[Child]) -> None:
        assert await groups.dispatch("g", "whoami") == []
        with pytest.raises(NoMembers):
            await groups.dispatch("g", "whoami", to="one")
        with pytest.raises(BadSpec, match="accepted: 'all', 'one', 'local'"):
            await groups.dispatch("g", "whoami", to="some")  # type: ignore[arg-type]

    told(story)
