"""A router and hosts over real Unix sockets, or TLS as between nodes, with one store; placement is the test."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from dspex_actors.errors import DspexError
from dspex_actors.resources.session import OnBusy, SessionRecord
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.placement import Table
from dspex_actors.sessions.router import Router
from dspex_actors.sessions.server import HostServer
from dspex_actors.sessions.tls import TlsAddress
from dspex_actors.sessions.waiting import NO_EVENT
from dspex_actors.sessions.watching import Watching, WatchWait, ending_of
from dspex_actors.store.opening import open_store
from dspex_actors.store.port import Lease, Store
from tests.unit.sessions.hosting import WAIT_S, Scripted, ScriptedPrograms, make_session, request, until

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs


class Node:
    """A host that listens."""

    def __init__(self, name: str, store: Store, folder: Path, program: Scripted) -> None:
        self.program = program
        self.address = folder / f"{name}.sock"
        self.host = Host(name, store, cast("Programs", ScriptedPrograms(program)))
        self.server = HostServer(self.host, store.store_id, store.stream_key)
        self.remote: TlsAddress | None = None

    def waiters(self) -> int:
        """Turns that somebody at the other end waits for, as the server knows them."""
        return sum(len(waiters) for waiters in self.server._links.values())


class Wires:
    """One store, one router, and the hosts that a test starts: with `tls` each on a node of its own."""

    def __init__(self, folder: Path, tls: bool = False) -> None:
        self.folder, self.tls = folder, tls
        self.store = open_store(f"sqlite:///{folder / 'store.sqlite3'}")
        self.router = Router(self.store.store_id, self.store.stream_key)
        self.replicas: list[Router] = []
        self.nodes: dict[str, Node] = {}
        self.alive: list[str] = []

    async def start(self, name: str, *, is_async: bool = True) -> Node:
        """A host that listens and owns nothing yet."""
        node = self.nodes[name] = Node(name, self.store, self.folder, Scripted(is_async))
        await node.server.listen(node.address)
        node.remote = await node.server.listen_tls("127.0.0.1", range(1)) if self.tls else None
        self.alive.append(name)
        return node

    def session(self, session_id: str, host: str, on_busy: OnBusy = "enqueue") -> SessionRecord:
        """A new session, its unit leased to that host, which is not told yet."""
        record = make_session(self.store, session_id, on_busy)
        self.store.seed_leases({record.unit: host})
        return record

    def leases(self, host: str) -> list[Lease]:
        """What the store says the host owns."""
        return [lease for lease in self.store.leases() if lease.host == host]

    def settle(self) -> None:
        """Tell every living host what it owns, and the router the table."""
        for name in self.alive:
            self.nodes[name].host.own(self.leases(name))
        self.publish()

    def replica(self) -> Router:
        """The router of a further API replica."""
        self.replicas.append(Router(self.store.store_id, self.store.stream_key))
        return self.replicas[-1]

    def publish(self) -> None:
        """Tell every router what the store says."""
        for router in (self.router, *self.replicas):
            self.show(router)

    def show(self, router: Router) -> None:
        """Tell one router what the store says."""
        hosts = {name: str(self.nodes[name].address) for name in self.alive}
        units = {lease.unit: (lease.host, lease.epoch) for lease in self.store.leases() if lease.host in hosts}
        remotes = {name: remote for name in self.alive if (remote := self.nodes[name].remote)}
        nodes = {name: f"node-of-{name}" for name in remotes}
        router.update(Table(router.table.version + 1, hosts, units, nodes=nodes, remotes=remotes))

    async def ready(self, name: str) -> None:
        """Every router is connected to the host."""
        await until(lambda: all(router._is_up(name) for router in (self.router, *self.replicas)))

    async def fail_over(self, lost: str, heir: str) -> None:
        """The host is lost, its process lives on unseen; the other takes its units."""
        self.alive.remove(lost)
        await self.nodes[lost].server.close()
        self.store.take_over(self.leases(lost), heir)
        self.settle()

    async def hand_over(self, source: str, target: str) -> list[Lease]:
        """What placement does with a planned move: the owner gives its shards away, then everybody hears of it."""
        shards = [lease for lease in self.leases(source) if lease.unit.startswith("shard:")]
        now = await self.nodes[source].host.handover.units(shards, target)
        self.settle()
        return now

    def is_home(self, record: SessionRecord) -> bool:
        """Whether the session has no lease of its own; tells everybody what the store says."""
        self.settle()
        return self.router.place(record).unit == record.unit

    async def move(self, record: SessionRecord, target: str | None) -> Lease | None:
        """What placement does with a request to move one session, or (None) to send it back to its shard's host."""
        place = self.router.place(record)
        assert place.host is not None
        seen = Lease(place.unit, place.epoch, place.host)
        gone = await self.nodes[place.host].host.handover.session(record.uid, seen, target, 5.0)
        self.settle()
        return gone.lease

    async def cut(self, name: str) -> None:
        """End the connection to a host, and wait until there is another with as many turns."""
        link, node = self.router._links[name], self.nodes[name]
        turns = node.waiters()
        link.close()
        await until(lambda: self.router._links.get(name, link) is not link and node.waiters() == turns)

    async def predict(self, record: SessionRecord, turn_id: str, **turn: Any) -> dict[str, Any]:
        """A turn's answer."""
        answer = await self.router.predict(record, request(turn_id, **turn))
        return {**orjson.loads(answer.body), "replayed": answer.replayed}

    def begin(self, record: SessionRecord, turn_id: str, **turn: Any) -> asyncio.Task[dict[str, Any]]:
        """A turn that runs while the test goes on; it has been sent when this returns to the loop."""
        return asyncio.ensure_future(self.predict(record, turn_id, **turn))

    async def code(self, record: SessionRecord, turn_id: str, **turn: Any) -> str:
        """A turn's error code."""
        try:
            answer = await self.predict(record, turn_id, **turn)
        except DspexError as error:
            return error.code
        raise AssertionError(answer)

    async def events(self, record: SessionRecord, turn_id: str, **turn: Any) -> list[TurnEvent]:
        """All events of a streamed turn."""
        return [event async for event in self.router.stream(record, request(turn_id, stream=True, **turn))]

    def watch(
        self, record: SessionRecord, turn_id: str, last_event: tuple[int, int] = NO_EVENT, timeout_s: float = WAIT_S
    ) -> AsyncGenerator[TurnEvent]:
        """A turn's events, for somebody who does not send it."""
        wait = WatchWait(turn_id, last_event)
        look, ending = partial(self.router.watch, record, wait), partial(ending_of, self.store, record, turn_id)
        return Watching(wait, look, partial(asyncio.to_thread, ending)).events(timeout_s)

    async def watched(self, record: SessionRecord, turn_id: str, last_event: tuple[int, int] = NO_EVENT) -> list[str]:
        """Ids and names of all that a watcher gets."""
        return [f"{event.id} {event.name}" async for event in self.watch(record, turn_id, last_event)]

    def watchers(self, name: str) -> int:
        """How many watch turns at a host."""
        turns = [turn for active in self.nodes[name].host._active.values() if active.session for turn in
                 (active.session.current, *active.session.mailbox) if turn]  # fmt: skip
        return sum(len(turn.watchers) for turn in turns)

    def journal(self, record: SessionRecord) -> list[tuple[int | None, str | None]]:
        """Numbers and ids of the session's turns."""
        return [(entry.turn, entry.turn_id) for entry in self.store.entries(record.uid)]

    async def nothing_left(self) -> None:
        """Every table is empty again, soon."""
        for each in (self.router, *self.replicas):
            await until(lambda r=each: not (r._watches or r._turns or r._lines or r._questions))  # type: ignore[misc]
        for name in self.alive:
            await until(lambda node=self.nodes[name]: not node.waiters() and not node.host._owner)  # type: ignore[misc]

    async def close(self) -> None:
        """Stop everything, every gate open."""
        for router in (self.router, *self.replicas):
            await router.close()
        for node in self.nodes.values():
            for gate in node.program.gates.values():
                gate.open()
            await node.server.close()
            await node.host.close()
        self.store.close()


@asynccontextmanager
async def wires(*names: str, tls: bool = False) -> AsyncIterator[Wires]:
    """A router connected to hosts of these names."""
    with tempfile.TemporaryDirectory() as folder:
        wired = Wires(Path(folder), tls)
        try:
            for name in names:
                await wired.start(name)
            wired.publish()
            for name in names:
                await wired.ready(name)
            yield wired
        finally:
            await wired.close()


@asynccontextmanager
async def serving(*, tls: bool = False) -> AsyncIterator[tuple[Wires, Node, SessionRecord]]:
    """One host `a` that owns one session."""
    async with wires("a", tls=tls) as wired:
        record = wired.session("alice", "a")
        wired.settle()
        yield wired, wired.nodes["a"], record


def text(events: list[TurnEvent]) -> str:
    """What the token events say together."""
    return "".join(orjson.loads(event.data)["delta"] for event in events if event.name == "token")
