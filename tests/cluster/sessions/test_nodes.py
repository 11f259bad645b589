"""Hosts on several Ray nodes of this machine, one of which is told to go.

The streams are Unix sockets and the store is a file here: what is shown is what placement does about nodes.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import ray

from dspex_actors.config import Settings
from dspex_actors.ids import body_hash
from dspex_actors.resources.program import ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.ray_seek import follow_table
from dspex_actors.sessions.router import Router
from dspex_actors.sessions.tree import ensure_tree, stop_tree
from dspex_actors.store.opening import open_store
from dspex_actors.store.port import Store
from tests.cluster.supervisors.nodes import LocalNodes, connected_nodes

SESSIONS = 20
EVERY_S = 0.2
WAIT_S = 60.0
PREEMPTION = 2


@pytest.fixture(scope="module")
def nodes() -> Iterator[LocalNodes]:
    """Three nodes."""
    with connected_nodes(3) as made:
        yield made


@asynccontextmanager
async def serving(home: Path) -> AsyncIterator[tuple[Router, Store]]:
    """Five hosts over the nodes, and a router that follows placement."""
    settings = Settings(home=home, hosts=4, standby=1)
    store = open_store(settings.database_url)
    await ensure_tree(settings)
    router = Router(store.store_id, store.stream_key)
    following = asyncio.ensure_future(follow_table(router.update))
    try:
        await until(lambda: len(router.table.hosts) == 5 and not router.unready())
        yield router, store
    finally:
        following.cancel()
        await router.close()
        await stop_tree()
        store.close()
        shutil.rmtree(settings.run_dir, ignore_errors=True)


async def until(condition: object) -> None:
    """Until it holds."""
    assert callable(condition)
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event here
            await asyncio.sleep(0.005)


class Pace:
    """Turns in every session at a fixed pace: when each was asked, and how long its answer took."""

    def __init__(self, router: Router, records: list[SessionRecord]) -> None:
        self.took: list[tuple[float, float]] = []
        self._router = router
        self._tasks = [asyncio.ensure_future(self._ask(record)) for record in records]
        self._stopped = False

    async def stop(self) -> None:
        """No further turns; raises what one of them raised."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _ask(self, record: SessionRecord) -> None:
        number = 0
        while not self._stopped:
            number += 1
            asked = time.monotonic()
            answer = await self._router.predict(record, turn(number))
            self.took.append((asked, time.monotonic() - asked))
            assert orjson.loads(answer.body)["turn"] == number
            await asyncio.sleep(max(0.0, asked + EVERY_S - time.monotonic()))

    def added_s(self, since: float, until_s: float) -> list[float]:
        """What turns under way in that time took longer than the median of those before."""
        usual = statistics.median(took for asked, took in self.took if asked + took < since)
        return sorted(took - usual for asked, took in self.took if asked + took > since and asked < until_s)


def turn(number: int) -> TurnRequest:
    """A keyed turn."""
    inputs = {"question": f"number {number}"}
    return TurnRequest(f"t{number}", True, body_hash("turn", inputs), orjson.dumps(inputs), 30.0)


def leave(node: str) -> None:
    """Ray's own call: the node will go in ten minutes, as a cloud says of one that is preempted."""
    client = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
    client.drain_node(node, PREEMPTION, "preemption", time.time_ns() // 1_000_000 + 600_000)


@pytest.mark.timeout(240)
def test_the_sessions_of_a_node_that_is_told_to_go_leave_within_a_second(nodes: LocalNodes, tmp_path: Path) -> None:
    """No turn fails, none waits long; the hosts are started again on the other nodes."""

    async def scenario() -> None:
        async with serving(tmp_path / "home") as (router, store):
            store.create_program("default", ProgramSpec(name="qa", signature="question -> answer"))
            records = [
                store.create_session("default", SessionSpec(program="qa", id=f"s{number}")).value
                for number in range(SESSIONS)
            ]
            pace = Pace(router, records)
            await until(lambda: len(pace.took) > 5 * SESSIONS)
            here = ray.get_runtime_context().get_node_id()
            owners = {host for host, _ in router.table.units.values()}
            going = next(node for host, node in router.table.nodes.items() if host in owners and node != here)
            since = time.monotonic()
            leave(going)
            await until(lambda: all(router.place(record).node != going for record in records))
            left_s = time.monotonic() - since
            assert left_s < 1.0
            await until(lambda: going not in router.table.nodes.values() and len(router.table.hosts) == 5)
            await pace.stop()
            added = pace.added_s(since, since + left_s + 0.1)
            assert statistics.median(added) < 0.1

    asyncio.run(scenario())
