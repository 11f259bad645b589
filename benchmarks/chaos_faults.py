"""Faults, and the injector that picks them by its seed.

A fault signals only processes that the server under test started, and never a host of kind `probation`. What it stops
it continues in the end.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import psutil

from benchmarks import report
from benchmarks.chaos_store import PostgresStore, StoreUnderTest
from benchmarks.ours import Ours
from benchmarks.wire import fetch, http_request

READY_WITHIN_S = 40.0
"""How long to wait for all hosts and the end of the last backlog; then the next fault comes all the same."""
_POLL_S = 0.25
_PARTS = ("host", "standby", "placement", "placement-standby")
_FROZEN_S = (1.5, 4.0)
_PAUSED_S = (0.05, 0.6)
_NODE_FROZEN_S = (3.0, 6.0)
"""Long enough for the node to be given up: what is frozen for less has only paused."""
_TRIES = 400


class NotNowError(RuntimeError):
    """There is nothing to hit at the moment."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was injected: when it began and ended (`time.perf_counter()`), and what it hit.

    `pids` are the processes whose sessions it concerns, `session` the one session; without either: everybody's.
    """

    kind: str
    at: float
    ended: float
    target: str
    pids: tuple[int, ...] = ()
    session: str | None = None


class Injector:
    """Injects faults into one server, one after the other."""

    def __init__(
        self, ours: Ours, store: StoreUnderTest, seed: int, rest_s: float, is_calm: Callable[[], bool]
    ) -> None:
        self.ours, self.store = ours, store
        self._is_calm = is_calm
        self.dice = random.Random(seed)
        self.injected: list[Fault] = []
        self._rest_s = rest_s
        self._most = (0, 0)
        self._stopped: set[psutil.Process] = set()

    async def run(self, kinds: Sequence[str], until: float) -> None:
        """Round after round, each kind once a round, in an order of the dice."""
        try:
            while time.perf_counter() < until:
                for kind in self.dice.sample(list(kinds), len(kinds)):
                    await asyncio.sleep(self.dice.uniform(0.5, 1.5) * self._rest_s)
                    await self._wait_ready()
                    if time.perf_counter() >= until:
                        return
                    await self._inject(kind)
        finally:
            for process in set(self._stopped):
                self.carry_on(process)

    async def _inject(self, kind: str) -> None:
        try:
            fault = await FAULTS[kind](self, kind)
        except (NotNowError, psutil.Error, ProcessLookupError) as error:
            report.say(f"{kind}: not now ({error})")
            return
        self.injected.append(fault)
        report.say(f"{kind}: {fault.target}")

    async def _wait_ready(self) -> None:
        """Until as many nodes, hosts and placements are there as ever were, and the last outage's backlog is gone."""
        deadline = time.perf_counter() + READY_WITHIN_S
        while time.perf_counter() < deadline:
            ready = sum(node["kind"] in _PARTS and node["status"] == "ready" for node in await self.ours.nodes())
            raylets = len(await asyncio.to_thread(self._named, "raylet"))
            self._most = max(self._most[0], ready), max(self._most[1], raylets)
            if (ready, raylets) == self._most and ready and self._is_calm():
                return
            await asyncio.sleep(_POLL_S)
        report.say(f"not all there and calm within {READY_WITHIN_S:.0f} s: going on without")

    @property
    def home(self) -> Path:
        """The server's data folder."""
        return self.ours.server.folder / "home"

    @property
    def postgres(self) -> PostgresStore:
        """The store, which must be PostgreSQL."""
        assert isinstance(self.store, PostgresStore), "chosen() refuses these faults on SQLite"
        return self.store

    # What faults are made of -----------------------------------------------------------------------------------
    async def nodes(self, kind: str) -> list[dict[str, Any]]:
        """The living parts of a kind, as the tree shows them; a supervisor by its id."""
        found = [node for node in await self.ours.nodes() if kind in (node["kind"], node["id"]) and node["pid"]]
        if not found:
            raise NotNowError(f"the tree shows no {kind}")
        return found

    async def one(self, kind: str) -> psutil.Process:
        """The process of one of them."""
        return self._owned(self.dice.choice(await self.nodes(kind))["pid"])

    async def worker(self, part: str) -> psutil.Process:
        """One of the server's processes with that in its command line."""
        found = await asyncio.to_thread(self._workers, part)
        if not found:
            raise NotNowError(f"no process with {part} in its command line")
        return self.dice.choice(found)

    def _workers(self, part: str) -> list[psutil.Process]:
        named = [each for each in psutil.process_iter() if part in _command(each)]
        return sorted((each for each in named if self.ours.server.owns(each)), key=lambda each: each.pid)

    async def named(self, name: str, without: str = "\0") -> psutil.Process:
        """One of the server's processes of that name, whose command line does not have the other thing."""
        found = [each for each in await asyncio.to_thread(self._named, name) if without not in _command(each)]
        if not found:
            raise NotNowError(f"no process {name}")
        return self.dice.choice(found)

    def _named(self, name: str) -> list[psutil.Process]:
        named = [each for each in psutil.process_iter(["name"]) if each.info["name"] == name]
        return sorted((each for each in named if self.ours.server.owns(each)), key=lambda each: each.pid)

    def _owned(self, pid: int) -> psutil.Process:
        process = psutil.Process(pid)
        if not self.ours.server.owns(process):
            raise NotNowError(f"process {pid} was not started by this run: it is left alone")
        return process

    def stop(self, process: psutil.Process) -> None:
        """SIGSTOP."""
        self._stopped.add(process)
        process.suspend()

    def carry_on(self, process: psutil.Process) -> None:
        """SIGCONT, if it still lives."""
        self._stopped.discard(process)
        with suppress(psutil.Error):
            process.resume()

    async def post(self, path: str) -> tuple[int, Any]:
        """An empty POST; its status and document."""
        headers = {"Authorization": f"Bearer {self.ours.key}", "X-Request-Timeout": "20"}
        request = http_request("POST", "127.0.0.1", path, headers={**headers, "Content-Length": "0"})
        answer = await fetch("127.0.0.1", self.ours.server.port, request, timeout_s=25)
        return answer.status, orjson.loads(answer.body) if answer.body.startswith(b"{") else answer.body


