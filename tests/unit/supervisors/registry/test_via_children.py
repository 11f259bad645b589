"""Children that have a name from their start to their end, with no code in their class."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from supervisors import (
    AlreadyRegistered,
    BadSpec,
    Child,
    ChildSpec,
    Exit,
    Process,
    Registry,
    StartError,
    Supervisor,
    SupervisorSpec,
    local_ref,
)
from supervisors.registry import Via


class Plain:
    """Knows of no registry."""

    def __init__(self, number: int = 0) -> None:
        self._number = number

    def number(self) -> int:
        return self._number


class Curious(Process):
    """Looks in its `init` who has the name."""

    def __init__(self, via: Via) -> None:
        self._via = via

    async def init(self) -> Any:
        names = await self._via.open()
        holder = names.whereis(self._via.key)
        return holder is not None and holder == await names.holder(self)


class Broken:
    """Does not come up."""

    def __init__(self) -> None:
        raise ValueError("not today")


def told(story: Callable[[Supervisor, Registry], Awaitable[None]]) -> None:
    """Run it with a supervisor and the registry `names`."""

    async def run() -> None:
        supervisor = await Supervisor.start(max_restarts=100, backend="local")
        await story(supervisor, await Registry.open("names", backend="local"))
        await supervisor.stop()

    asyncio.run(run())


async def started(supervisor: Supervisor, spec: ChildSpec) -> Child:
    """The child."""
    child = await supervisor.start_child(spec)
    assert isinstance(child, Child)
    return child


def test_a_plain_child_has_its_name_when_its_start_returns_and_again_after_each_restart() -> None:
    """Its successor has it when it is told of; nobody has it after the end."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        child = await started(supervisor, ChildSpec("a", start=Plain, args=(7,), via=names.via("k", "v")))
        assert (await names.call("k", "number"), names.lookup("k")[0].value) == (7, "v")
        first, events = names.whereis("k"), supervisor.events()
        local_ref(child).exit(Exit("killed"))
        async for event in events:
            if event.kind == "restarted":
                break
        assert (await names.call("k", "number"), names.whereis("k") == first) == (7, False)
        await supervisor.terminate_child("a")
        assert names.whereis("k") is None

    told(story)


def test_a_start_whose_key_is_taken_fails_and_says_by_whom() -> None:
    """The one who has it keeps it; when it is over the start succeeds."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        await started(supervisor, ChildSpec("a", start=Plain, via=names.via("k")))
        with pytest.raises(StartError, match="AlreadyRegistered: 'k' is registered by"):
            await supervisor.start_child(ChildSpec("b", start=Plain, via=names.via("k")))
        assert names.count() == 1
        await supervisor.terminate_child("a")
        await started(supervisor, ChildSpec("b", start=Plain, via=names.via("k")))

    told(story)


def test_a_process_has_its_name_in_its_init_and_a_nested_supervisor_has_one_too() -> None:
    """As OTP registers before `init`; what does not come up keeps nothing."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        via = names.via("k")
        child = await started(supervisor, ChildSpec("a", start=Curious, args=(via,), via=via))
        assert child.info is True
        with pytest.raises(StartError, match="not today"):
            await supervisor.start_child(ChildSpec("b", start=Broken, via=names.via("l")))
        assert names.whereis("l") is None
        nested = await started(supervisor, ChildSpec("c", start=SupervisorSpec(), via=names.via("m")))
        assert names.whereis("m") == await names.holder(nested)

    told(story)


def test_what_is_no_name_of_this_backend_is_refused() -> None:
    """Before anything is started."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        with pytest.raises(BadSpec, match="open the registry with the backend"):
            await supervisor.start_child(ChildSpec("a", start=Plain, via=Via("names", "k")))
        with pytest.raises(BadSpec, match="give a name such as"):
            ChildSpec("a", start=Plain, via="k")  # type: ignore[arg-type]

    told(story)


def test_to_hold_a_name_is_to_register_it_once() -> None:
    """Another one's is refused."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        a, b = [await started(supervisor, ChildSpec(id_, start=Plain)) for id_ in "ab"]
        many = (await Registry.open("many", keys="duplicate", backend="local")).via("k")
        for via in (names.via("k"), many):
            assert await via.hold(a) == await via.hold(a)
        with pytest.raises(AlreadyRegistered):
            await names.via("k").hold(b)
        assert (await many.hold(b)).who == await names.holder(b)

    told(story)
