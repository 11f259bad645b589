"""`dx.local()`: the whole of it in one process, without Ray: store, host, programs, and a Python face.

The same host, the same journal and the same API as on a cluster; only the ways between them are shorter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ulid import ULID

from dspex_actors.clock import SystemClock
from dspex_actors.embedded.operations import LocalOperations, check_isolation
from dspex_actors.embedded.session import LocalSession, checked
from dspex_actors.embedded.watching import TENANT, look_here
from dspex_actors.errors import AlreadyExists, DspexError, Moved
from dspex_actors.home import hold_home
from dspex_actors.ids import check_name
from dspex_actors.lm.models import Models
from dspex_actors.programs.catalogue import Programs
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import Isolation, OnBusy, SessionRecord, SessionSpec, VersionPolicy
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.resources.turn import Cancellation, TurnAnswer, TurnEvent, TurnRequest
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.cancelling import insist
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.placement import Place, first_owners
from dspex_actors.sessions.runtime import SessionRuntime
from dspex_actors.sessions.sweeper import Sweeper, window_of
from dspex_actors.sessions.waiting import TurnWait
from dspex_actors.sessions.watching import Sight, Watch, WatchWait
from dspex_actors.store import Store, open_store

Json = dict[str, Any]


class LocalTurns:
    """Turns go straight to the one host of this process."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._epochs: dict[str, int] = {}

    def take(self, store: Store) -> None:
        """Make the host the owner of every unit: nobody else serves this store."""
        store.raise_state_version(STATE_VERSION)
        store.seed_leases(first_owners([self._host.name], 1))
        store.take_over([lease for lease in store.leases() if lease.host != self._host.name], self._host.name)
        leases = store.leases()
        self._epochs = {lease.unit: lease.epoch for lease in leases}
        self._host.own(leases)

    async def predict(self, record: SessionRecord, turn: TurnRequest) -> TurnAnswer:
        """See `runtime.Turns`."""
        wait = self._ask(record, turn)
        try:
            return await wait.answer()
        finally:
            self._host.leave(wait)

    async def stream(self, record: SessionRecord, turn: TurnRequest) -> AsyncGenerator[TurnEvent]:
        """See `runtime.Turns`."""
        wait = self._ask(record, turn)
        try:
            async for event in wait.events():
                yield event
        finally:
            self._host.leave(wait)

    async def watch(self, record: SessionRecord, wait: WatchWait) -> Sight:
        """See `runtime.Turns`."""
        epoch = self._epochs[record.unit]
        return await look_here(self._host, Watch(record.uid, record.unit, epoch, wait.turn_id, wait.seen), wait)

    async def peek(self, record: SessionRecord) -> tuple[str, int]:
        """See `runtime.Turns`."""
        return self._host.peek([record.uid])[0]

    async def restart(self, record: SessionRecord) -> None:
        """See `runtime.Turns`."""
        self._host.restart(record.uid, record.unit)

    async def cancel(self, record: SessionRecord, turn_id: str | None, key: str) -> Cancellation:
        """See `runtime.Turns`."""
        return await insist(lambda: self._cancel(record, turn_id, key))

    async def _cancel(self, record: SessionRecord, turn_id: str | None, key: str) -> Cancellation | None:
        return self._host.cancel(record.uid, record.unit, turn_id, key)

    def place(self, record: SessionRecord) -> Place:
        """See `runtime.Turns`."""
        return Place(record.unit, self._host.name, None, self._epochs[record.unit])

    def unready(self) -> list[str]:
        """See `runtime.Turns`."""
        return [] if self._epochs else ["host"]

    def _ask(self, record: SessionRecord, turn: TurnRequest) -> TurnWait:
        check_isolation(record.isolation)  # `dspex serve` may have made it in this home
        return _LocalWait(self._host, Ask(record.uid, record.unit, self._epochs[record.unit], 1, turn))


class _LocalWait(TurnWait):
    """Does what a router does with `moved`: the activation is over, the session may have a new one; ask again."""

    def __init__(self, host: Host, ask: Ask) -> None:
        super().__init__(ask.turn.turn_id, ask.turn.stream, last_event=ask.turn.last_event)
        self._host, self._ask = host, replace(ask, attempt=self.next_attempt, seen=self.seen)
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + ask.turn.timeout_s
        host.ask(self._ask, self)

    def fail(self, error: DspexError) -> None:
        """See `events.Waiter`."""
        if isinstance(error, Moved):
            left = replace(self._ask.turn, timeout_s=self._until - self._loop.time())
            attempt = max(self._ask.attempt, self.next_attempt)
            self._ask = replace(self._ask, turn=left, attempt=attempt, seen=self.seen, resent=True)
            self._loop.call_soon(self._host.ask, self._ask, self)
        else:
            super().fail(error)


