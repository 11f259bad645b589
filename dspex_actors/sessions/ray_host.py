"""The host as a Ray actor: a process with an I/O loop in a thread of its own, and a Ray face for the control plane.

What survives a crash of this process: everything, because nothing is only here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil
import ray
import uvloop

from dspex_actors.config import Settings
from dspex_actors.errors import Moved
from dspex_actors.resources.session import Guest
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.sessions.confinement import confine
from dspex_actors.sessions.handover import Gone
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.keep import keep_what_is_here
from dspex_actors.sessions.limits import limits_of
from dspex_actors.sessions.load import Load
from dspex_actors.sessions.placement import HostInfo, lifeline_of
from dspex_actors.sessions.priority import lower_priority
from dspex_actors.sessions.ray_nodes import node_id, refuse_elsewhere, stream_ip
from dspex_actors.sessions.ray_seek import placement_handle
from dspex_actors.sessions.server import HostServer
from dspex_actors.sessions.tls import TlsAddress
from dspex_actors.store.port import Lease
from supervisors import lifeline

log = logging.getLogger(__name__)

T = TypeVar("T")

START_NICE = 10
"""Importing DSPy costs seconds of CPU: a starting standby yields to the hosts that serve."""
RETRY_S = 0.1
WEAR_S = 1.0
"""How often a host looks whether it is worn out."""
LEAVE_S = 0.5
"""How long Ray has to end an actor that wants to, before its process ends by itself."""
PROBATION_S = 1.0
"""How long placement may look for a standby that a suspect turn has to itself, before it is asked again: one that is
found for a turn whose time is over is not there for the next."""
SWITCH_S = 0.001
"""How long a thread that runs a program may hold the interpreter while the I/O thread has a reply to send; Python's own
choice is 5 ms, several turns long."""


class HostActor:
    """One host process.

    `__init__` returns at once; the host is usable when placement lists it as attached. If it cannot be built the
    process exits, and its supervisor decides.
    """

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        sys.setswitchinterval(SWITCH_S)
        self._settings = Settings(**settings)
        self._name = name
        self._term = 0
        self._loop = uvloop.new_event_loop()
        self._host: Host | None = None
        self._info: HostInfo | None = None
        self._server: HostServer | None = None
        self._seeking: set[asyncio.Task[None]] = set()
        self._stopping = threading.Event()
        self._parked: Any = None
        self._me = ray.get_runtime_context().current_actor
        threading.Thread(target=self._serve, name="io", daemon=True).start()
        threading.Thread(target=self._begin, name="begin", daemon=True).start()

    # Control plane, called by placement and the supervisor -----------------------------------------------------
    async def own(self, epochs: dict[str, int], term: int) -> None:
        """The leases of these units are this host's, at these epochs. Raises Moved for a placement of a lower term."""
        self._check(term)
        await self._on_io(self._own([Lease(unit, epoch, self._name) for unit, epoch in epochs.items()]))

    async def disown(self, units: Sequence[str], term: int) -> None:
        """These units are not this host's. Raises Moved for a placement of a lower term."""
        self._check(term)
        await self._on_io(self._disown(units))

    async def hand_over(self, epochs: dict[str, int], heir: str, term: int) -> list[Lease]:
        """Give these units, held at these epochs, to another host. See `Handover.units`; raises Moved as above."""
        self._check(term)
        seen = [Lease(unit, epoch, self._name) for unit, epoch in epochs.items()]
        now = await self._on_io(self._serving.handover.units(seen, heir))
        await self._tell_if_succeeded(term)
        return now

    async def let_go(self, uid: str, seen: Lease, host: str | None, patience_s: float, term: int) -> Gone:
        """Give one session to another host, or back to its shard's. See `Handover.session`."""
        self._check(term)
        gone = await self._on_io(self._serving.handover.session(uid, seen, host, patience_s))
        await self._tell_if_succeeded(term)
        return gone

    async def news(self, seen: int, term: int) -> int:
        """How often something has moved that this placement does not know of, as soon as that is not `seen`. Raises
        Moved for a placement of a lower term."""
        self._check(term)
        return await self._on_io(self._serving.handover.news(seen))

    async def _tell_if_succeeded(self, term: int) -> None:
        """Whoever asked for a move is gone, if there is a newer placement, which may have read the store before it."""
        if term < self._term:
            await self._on_io(self._tell())

    async def begin_drain(self, term: int) -> None:
        """From now on it is on its way out, also for a placement that starts anew."""
        self._check(term)
        assert self._info is not None
        self._info = replace(self._info, draining=True)

    async def put_on_probation(self, uid: str | None, term: int) -> None:
        """From now on it is there for one turn of that session alone, also for a placement that starts anew."""
        self._check(term)
        assert self._info is not None
        self._info = replace(self._info, probation=uid)
        await self._on_io(self._put_on_probation(uid))

    async def dedicate(self, guest: Guest, term: int) -> None:
        """From now on it is there for that session alone, within its limits, until it ends."""
        self._check(term)
        assert self._info is not None
        confine(self._name, guest, self._settings)
        self._info = replace(self._info, dedicated=guest.uid)
        self._serving.suspects.dedicated = guest.uid

    async def retire(self, term: int) -> None:
        """End, because everything has been given away; its supervisor starts another one."""
        self._check(term)
        await self.terminate("drained")
        threading.Timer(LEAVE_S, os._exit, (0,)).start()
        if self._parked is not None:
            ray.cancel(self._parked)  # Ray's way out waits for calls that are under way
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    async def load(self) -> Load:
        """What the host has to do now."""
        return await self._on_io(self._load())

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new turns, wait for those that run; whether all have ended."""
        return await self._on_io(self._drain(timeout_s))

    async def terminate(self, reason: str) -> None:
        """Close everything, for the supervisor's graceful stop."""
        log.info("host %s stops: %s", self._name, reason)
        self._stopping.set()
        if self._host is not None and self._server is not None:
            await self._on_io(self._server.close())
            await self._on_io(self._host.close())

    def _check(self, term: int) -> None:
        if term < self._term:
            raise Moved(f"A placement of term {term} speaks; this host has heard of term {self._term}.")
        self._term = term

    @property
    def _serving(self) -> Host:
        assert self._host is not None, "placement talks to hosts that have attached"
        return self._host

    async def _on_io(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _own(self, leases: Sequence[Lease]) -> None:
        self._serving.own(leases)

    async def _disown(self, units: Sequence[str]) -> None:
        self._serving.disown(units)

    async def _tell(self) -> None:
        self._serving.handover.tell()

    async def _put_on_probation(self, uid: str | None) -> None:
        self._serving.suspects.put_on_probation(uid)

    def _seek(self, uid: str, shard: int) -> None:
        """A turn of the session waits for a host of its own."""
        task = self._loop.create_task(self._seek_probation(uid, shard))
        self._seeking.add(task)
        task.add_done_callback(self._seeking.discard)

    async def _seek_probation(self, uid: str, shard: int) -> None:
        while self._serving.suspects.is_held(uid):
            try:
                await (await placement_handle()).put_on_probation.remote(uid, shard, PROBATION_S)
            except (ray.exceptions.RayError, LookupError) as error:
                log.info("session %s still waits for a host of its own: %s", uid, type(error).__name__)
            await asyncio.sleep(RETRY_S)

    async def _load(self) -> Load:
        return self._serving.load()

    async def _drain(self, timeout_s: float) -> bool:
        return await self._serving.drain(timeout_s)

    # Threads ---------------------------------------------------------------------------------------------------
    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _begin(self) -> None:
        """Build the host, then let the I/O loop stay in touch with placement for as long as the process lives."""
        try:
            lower_priority(START_NICE)
            self._info = self._build()
        except Exception:
            log.exception("host %s cannot start", self._name)
            os._exit(1)
        asyncio.run_coroutine_threadsafe(self._stay_attached(), self._loop)
        asyncio.run_coroutine_threadsafe(self._watch_wear(), self._loop)

    def _build(self) -> HostInfo:
        from dspex_actors.lm.models import Models
        from dspex_actors.programs.catalogue import Programs
        from dspex_actors.sessions.warm import prepare, warm_up
        from dspex_actors.store.opening import open_store

        settings = self._settings
        refuse_elsewhere(settings)
        store = open_store(settings.database_url, owner=self._name)
        models = Models(settings.lm, settings.lm_api_base, settings.lm_api_key)
        models.warm()
        programs = Programs(models, settings.packages)
        warm_up(programs)
        prepare(programs, store)
        address, ip = socket_path(settings, self._name), stream_ip(settings)

        limits = limits_of(settings)

        async def listen() -> TlsAddress | None:
            self._host = Host(self._name, store, programs, limits=limits)
            self._host.suspects.seek = self._seek
            self._host.assurance.begin()
            self._server = HostServer(self._host, store.store_id, store.stream_key)
            await self._server.listen(address)
            return None if ip is None else await self._server.listen_tls(ip, settings.host_ports)

        remote = asyncio.run_coroutine_threadsafe(listen(), self._loop).result()
        lifeline.hold(lifeline_of(address))
        keep_what_is_here()
        process = psutil.Process()
        return HostInfo(
            self._name, str(address), process.pid, process.create_time(), node_id(), STATE_VERSION, remote=remote
        )

    async def _watch_wear(self) -> None:
        """Ask to be replaced when worn out, again and again: at first there may be nobody who could take over."""
        while not self._stopping.is_set():
            await asyncio.sleep(WEAR_S)
            if (reason := self._serving.wear.reason()) is not None:
                try:
                    await (await placement_handle()).recycle.remote(self._name, reason)
                except (ray.exceptions.RayError, LookupError) as error:
                    log.info("host %s is worn out (%s) and stays for now: %s", self._name, reason, type(error).__name__)

    async def _stay_attached(self) -> None:
        while not self._stopping.is_set():
            try:
                placement = await placement_handle()
                await placement.attach.remote(self._info, self._me)
                self._parked = placement.park.remote(self._name)
                await self._parked  # ends when placement does, or has given this host up
            except (ray.exceptions.RayError, LookupError) as error:
                log.info("placement is not there: %s", type(error).__name__)
            await asyncio.sleep(RETRY_S)


def socket_path(settings: Settings, name: str) -> Path:
    """Where a host listens: short, because socket paths end at 107 bytes. Names are never used twice."""
    return settings.run_dir / "hosts" / f"{name.rpartition('#')[2]}.sock"
