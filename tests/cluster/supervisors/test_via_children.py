"""Children that have a name in a registry from their start to their end, as actors that know nothing of it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisors import Child, Process, Registry, StartError, Supervisor, keeper_spec
from supervisors.registry import Via
from tests.cluster.supervisors.actors import another, child, eventually, living, runs, sigkill, worker


class Plain:
    """Knows of no registry."""

    def pid(self) -> int:
        return os.getpid()


class Gated(Plain):
    """Its constructor returns when the test lets it."""

    def __init__(self, folder: str) -> None:
        me = Path(folder) / str(os.getpid())
        me.touch()
        while not (me.with_suffix(".go").exists() or (Path(folder) / "all").exists()):
            threading.Event().wait(0.01)


class Gate:
    """Lets constructors return, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[int] = set()

    async def next(self) -> int:
        """The process of the next one."""

        async def fresh() -> int | None:
            there = {int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()}
            return next(iter(there - self._seen), None)

        pid: int = await eventually(fresh)
        self._seen.add(pid)
        return pid

    def open(self, pid: int) -> None:
        """That one may."""
        (self._folder / f"{pid}.go").touch()

    def stay_open(self) -> None:
        """All may."""
        (self._folder / "all").touch()


class Curious(Process):
    """Looks in its `init` who has the name."""

    def __init__(self, via: Via) -> None:
        self._via = via

    async def init(self) -> Any:
        names = await self._via.open()
        holder = names.whereis(self._via.key)
        return holder is not None and holder == await names.holder()


def told(story: Callable[[Supervisor, Registry], Awaitable[None]], **options: Any) -> None:
    """Run it with a supervised keeper and the registry `names`; afterwards nobody holds anything."""

    async def run() -> None:
        supervisor = await Supervisor.start(max_restarts=50, children=[keeper_spec()], **options)
        try:
            await story(supervisor, await Registry.open("names"))
        finally:
            await supervisor.stop()

    asyncio.run(run())


async def started(supervisor: Supervisor, id_: str, via: Via, start: Any = Plain, **options: Any) -> Child:
    """The child."""
    found = await supervisor.start_child(worker(id_, start, via=via, **options))
    assert isinstance(found, Child)
    return found


def test_a_plain_child_has_its_name_when_its_start_returns_and_again_after_a_kill() -> None:
    """Its successor has it when it is told of."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        old = await started(supervisor, "a", names.via("k", "v"))
        await names.sync()
        first, events = names.lookup("k"), supervisor.events()
        assert (await names.call("k", "pid"), first[0].value) == (old.pid, "v")
        since_s = time.monotonic()
        sigkill(old.pid)
        async for event in events:
            if event.kind == "restarted":
                break
        await names.sync()
        print(f"killed, restarted and found by name: {time.monotonic() - since_s:.3f} s")  # noqa: T201 - a figure
        assert await names.call("k", "pid") == (await living(supervisor, "a")).pid != old.pid
        assert names.lookup("k")[0].who.process == first[0].who.process

    told(story)


def test_a_taken_key_fails_the_start_and_is_free_as_soon_as_its_holder_is_over() -> None:
    """Whether it was stopped or killed: the next start may follow at once."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        for round_ in range(3):
            old = await started(supervisor, f"a{round_}", names.via("k"), restart="temporary")
            with pytest.raises(StartError, match="AlreadyRegistered: 'k' is registered by"):
                await started(supervisor, "c", names.via("k"))
            if round_ % 2:
                await supervisor.terminate_child(old.id)
            else:
                sigkill(old.pid)
                await eventually(lambda old=old: _is_over(supervisor, old.id))  # type: ignore[misc]
        last = await started(supervisor, "b", names.via("k"))
        await names.sync()
        assert await names.call("k", "pid") == last.pid

    told(story)


async def _is_over(supervisor: Supervisor, id_: str) -> bool:
    return await child(supervisor, id_) is None


def test_a_process_has_its_name_in_its_init_and_a_spare_takes_it_over() -> None:
    """As OTP registers before `init`."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        via = names.via("k")
        old = await started(supervisor, "a", via, Curious, args=(via,), spares=1)
        assert old.info is True
        await eventually(lambda: _has_spare(supervisor))
        sigkill(old.pid)
        new = await another(supervisor, old)
        assert new.info is True

    told(story)


def test_a_spare_that_is_older_than_the_child_that_ended_is_not_taken_for_its_stale_twin(tmp_path: Path) -> None:
    """The child was killed while its first spare was being made, and has a successor that is younger than that."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        gate, options = Gate(tmp_path), {"args": (str(tmp_path),), "spares": 1}
        starting = asyncio.create_task(started(supervisor, "a", names.via("k"), Gated, **options))
        gate.open(await gate.next())
        old, spare = await starting, await gate.next()
        sigkill(old.pid)
        await gate.next()
        gate.open(spare)
        await eventually(lambda: _is_ready_or_gone(supervisor, spare))
        gate.stay_open()
        second = await another(supervisor, old)
        assert second.pid != spare
        await eventually(lambda: _has_spare(supervisor))
        events = supervisor.events()
        sigkill(second.pid)
        assert [(await anext(events)).kind for _ in range(2)] == ["exited", "restarted"]

    told(story)


async def _is_ready_or_gone(supervisor: Supervisor, spare: int) -> bool:
    return await _has_spare(supervisor) or not runs(spare)


async def _has_spare(supervisor: Supervisor) -> bool:
    tree = await supervisor.tree()
    return any(node["kind"] == "spare" and node["status"] == "ready" for node in tree["children"])


def test_a_supervisor_that_comes_back_finds_its_children_with_their_names() -> None:
    """It and the keeper were killed together; the name was never free."""

    async def story(supervisor: Supervisor, names: Registry) -> None:
        old = await started(supervisor, "a", names.via("k"))
        await names.sync()
        holder, pid = names.whereis("k"), (await supervisor.tree())["pid"]
        sigkill((await living(supervisor, "registry")).pid)
        sigkill(pid)
        await names.sync()
        again = await Supervisor.find("named")
        assert (await living(again, "a")).pid == old.pid
        assert names.whereis("k") == holder
        sigkill(old.pid)
        new = await another(again, old)
        await names.sync()
        assert await names.call("k", "pid") == new.pid

    told(story, name="named", detached=True)