class LocalRuntime:
    """An async context manager: everything starts on entry and stops on exit."""

    def __init__(
        self, programs: Mapping[str, str | Json], home: Path | None, models: Models, packages: tuple[str, ...],
        retention: Retention,
    ) -> None:  # fmt: skip
        self._specs = [_spec(name, spec) for name, spec in programs.items()]
        self._home = home
        self._lock = contextlib.ExitStack()
        self._models = models
        self._packages = packages
        self._retention = retention
        self._host: Host | None = None
        self._store: Store | None = None
        self._runtime: SessionRuntime | None = None

    async def __aenter__(self) -> LocalRuntime:
        self._store = open_store(self._url())
        programs = Programs(self._models, self._packages)
        self._host = Host(f"local#{ULID()}", self._store, programs)
        turns = LocalTurns(self._host)
        turns.take(self._store)
        sweeper = Sweeper(self._store, window_of(self._store, programs), SystemClock(), self._retention)
        sweeper.start()
        operations = LocalOperations(self._host)
        self._runtime = SessionRuntime(self._store, turns, programs, self._models, operations, sweeper)
        try:
            for spec in self._specs:
                await self._ensure(spec)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._host is not None:
            await self._host.close()
        if self._runtime is not None:
            self._runtime.close()
        if self._store is not None:
            self._store.close()
        self._lock.close()

    def _url(self) -> str:
        """Where the store is; in a home only under its lock."""
        if self._home is None:
            return "sqlite://"
        held = self._lock.enter_context(hold_home(self._home, "this process (dx.local)"))
        return f"sqlite:///{held.path / 'dspex.sqlite3'}"

    @property
    def runtime(self) -> SessionRuntime:
        """The port that the HTTP application is served from (`api.create_app`)."""
        assert self._runtime is not None, "use `async with dx.local(...)`"
        return self._runtime

    @property
    def store(self) -> Store:
        """The store underneath."""
        assert self._store is not None, "use `async with dx.local(...)`"
        return self._store

    async def create_program(self, spec: ProgramSpec) -> Program:
        """Check and store a program. Raises AlreadyExists, InvalidRequest."""
        return (await self.runtime.create_program(TENANT, spec, None)).value

    async def update_program(self, name: str, **changes: Any) -> Program:
        """Make a new version of a program: its live one with these changes. It is not live before `promote`.

        Raises:
            NotFound: No such program.
            InvalidRequest: It cannot be built.
        """
        change = checked(ProgramChange, **changes)
        return (await self.runtime.change_program(TENANT, name, change, None, None)).value

    async def promote(self, name: str, version: int) -> Program:
        """Let a version of a program be the live one, back as well as forward. Raises NotFound."""
        return await self.runtime.promote_program(TENANT, name, version, None)

    async def open(
        self,
        program: str,
        id: str | None = None,  # noqa: A002
        lm: str | None = None,
        on_busy: OnBusy = "enqueue",
        version_policy: VersionPolicy = "pin",
        variables: Mapping[str, Any] | None = None,
        declare: Mapping[str, Json] | None = None,
        isolation: Isolation = "shared",
    ) -> LocalSession:
        """The session of that id, made when there is none (with a fresh id where none is given).

        `version_policy` says which version of the program it runs. `variables` are first values of the program's,
        `declare` has declarations of more. `isolation="dedicated"` is refused: that takes the hosts of `dspex serve`.

        Raises:
            NotFound: No such program, or a variable that is not declared.
            InvalidRequest: The id, the model's name or a variable is not a proper one.
            AlreadyExists: The id belongs to a session of another program.
        """
        if id is not None:
            check_name(id, "id")
        try:
            spec = checked(
                SessionSpec, program=program, id=id, lm=lm, on_busy=on_busy, version_policy=version_policy,
                variables=dict(variables or {}), declare=dict(declare or {}), isolation=isolation,
            )  # fmt: skip
            made = await self.runtime.create_session(TENANT, spec, None)
            return LocalSession(self.runtime, made.value["id"])
        except AlreadyExists:
            assert id is not None
            found = await self.runtime.get_session(TENANT, id)
            if found["program"] != program.partition("@")[0]:
                raise
            return LocalSession(self.runtime, id)

    async def _ensure(self, spec: ProgramSpec) -> None:
        try:
            await self.create_program(spec)
        except AlreadyExists:
            found = await self.runtime.get_program(TENANT, spec.name)
            if found.spec != spec:
                raise


def local(
    programs: Mapping[str, str | Json] | None = None,
    *,
    home: str | Path | None = None,
    lm: str = "mock",
    lm_api_base: str | None = None,
    lm_api_key: str | None = None,
    packages: tuple[str, ...] = (),
    retention: Mapping[str, Any] | None = None,
) -> LocalRuntime:
    """DSPex Actors in this process: for scripts, notebooks and tests.

    Args:
        programs: Name to a DSPy signature (`"question -> answer"`), or to the fields of a program
            (`{"signature": …, "module": "chain_of_thought", …}`).
        home: The data folder, the same as of `dspex serve`, one process at a time; in memory where none is given.
        lm: The model's name; the mock engine by default.
        lm_api_base: Base address of the model's API.
        lm_api_key: Its key.
        packages: Packages that `python:pkg.mod:Class` programs may come from.
        retention: How long the past of sessions is kept: `journal_days`, `journal_turns`, `failed_days`; all of it by
            default.

    Raises:
        InvalidRequest: A program or the model cannot be built; the sentence says why.
        InUse: On entry: another process holds the home.
    """
    models = Models(lm, lm_api_base, SecretStr(lm_api_key) if lm_api_key else None)
    kept = checked(Retention, **(retention or {}))
    return LocalRuntime(programs or {}, None if home is None else Path(home).absolute(), models, packages, kept)


def _spec(name: str, spec: str | Json) -> ProgramSpec:
    fields = {"signature": spec} if isinstance(spec, str) else spec
    return checked(ProgramSpec, f"The program {name} is not one: see errors.", name=name, **fields)
