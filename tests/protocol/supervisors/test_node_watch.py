"""The watch over nodes against a cluster and agents that the test plays, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from supervisors.errors import NotBeating
from supervisors.heartbeats import Heartbeat, NodeBeat
from supervisors.node_watch import NodeWatch
from supervisors.nodes import Address
from supervisors.orphans import Claim, Mark

WAIT_S = 20.0
QUICK = NodeBeat(node_timeout_s=0.5, interval_s=0.05)


class Port:
    """A listener that says what the test says, to everyone who connects and sends a line."""

    def __init__(self) -> None:
        self.address: Address = ("127.0.0.1", 0)
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()

    def say(self, line: str) -> None:
        """One line to everyone."""
        for writer in self.writers:
            writer.write(f"{line}\n".encode())

    def hang_up(self) -> None:
        """End the connections, not the port."""
        for writer in self.writers:
            writer.close()
        self.writers = []

    async def close(self) -> None:
        """End both."""
        self.hang_up()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            self.writers.append(writer)
        else:
            writer.close()


class PlayedAgent(Port):
    """An agent: it beats while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = True
        self.watched: list[tuple[str, int]] = []
        self.judged: list[bool] = []
        self.killed: list[str] = []
        self.claims: list[Claim] = []

    async def beat(self) -> None:
        """Unless the test says otherwise."""
        while True:
            if self.beats:
                self.say(".")
            await asyncio.sleep(QUICK.interval_s)

    async def watch(self, line: str, key: str, pid: int, options: Heartbeat | None) -> NotBeating | None:
        """Remember whom."""
        self.watched.append((key, pid))
        self.judged.append(options is not None)
        return None

    async def sweep(self, claim: Claim) -> None:
        """Remember for whom."""
        self.claims.append(claim)

    def cancel(self, line: str, key: str) -> None:
        """Forget them."""
        self.watched = [each for each in self.watched if each[0] != key]

    def kill(self, line: str, key: str) -> None:
        """Remember whom."""
        self.killed.append(key)


class Calls:
    """The agent by calls."""

    def __init__(self, agent: PlayedAgent) -> None:
        self._agent = agent
        self.watch, self.cancel, self.kill, self.sweep = agent.watch, agent.cancel, agent.kill, agent.sweep

    async def address(self) -> Address:
        """Where it is."""
        return self._agent.address


class World:
    """A cluster of us and node `n`, and what the watch told."""

    def __init__(self) -> None:
        self.here = "us"
        self.manager, self.played = Port(), PlayedAgent()
        self.is_alive, self.has_agent, self.buries = True, True, 0
        self.answers = True
        self.drained: set[str] = set()
        self.buried: list[str] = []
        self.told: list[str] = []

    async def alive(self) -> dict[str, Address]:
        """Us, and `n`."""
        return {"us": ("127.0.0.1", 0)} | ({"n": self.manager.address} if self.is_alive else {})

    async def draining(self) -> set[str]:
        """As the test says."""
        return self.drained

    async def agent(self, node_id: str, host: str) -> Calls:
        """The one agent."""
        if not self.has_agent:
            raise ConnectionError("none")
        return Calls(self.played)

    async def bury(self, node_id: str, why: str) -> None:
        """Answers at the second time, or never."""
        self.buries += 1
        if not self.answers:
            await asyncio.Event().wait()
        if self.buries == 1:
            raise ConnectionError("busy")
        self.buried.append(node_id)


@asynccontextmanager
async def watched(world: World) -> AsyncIterator[NodeWatch]:
    """A watch that has begun, and an agent that beats."""
    await world.manager.open()
    await world.played.open()
    watch = NodeWatch(
        world,
        lost=lambda id_: world.told.append(f"lost {id_}"),
        back=lambda id_: world.told.append(f"back {id_}"),
        draining=lambda id_: world.told.append(f"draining {id_}"),
        options=QUICK,
    )
    await watch.open()
    beating = asyncio.get_running_loop().create_task(world.played.beat())
    try:
        yield watch
    finally:
        beating.cancel()
        await watch.close()
        await world.played.close()
        await world.manager.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - nobody else could set an event
            await asyncio.sleep(0.01)


Scene = Callable[[World, NodeWatch], Awaitable[None]]


def play(scene: Scene, *, has_agent: bool = True) -> World:
    """Let a scene happen, with an agent once that is heard."""
    world = World()
    world.has_agent = has_agent

    async def run() -> None:
        async with watched(world) as watch:
            if world.has_agent:
                assert await watch.wait_heard(WAIT_S) == frozenset()
            await scene(world, watch)

    asyncio.run(run())
    return world


def test_a_silent_node_is_lost_and_the_cluster_is_told_until_it_listens() -> None:
    """The cluster is busy at the first time."""

    async def scene(world: World, watch: NodeWatch) -> None:
        world.played.beats = False
        await until(lambda: world.buried == ["n"])
        assert watch.lost_nodes == {"n"}

    assert play(scene).told == ["lost n"]


def test_a_node_that_is_heard_again_before_the_cluster_listens_is_not_buried() -> None:
    """It was us who were cut off."""

    async def scene(world: World, watch: NodeWatch) -> None:
        world.played.beats = False
        await until(lambda: world.buries == 1)
        world.played.beats = True
        await until(lambda: watch.verdict("n") == "zombie")
        watch.readmit("n")
        assert watch.lost_nodes == frozenset()

    world = play(scene)
    assert (world.told, world.buried) == (["lost n", "back n"], [])


