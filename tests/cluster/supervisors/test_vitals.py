"""What a supervisor notices by itself, and whom a child obeys: hung ones, what they leave, orders of a former life."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from supervisors import Child, ChildSpec, Process, Supervisor
from supervisors.heartbeats import Heartbeat
from supervisors.orphans import Mark
from supervisors.pulse import Pulse
from supervisors.ray_memory import Fenced
from tests.cluster.supervisors.actors import (
    Worker,
    another,
    eventually,
    gone,
    handle,
    kill,
    living,
    nested,
    pid_of,
    pids,
    whole,
    worker,
)

QUICK = Heartbeat(interval_s=0.1, misses=3)
SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


class Host(Worker):
    """Starts processes of its own."""

    def start(self) -> int:
        """One more; its number."""
        return subprocess.Popen(SLEEPER).pid

    def start_daemon(self) -> int:
        """One in a session of its own, whose parent has ended."""
        shell = ["sh", "-c", "setsid sleep 600 >/dev/null & echo $!"]
        return int(subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout)


class Obedient(Process):
    """Says why it ends."""


def mark_of(child: Child) -> Mark:
    """What its supervisor has marked it with."""
    pulse = Pulse(child.pid)
    try:
        mark = Mark.decode(pulse.mark)
    finally:
        pulse.close()
    assert mark is not None
    return mark


@contextmanager
def marked(mark: Mark) -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries a mark, and is no child of a Ray process."""
    with subprocess.Popen(SLEEPER, env=os.environ | mark.environment(), start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def exited(sup: Supervisor, id_: str) -> str:
    """Why the child ended last."""
    tree = await sup.tree()
    return str(next(node["last_exit"] for node in tree["children"] if node["id"] == id_))


def test_a_stopped_child_is_killed_and_restarted_where_its_specification_asks_for_it() -> None:
    """Its end says why. The other one is left as it is: nothing was asked."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("watched", heartbeat=QUICK), worker("unwatched")])
        watched, unwatched = await living(sup, "watched"), await living(sup, "unwatched")
        os.kill(unwatched.pid, signal.SIGSTOP)
        os.kill(watched.pid, signal.SIGSTOP)
        await another(sup, watched)
        assert await exited(sup, "watched") == "killed: hung: stopped by a signal"
        assert psutil.Process(unwatched.pid).status() == psutil.STATUS_STOPPED
        assert await living(sup, "unwatched") == unwatched
        os.kill(unwatched.pid, signal.SIGCONT)
        await sup.stop()

    asyncio.run(story())


def test_a_nested_supervisor_that_hangs_is_replaced_and_its_children_are_not() -> None:
    """A supervisor is a child like any other."""

    async def story() -> None:
        child = ChildSpec("sup", start=nested("sup", worker("a")).start, heartbeat=QUICK)
        root = await Supervisor.start(name="hanging", detached=True, children=[child], max_restarts=5)
        before = await whole("hanging", 3)
        os.kill(pid_of(before, "sup"), signal.SIGSTOP)
        after = await whole("hanging", 3, pid_of(before, "sup"))
        assert pids(before) - pids(after) == {pid_of(before, "sup")}
        await root.stop()

    asyncio.run(story())


def test_a_child_that_is_adopted_is_watched_on() -> None:
    """Its supervisor was killed, and it hangs when the next life has taken it over."""

    async def story() -> None:
        root = await Supervisor.start(
            name="watching", detached=True, children=[worker("a", heartbeat=QUICK)], max_restarts=5
        )
        before = await whole("watching", 2)
        await whole("watching", 2, *await kill(before["pid"]))
        os.kill(pid_of(before, "a"), signal.SIGSTOP)
        await whole("watching", 2, pid_of(before, "a"))
        assert "hung" in await exited(root, "a")
        await root.stop()

    asyncio.run(story())


def test_what_a_child_has_started_is_gone_when_its_successor_is_there() -> None:
    """Grandchildren go with their group."""

    async def story() -> None:
        sup = await Supervisor.start(children=[worker("a", Host)])
        child = await living(sup, "a")
        grandchild = await handle(child).start.remote()
        os.kill(child.pid, signal.SIGKILL)
        await another(sup, child)
        await gone(grandchild)
        await sup.stop()

    asyncio.run(story())


def test_what_former_lives_have_left_is_swept_and_nothing_else() -> None:
    """A marked process of an earlier term is killed; an adopted child's own, another's, another cluster's are not."""

    async def story() -> None:
        root = await Supervisor.start(name="swept", detached=True, children=[worker("a", Host)], max_restarts=5)
        child = await living(root, "a")
        mine = mark_of(child)
        helper = await handle(child).start_daemon.remote()
        others = Mark("another-cluster", mine.owner, mine.epoch), Mark(mine.cluster, "another", mine.epoch)
        with marked(mine) as orphan, marked(others[0]) as foreign, marked(others[1]) as unknown:
            before = await whole("swept", 2)
            await whole("swept", 2, *await kill(before["pid"]))
            await asyncio.to_thread(orphan.wait)
            assert orphan.returncode == -signal.SIGKILL
            assert psutil.pid_exists(helper)
            assert (foreign.poll(), unknown.poll()) == (None, None)
        assert await living(root, "a") == child
        os.kill(helper, signal.SIGKILL)
        await root.stop()

    asyncio.run(story())


def test_a_child_does_not_obey_an_earlier_life_of_its_supervisor() -> None:
    """Orders carry the term of who gives them; a lower one than it has heard of is refused."""

    async def story() -> None:
        root = await Supervisor.start(name="obeyed", detached=True, children=[worker("a", Obedient)], max_restarts=5)
        child, before = await living(root, "a"), await whole("obeyed", 2)
        await whole("obeyed", 2, *await kill(before["pid"]))

        async def heeded() -> bool:
            try:
                await handle(child).supervised_begin.remote(1)
            except Fenced:
                return True
            return False

        await eventually(heeded)
        with pytest.raises(Fenced):
            await handle(child).supervised_stop.remote("shutdown", 1)
        assert await living(root, "a") == child
        await root.stop()
        await gone(child.pid)

    asyncio.run(story())
