"""The system as the API sees it: resources from the store, turns to whoever runs the session.

The one class for both ways of running: on Ray turns go through the router, in one process straight to the host.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from dspex_actors.clock import Clock, SystemClock
from dspex_actors.errors import Cancelled, DspexError, NotFound, Unauthenticated
from dspex_actors.resources.journal import Entry, public_change, public_turn
from dspex_actors.resources.key import Principal, hash_secret
from dspex_actors.resources.losses import end_of, ended
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.resources.retention import Held, Retention
from dspex_actors.resources.session import ForkSpec, SessionChange, SessionRecord, SessionSpec
from dspex_actors.resources.turn import Cancellation, TurnAnswer, TurnEvent, TurnRequest, bind_request
from dspex_actors.sessions import changing
from dspex_actors.sessions.housing import housed
from dspex_actors.sessions.operations import Operations, public_drain, public_migration
from dspex_actors.sessions.placement import Place
from dspex_actors.sessions.shown import public_session
from dspex_actors.sessions.sweeper import Sweeper, window_of
from dspex_actors.sessions.watching import Sight, Watching, WatchWait, ending_of
from dspex_actors.store.port import Idempotency, Listing, Made, Page, Store

if TYPE_CHECKING:
    from dspex_actors.lm.models import Models
    from dspex_actors.programs.catalogue import Programs

Json = dict[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

KEY_CACHE_S = 2.0
"""A revoked key works for that long at most."""
CACHED_SESSIONS = 50_000
READERS = 4


class Turns(Protocol):
    """Where turns go: a router, or a host in the same process."""

    async def predict(self, record: SessionRecord, turn: TurnRequest) -> TurnAnswer:
        """Run a turn to its end."""
        ...

    def stream(self, record: SessionRecord, turn: TurnRequest) -> AsyncGenerator[TurnEvent]:
        """Run a turn, as events."""
        ...

    async def watch(self, record: SessionRecord, wait: WatchWait) -> Sight:
        """Let the host of the session tell a watcher of a turn, until it has nothing more to say."""
        ...

    async def peek(self, record: SessionRecord) -> tuple[str, int]:
        """Status and restarts of a session."""
        ...

    async def restart(self, record: SessionRecord) -> None:
        """Restart a session, out of quarantine too. Raises NoCapacity."""
        ...

    async def cancel(self, record: SessionRecord, turn_id: str | None, key: str) -> Cancellation:
        """Cancel a turn that runs or waits. Raises NoCapacity."""
        ...

    def place(self, record: SessionRecord) -> Place:
        """Where the session is served."""
        ...

    def unready(self) -> list[str]:
        """What is missing before turns can run."""
        ...


class SessionRuntime:
    """Implements `api.runtime.Runtime`. Store calls run in a few threads; turns never wait for them."""

    def __init__(
        self, store: Store, turns: Turns, programs: Programs, models: Models, operations: Operations,
        sweeper: Sweeper | None = None, clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self._sweeper = sweeper or Sweeper(store, window_of(store, programs), clock or SystemClock())
        self._store = store
        self._turns = turns
        self._programs = programs
        self._models = models
        self._operations = operations
        self._clock = clock or SystemClock()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store")
        self._keys: dict[str, tuple[Principal, int | None, float]] = {}
        self._records: dict[tuple[str, str], SessionRecord] = {}

    async def _db(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))

    # Keys ------------------------------------------------------------------------------------------------------
    async def authenticate(self, secret: str) -> Principal:
        """See `Runtime`."""
        sha256 = hash_secret(secret)
        known = self._keys.get(sha256)
        if known is None or known[2] < self._clock.monotonic_s():
            found = await self._db(self._store.find_key, sha256)
            if found is None:
                raise Unauthenticated("This key is not known here. `dspex serve` prints one that is.")
            principal = Principal(found.id, found.tenant, found.scopes)
            known = self._keys[sha256] = (principal, found.expires_at_us, self._clock.monotonic_s() + KEY_CACHE_S)
        if known[1] is not None and known[1] <= self._clock.now_us():
            raise Unauthenticated("This key has expired. Ask for a new one.")
        return known[0]

    # Programs --------------------------------------------------------------------------------------------------
    async def create_program(self, tenant: str, spec: ProgramSpec, idempotency: Idempotency | None) -> Made[Program]:
        """See `Runtime`."""
        await self._db(changing.check_new, self._store, spec)
        await self._db(self._programs.check, spec)
        return await self._db(self._store.create_program, tenant, spec, idempotency)

    async def list_programs(self, tenant: str, page: Page) -> Listing[Program]:
        """See `Runtime`."""
        return await self._db(self._store.list_programs, tenant, page)

    async def get_program(self, tenant: str, name: str) -> Program:
        """See `Runtime`."""
        return await self._db(self._store.get_program, tenant, name)

    async def program_versions(self, tenant: str, name: str, page: Page) -> Listing[Program]:
        """See `Runtime`."""
        return await self._db(self._store.program_versions, tenant, name, page)

    async def change_program(
        self, tenant: str, name: str, change: ProgramChange, if_match: str | None, idempotency: Idempotency | None
    ) -> Made[Program]:
        """See `Runtime`."""
        await self._db(changing.check_program, self._store, self._programs, tenant, name, change)
        return await self._db(self._store.change_program, tenant, name, change, if_match, idempotency)

    async def promote_program(self, tenant: str, name: str, version: int, if_match: str | None) -> Program:
        """See `Runtime`."""
        return await self._db(self._store.promote_program, tenant, name, version, if_match)

    async def delete_program(self, tenant: str, name: str) -> None:
        """See `Runtime`."""
        await self._db(self._store.delete_program, tenant, name)

    # Sessions --------------------------------------------------------------------------------------------------
    async def create_session(self, tenant: str, spec: SessionSpec, idempotency: Idempotency | None) -> Made[Json]:
        """See `Runtime`."""
        self._operations.check_isolation(spec.isolation)
        await self._db(changing.check_new, self._store, spec)
        if spec.lm is not None:
            await self._db(self._models.get, spec.lm)
        made = await self._db(self._store.create_session, tenant, spec, idempotency)
        return await self._settled(made)

    async def fork_session(
        self, tenant: str, session_id: str, spec: ForkSpec, idempotency: Idempotency | None
    ) -> Made[Json]:
        """See `Runtime`."""
        if (await self._record_now(tenant, session_id)).is_dedicated:
            self._operations.check_isolation("dedicated")
        made = await self._db(self._store.fork_session, tenant, session_id, spec, idempotency)
        return await self._settled(made)

    async def _settled(self, made: Made[SessionRecord]) -> Made[Json]:
        if made.value.is_dedicated:
            await housed(made, self._store, self._operations, self._turns.place)
        return Made(await self._public(made.value), made.replayed)

    async def list_sessions(self, tenant: str, page: Page) -> Listing[Json]:
        """See `Runtime`."""
        found = await self._db(self._store.list_sessions, tenant, page)
        return Listing(await asyncio.gather(*map(self._public, found.items)), found.next_cursor)

    async def get_session(self, tenant: str, session_id: str) -> Json:
        """See `Runtime`."""
        return await self._public(await self._db(self._store.get_session, tenant, session_id))

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """See `Runtime`."""
        self._records.pop((tenant, session_id), None)
        record = await self._record_now(tenant, session_id)
        await self._db(self._store.delete_session, tenant, session_id)
        if record.is_dedicated:
            await self._operations.vacate(record)

    async def variables(self, tenant: str, session_id: str) -> Json:
        """See `Runtime`."""
        return await self._db(changing.shown_variables, self._store, await self._record_now(tenant, session_id))

    async def change_session(
        self, tenant: str, session_id: str, change: SessionChange, if_match: int | None, key: str | None,
        timeout_s: float = 60.0,
    ) -> Made[Json]:  # fmt: skip
        """See `Runtime`."""
        await self._db(changing.check_new, self._store, None)
        if change.lm is not None:
            await self._db(self._models.get, change.lm)
        request = bind_request(change.asked(), if_match, key, timeout_s)
        answer = await self.predict(tenant, session_id, request)
        return Made(await self.get_session(tenant, session_id), answer.replayed)

    async def restart_session(self, tenant: str, session_id: str) -> Json:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        await self._turns.restart(record)
        return await self._public(record)

    async def _public(self, record: SessionRecord) -> Json:
        return public_session(record, self._turns.place(record), *await self._turns.peek(record))

    async def migrate_session(self, tenant: str, session_id: str, host: str | None, patience_s: float) -> Json:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        return public_migration(record.id, await self._operations.migrate(record, host, patience_s))

    async def drain_host(self, host: str, timeout_s: float) -> Json:
        """See `Runtime`."""
        return public_drain(await self._operations.drain_host(host, timeout_s))

    # Turns -----------------------------------------------------------------------------------------------------
    async def predict(self, tenant: str, session_id: str, turn: TurnRequest) -> TurnAnswer:
        """See `Runtime`."""
        record = await self._record(tenant, session_id)
        try:
            return await self._turns.predict(record, turn)
        except NotFound as missing:
            again = await self._renewed(record, missing)
            return await self._turns.predict(again, turn)

    async def stream(self, tenant: str, session_id: str, turn: TurnRequest) -> AsyncGenerator[TurnEvent]:
        """See `Runtime`."""
        record = await self._record(tenant, session_id)
        try:
            events = self._turns.stream(record, turn)
            first = await anext(events)
        except NotFound as missing:
            events = self._turns.stream(await self._renewed(record, missing), turn)
            first = await anext(events)
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def watch(
        self, tenant: str, session_id: str, turn_id: str, last_event: tuple[int, int], timeout_s: float
    ) -> AsyncGenerator[TurnEvent]:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        wait = WatchWait(turn_id, last_event)
        ending = partial(self._db, ending_of, self._store, record, turn_id)
        watching = Watching(wait, lambda: self._turns.watch(record, wait), ending)
        async with aclosing(watching.events(timeout_s)) as events:
            async for event in events:
                yield event

    async def _record(self, tenant: str, session_id: str) -> SessionRecord:
        record = self._records.get((tenant, session_id))
        if record is None:
            record = await self._db(self._store.get_session, tenant, session_id)
            if len(self._records) >= CACHED_SESSIONS:
                del self._records[next(iter(self._records))]
            self._records[tenant, session_id] = record
        return record

    async def _renewed(self, stale: SessionRecord, missing: NotFound) -> SessionRecord:
        """The session that has the id now: the one that was remembered was deleted, perhaps by another process."""
        self._records.pop((stale.tenant, stale.id), None)
        record = await self._record(stale.tenant, stale.id)
        if record.uid == stale.uid:
            raise missing
        return record

    async def cancel_turn(self, tenant: str, session_id: str, turn_id: str | None, key: str) -> Made[Json]:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        found = await self._turns.cancel(record, turn_id, key)
        if turn_id is not None and not found.cancelled and not found.too_late:
            found = await self._ended(record, turn_id)
        shown = {"session": record.id, "cancelled": list(found.cancelled), "too_late": list(found.too_late)}
        return Made(shown, found.replayed)

    async def _ended(self, record: SessionRecord, turn_id: str) -> Cancellation:
        """What the store says of a turn that its host does not have. Raises NotFound."""
        if await self._db(self._store.turn_by_id, record.uid, turn_id) is not None:
            return Cancellation(too_late=(turn_id,))
        failed = end_of(await self._db(self._store.failures, record.uid, turn_id))
        if failed is None:
            raise NotFound(f"No turn {turn_id} runs, waits or is recorded in this session. Check its id.")
        was_cancelled = failed.public()["error"]["code"] == Cancelled.code
        return Cancellation((turn_id,)) if was_cancelled else Cancellation(too_late=(turn_id,))

    async def turns(self, tenant: str, session_id: str, page: Page, include_failed: bool) -> Listing[Json]:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        found = await self._db(self._store.turns, record.uid, page)
        items = await self._shown(record, found.items)
        if include_failed:
            failed = [each.public() for each in ended(await self._db(self._store.failures, record.uid))]
            first = items[0]["turn"] if items else 0
            last = items[-1]["turn"] if items and found.next_cursor else None
            shown = [f for f in failed if f["after_turn"] >= first - 1 and (last is None or f["after_turn"] < last)]
            items = sorted(items + shown, key=lambda item: item.get("turn", item.get("after_turn", 0) + 0.5))
        return Listing(items, found.next_cursor, found.removed)

    async def turn(self, tenant: str, session_id: str, number: int) -> Json:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        (shown,) = await self._shown(record, [await self._db(self._store.turn, record.uid, number)])
        return shown

    async def turn_by_id(self, tenant: str, session_id: str, turn_id: str) -> Json:
        """See `Runtime`."""
        record = await self._record_now(tenant, session_id)
        entry = await self._db(self._store.turn_by_id, record.uid, turn_id)
        if entry is not None:
            return public_change(entry) if entry.kind != "turn" else (await self._shown(record, [entry]))[0]
        failed = end_of(await self._db(self._store.failures, record.uid, turn_id))
        if failed is None:
            raise NotFound(f"No turn {turn_id} is recorded in this session: it did not happen, or has not ended yet.")
        return failed.public()

    async def _shown(self, record: SessionRecord, turns: Sequence[Entry]) -> list[Json]:
        # Read after the turns, so that it knows all of them.
        course = await self._db(self._store.course, record.uid)
        left = course.left([entry.turn or 0 for entry in turns])
        return [public_turn(entry, entry.turn in left) for entry in turns]

    async def _record_now(self, tenant: str, session_id: str) -> SessionRecord:
        return await self._db(self._store.get_session, tenant, session_id)

    # Retention -------------------------------------------------------------------------------------------------
    async def retention(self, tenant: str) -> Held:
        """See `Runtime`."""
        own = await self._db(self._store.retention, tenant)
        return Held(self._sweeper.default, True) if own is None else Held(own, False)

    async def put_retention(self, tenant: str, made: Retention | None, if_match: str | None) -> Held:
        """See `Runtime`."""
        await self._db(self._store.put_retention, tenant, made, self._sweeper.default, if_match)
        self._sweeper.ask()
        return await self.retention(tenant)

    # The system ------------------------------------------------------------------------------------------------
    async def tree(self) -> Json:
        """See `Runtime`."""
        return await self._operations.tree()

    async def unready(self) -> list[str]:
        """See `Runtime`."""
        missing = self._turns.unready()
        try:
            await self._db(self._store.ping)
        except DspexError:
            missing.append("store")
        return missing

    def info(self) -> Json:
        """See `Runtime`."""
        return {
            "name": "dspex-actors",
            "version": importlib.metadata.version("dspex-actors"),
            "lm": self._models.shown(None),
            "mock": self._models.is_mock,
        }

    def close(self) -> None:
        """Release the threads, and end the sweeper's; the store and the turns belong to whoever made them."""
        self._sweeper.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