Inject = Callable[[Injector, str], Awaitable[Fault]]


def _kill(kind_of_node: str, *, holds_sessions: bool = False) -> Inject:
    async def inject(injector: Injector, kind: str) -> Fault:
        process = await injector.one(kind_of_node)
        return _killed(kind, process, (process.pid,) if holds_sessions else ())

    return inject


def _kill_worker(part: str) -> Inject:
    async def inject(injector: Injector, kind: str) -> Fault:
        return _killed(kind, await injector.worker(part))

    return inject


def _killed(kind: str, process: psutil.Process, holders: tuple[int, ...] = ()) -> Fault:
    at = time.perf_counter()
    process.send_signal(signal.SIGKILL)
    return Fault(kind, at, at, f"pid {process.pid}", holders)


async def _kill_two(injector: Injector, kind: str) -> Fault:
    """A host, and as soon as another one has its sessions, that one: nobody is ready then."""
    first = await injector.one("host")
    fault = _killed(kind, first)
    await asyncio.sleep(injector.dice.uniform(0.05, 0.5))
    with suppress(NotNowError):
        heirs = [node for node in await injector.nodes("host") if node["pid"] != first.pid]
        if heirs:
            second = injector._owned(injector.dice.choice(heirs)["pid"])
            return Fault(kind, fault.at, _killed(kind, second).at, f"pids {first.pid}, {second.pid}")
    return fault


def _freeze(target: Callable[[Injector], Awaitable[psutil.Process]], within_s: tuple[float, float]) -> Inject:
    async def inject(injector: Injector, kind: str) -> Fault:
        process = await target(injector)
        at, frozen_s = time.perf_counter(), injector.dice.uniform(*within_s)
        injector.stop(process)
        await asyncio.sleep(frozen_s)
        alive = process.is_running()
        injector.carry_on(process)
        said = f"pid {process.pid} for {frozen_s:.2f} s" + ("" if alive else ", killed meanwhile")
        return Fault(kind, at, time.perf_counter(), said, (process.pid,) if kind.endswith("host") else ())

    return inject


async def _freeze_in_transaction(injector: Injector, kind: str) -> Fault:
    """Stop a host again and again until it is caught with the store's lock in its hands."""
    process = await injector.one("host")
    for _ in range(_TRIES):
        at = time.perf_counter()
        injector.stop(process)
        if await asyncio.to_thread(injector.store.in_transaction, process, injector.home):
            frozen_s = injector.dice.uniform(*_FROZEN_S)
            await asyncio.sleep(frozen_s)
            injector.carry_on(process)
            said = f"pid {process.pid} for {frozen_s:.2f} s with a transaction open"
            return Fault(kind, at, time.perf_counter(), said, (process.pid,))
        injector.carry_on(process)
        await asyncio.sleep(injector.dice.uniform(0.001, 0.01))
    raise NotNowError(f"process {process.pid} was never caught inside a transaction")


def _node(injector: Injector) -> Awaitable[psutil.Process]:
    """The manager of a node that is not the head: with that one the control store would be lost."""
    return injector.named("raylet", without="--head")


async def _kill_raylet(injector: Injector, kind: str) -> Fault:
    """All that runs there ends with it."""
    raylet = await _node(injector)
    return _killed(kind, raylet, tuple(each.pid for each in raylet.children(recursive=True)))


async def _freeze_node(injector: Injector, kind: str) -> Fault:
    """Everything on it, its manager first; what wakes up, the manager last, is a node of zombies."""
    raylet = await _node(injector)
    at, frozen_s, family = time.perf_counter(), injector.dice.uniform(*_NODE_FROZEN_S), [raylet]
    injector.stop(raylet)
    for process in raylet.children(recursive=True):
        with suppress(psutil.Error):
            injector.stop(process)
            family.append(process)
    await asyncio.sleep(frozen_s)
    for process in reversed(family):
        injector.carry_on(process)
    said = f"raylet {raylet.pid} and {len(family) - 1} others for {frozen_s:.2f} s"
    return Fault(kind, at, time.perf_counter(), said, tuple(each.pid for each in family))