def test_nobody_waits_for_a_burial_that_is_never_answered() -> None:
    """As Ray's control store does where another watch was a moment faster."""

    async def scene(world: World, watch: NodeWatch) -> None:
        world.answers = world.played.beats = False
        await until(lambda: world.told == ["lost n"])
        world.is_alive = False
        await until(lambda: watch.verdict("n") == "unknown")

    assert play(scene).told == ["lost n"]


def test_a_node_that_is_heard_while_its_burial_is_asked_for_is_lost_first_and_then_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who hears of it in the other order has it lost for good."""
    monkeypatch.setattr("supervisors.node_watch._TOLD_S", 60.0)

    async def scene(world: World, watch: NodeWatch) -> None:
        world.answers = world.played.beats = False
        await until(lambda: watch.verdict("n") == "lost")
        world.played.beats = True
        await until(lambda: watch.verdict("n") == "zombie")
        assert world.told == ["lost n", "back n"]

    assert play(scene).told == ["lost n", "back n"]


def test_the_end_of_a_manager_is_the_loss_of_its_node() -> None:
    """The agent sees it at once."""

    async def scene(world: World, watch: NodeWatch) -> None:
        world.played.beats = False
        world.played.say("gone")
        await until(lambda: world.told == ["lost n"])

    assert play(scene).told == ["lost n"]


def test_an_agent_that_ends_alone_loses_nothing() -> None:
    """The node's manager answers; the next agent is told again whom to watch."""

    async def scene(world: World, watch: NodeWatch) -> None:
        key = watch.watch("n", 7, hung=print, ended=print)
        await until(lambda: world.played.watched == [(key, 7)])
        world.played.hang_up()
        await until(lambda: world.played.watched == [(key, 7), (key, 7)])

    assert play(scene).told == []


def test_an_agent_and_a_manager_that_have_ended_are_a_lost_node() -> None:
    """No need to wait for missing beats."""

    async def scene(world: World, watch: NodeWatch) -> None:
        await world.manager.close()
        world.played.beats = False
        world.played.hang_up()
        await until(lambda: world.told == ["lost n"])

    assert play(scene).told == ["lost n"]


def test_a_node_without_an_agent_is_lost_when_its_manager_is() -> None:
    """Nothing has beaten there yet."""

    async def scene(world: World, watch: NodeWatch) -> None:
        await until(lambda: watch.verdict("n") == "unknown")
        await world.manager.close()
        await until(lambda: watch.verdict("n") == "lost")

    assert play(scene, has_agent=False).told == ["lost n"]


def test_the_clusters_word_counts_too() -> None:
    """A node that it drops is lost, needs no burial, and is forgotten."""

    async def scene(world: World, watch: NodeWatch) -> None:
        world.is_alive = False
        await until(lambda: world.told == ["lost n"])
        assert watch.verdict("n") == "unknown"

    assert play(scene).buries == 0


def test_a_draining_node_is_told_of_once() -> None:
    """However often the cluster says so."""

    async def scene(world: World, watch: NodeWatch) -> None:
        world.drained = {"n"}
        await until(lambda: world.told == ["draining n"])
        world.is_alive = False
        await until(lambda: len(world.told) > 1)

    assert play(scene).told == ["draining n", "lost n"]


def test_who_is_not_asked_for_hangs_is_watched_for_its_end_alone() -> None:
    """The agent is given no options to judge by."""
    ends: list[str] = []

    async def scene(world: World, watch: NodeWatch) -> None:
        key = watch.watch("n", 7, ended=lambda: ends.append("ended"))
        await until(lambda: world.played.judged == [False])
        world.played.say(f"hung {key} whatever it says")
        world.played.say(f"ended {key}")
        await until(lambda: ends == ["ended"])
        assert world.played.killed == []

    play(scene)


@pytest.mark.parametrize("heard_before", [True, False])
def test_each_node_is_swept_when_it_is_heard(heard_before: bool) -> None:
    """With what was adopted; by each new agent again, for the one before may not have come to it."""
    mark = Mark("c", "o", 2)
    ours, nobodys = Claim(mark, frozenset({7})), Claim(mark)

    async def scene(world: World, watch: NodeWatch) -> None:
        watch.sweep(ours)
        world.has_agent = True
        await until(lambda: world.played.claims == [ours])
        watch.sweep(nobodys)
        await until(lambda: world.played.claims == [ours, nobodys])
        world.played.hang_up()
        await until(lambda: world.played.claims == [ours, nobodys, nobodys])

    play(scene, has_agent=heard_before)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_hung_child_elsewhere_is_killed_there(cancelled: bool) -> None:
    """After its watcher has been told why; not if nobody asks any more."""
    whys: list[str] = []

    async def scene(world: World, watch: NodeWatch) -> None:
        key = watch.watch("n", 7, hung=whys.append, ended=lambda: whys.append("ended"))
        await until(lambda: world.played.watched == [(key, 7)])
        if cancelled:
            watch.cancel("n", key)
        world.played.say(f"hung {key} hung: stopped by a signal")
        world.played.say(f"ended {key}")
        world.played.say("gone")
        await until(lambda: watch.verdict("n") == "lost")
        assert world.played.killed == ([] if cancelled else [key])

    play(scene)
    assert whys == ([] if cancelled else ["hung: stopped by a signal", "ended"])