async def _kill_gcs(injector: Injector, kind: str) -> Fault:
    """The server under test starts it again."""
    return _killed(kind, await injector.named("gcs_server"))


async def _migrate(injector: Injector, kind: str) -> Fault:
    session = injector.dice.choice(injector.ours.sessions[: injector.dice.choice((5, None))])
    at = time.perf_counter()
    status, answer = await injector.post(f"/v1/sessions/{session}/migrate")
    said = f"{session}: {status} {answer.get('code') or answer.get('to') if isinstance(answer, dict) else answer}"
    return Fault(kind, at, time.perf_counter(), said, session=session)


async def _drain(injector: Injector, kind: str) -> Fault:
    node = injector.dice.choice(await injector.nodes("host"))
    at = time.perf_counter()
    status, answer = await injector.post(f"/v1/hosts/{quote(node['name'], safe='')}/drain")
    said = (
        f"{node['name']}: {status} {answer.get('code') or answer.get('status') if isinstance(answer, dict) else answer}"
    )
    return Fault(kind, at, time.perf_counter(), said, (node["pid"],))


async def _usurp(injector: Injector, kind: str) -> Fault:
    """Give a living host's units to a standby behind its back, as a placement that is wrong about it would."""
    node = injector.dice.choice(await injector.nodes("host"))
    heir = injector.dice.choice(await injector.nodes("standby"))
    placement = await injector.one("placement")
    at = time.perf_counter()
    moved = await asyncio.to_thread(injector.store.take_leases, node["name"], heir["name"], injector.home)
    placement.kill()
    return Fault(kind, at, time.perf_counter(), f"{moved} units of {node['name']} to {heir['name']}", (node["pid"],))


async def _restart_postgres(injector: Injector, kind: str) -> Fault:
    at = await asyncio.to_thread(injector.postgres.restart)
    return Fault(kind, at, time.perf_counter(), "PostgreSQL, stopped at once and started")


async def _cut_commit(injector: Injector, kind: str) -> Fault:
    if not await injector.postgres.relay.cut_next_commit():
        raise NotNowError("no COMMIT passed by")
    at = time.perf_counter()
    return Fault(kind, at, at, "a connection, after its COMMIT was carried out and before the answer")


def _a(kind_of_node: str) -> Callable[[Injector], Awaitable[psutil.Process]]:
    return lambda injector: injector.one(kind_of_node)


def _replica(injector: Injector) -> Awaitable[psutil.Process]:
    return injector.worker("ServeReplica")


FAULTS: dict[str, Inject] = {
    "kill-host": _kill("host", holds_sessions=True),
    "kill-two-hosts": _kill_two,
    "kill-standby": _kill("standby"),
    "kill-placement": _kill("placement"),
    "kill-supervisor": _kill("hosts"),
    "kill-root": _kill("root"),
    "kill-replica": _kill_worker("ServeReplica"),
    "kill-raylet": _kill_raylet,
    "kill-gcs": _kill_gcs,
    "freeze-host": _freeze(_a("host"), _FROZEN_S),
    "freeze-in-transaction": _freeze_in_transaction,
    "freeze-standby": _freeze(_a("standby"), _FROZEN_S),
    "freeze-placement": _freeze(_a("placement"), _FROZEN_S),
    "freeze-supervisor": _freeze(_a("hosts"), _FROZEN_S),
    "freeze-replica": _freeze(_replica, _PAUSED_S),
    "freeze-node": _freeze_node,
    "pause-host": _freeze(_a("host"), _PAUSED_S),
    "migrate": _migrate,
    "drain": _drain,
    "usurp": _usurp,
    "restart-postgres": _restart_postgres,
    "cut-commit": _cut_commit,
}
_NEEDS_NODES = frozenset({"kill-raylet", "kill-gcs", "freeze-node"})
_NEEDS_POSTGRES = frozenset({"restart-postgres", "cut-commit"})


def chosen_faults(names: Sequence[str], *, postgres: bool, nodes: int = 1) -> list[str]:
    """The kinds to inject: the named ones, or without names all that this store and these nodes can have.

    Raises:
        ValueError: One of them does not exist, or cannot happen here.
    """
    absent = (_NEEDS_POSTGRES if not postgres else frozenset[str]()) | (_NEEDS_NODES if nodes < 2 else frozenset[str]())
    if unknown := sorted(set(names) - FAULTS.keys()):
        raise ValueError(f"There is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}.")
    if impossible := sorted(absent & set(names)):
        raise ValueError(f"Not here: {', '.join(impossible)}. The store's faults need --postgres or --store-url "
                         "postgresql://…, those of nodes --nodes 3: on one node it is the whole instance.")  # fmt: skip
    return list(dict.fromkeys(names)) or [name for name in FAULTS if name not in absent]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
