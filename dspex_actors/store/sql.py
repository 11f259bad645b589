"""The store in SQL: each method is one transaction around the functions of one table's module."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from dspex_actors.clock import Clock
from dspex_actors.resources.course import Course
from dspex_actors.resources.journal import Entry, FailedTurn, Memory, Verdict
from dspex_actors.resources.key import ApiKey
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import ForkSpec, Guest, SessionRecord, SessionSpec
from dspex_actors.resources.snapshot import Snapshot
from dspex_actors.store import (
    bindings,
    forks,
    guests,
    identity,
    journal,
    keys,
    leases,
    pins,
    programs,
    retention,
    sessions,
    snapshots,
)
from dspex_actors.store.courses import Courses
from dspex_actors.store.database import Database
from dspex_actors.store.fence import Fence
from dspex_actors.store.idempotency import make_once
from dspex_actors.store.identity import Identity
from dspex_actors.store.memory import Memories
from dspex_actors.store.port import Idempotency, Lease, Listing, Made, Page, Removal
from dspex_actors.store.removal import SqlRemoval

WARM_READERS = 2
"""As many as a host reads sessions with."""


class SqlStore:
    """`Store` over SQLAlchemy; `open_store` makes one. Thread-safe.

    A call that returns has been written to disk (SQLite: `synchronous=FULL`; PostgreSQL: what `synchronous_commit` says
    there); one that raises has changed nothing, except that after StoreUnavailable a write may have happened whole.
    """

    def __init__(self, database: Database, clock: Clock, born: Identity) -> None:
        self.store_id = born.store_id
        self.stream_key = born.stream_key
        self._database = database
        self._clock = clock
        self._fence = Fence(database.dialect)
        self._courses = Courses(database.dialect)
        self._memories = Memories(database.dialect)

    def close(self) -> None:
        """Close every connection; a store in memory is gone then."""
        self._database.close()

    def ping(self) -> None:
        """Read one row, and refuse a store that is not the one opened."""
        with self._database.read() as connection:
            identity.check(connection, self.store_id)

    def warm(self) -> None:
        """Open connections, and make the log file as long as it gets."""
        self._database.warm(WARM_READERS)
        self.commit([])

    def put_key(self, key: ApiKey) -> None:
        """Insert a key, or replace the one with its `id`. Raises AlreadyExists where its secret is another key's."""
        with self._database.write() as connection:
            keys.put(connection, key)

    def add_key(self, key: ApiKey) -> bool:
        """Insert a key unless there is one with its `id`. Raises AlreadyExists as above."""
        with self._database.write() as connection:
            return keys.add(connection, key)

    def has_key(self, key_id: str) -> bool:
        """Whether there is a key with that `id`."""
        with self._database.read() as connection:
            return keys.has(connection, key_id)

    def find_key(self, sha256: str) -> ApiKey | None:
        """The key of that hash, expired or not."""
        with self._database.read() as connection:
            return keys.find(connection, sha256)

    def create_program(self, tenant: str, spec: ProgramSpec, idempotency: Idempotency | None = None) -> Made[Program]:
        """Insert version 1. Raises AlreadyExists, IdempotencyMismatch."""
        now_us = self._clock.now_us()
        with self._database.write() as connection:
            return make_once(
                connection,
                now_us,
                idempotency,
                lambda: programs.create(connection, tenant, spec, now_us),
                programs.dump,
                programs.parse,
            )

    def list_programs(self, tenant: str, page: Page) -> Listing[Program]:
        """The tenant's programs. Raises InvalidRequest."""
        with self._database.read() as connection:
            return programs.page(connection, tenant, page)

    def get_program(self, tenant: str, name: str, version: int | None = None) -> Program:
        """The live version, or the one asked for. Raises NotFound."""
        with self._database.read() as connection:
            return programs.find(connection, tenant, name, version)

    def program_versions(self, tenant: str, name: str, page: Page) -> Listing[Program]:
        """A program's versions. Raises NotFound, InvalidRequest."""
        with self._database.read() as connection:
            return programs.versions(connection, tenant, name, page)

    def change_program(
        self, tenant: str, name: str, change: ProgramChange, if_match: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> Made[Program]:  # fmt: skip
        """Insert a new version. Raises NotFound, PreconditionFailed, IdempotencyMismatch."""
        now_us = self._clock.now_us()
        with self._database.write() as connection:
            return make_once(
                connection,
                now_us,
                idempotency,
                lambda: programs.change(connection, tenant, name, change, if_match, now_us),
                programs.dump,
                programs.parse,
            )

    def promote_program(self, tenant: str, name: str, version: int, if_match: str | None = None) -> Program:
        """Let a version be the live one. Raises NotFound, PreconditionFailed."""
        with self._database.write() as connection:
            return programs.promote(connection, tenant, name, version, if_match)

    def load_program(self, uid: str) -> Program:
        """By uid. Raises NotFound."""
        with self._database.read() as connection:
            return programs.load(connection, uid)

    def recent_programs(self, limit: int) -> Sequence[Program]:
        """The newest programs of all tenants."""
        with self._database.read() as connection:
            return programs.recent(connection, limit)

    def delete_program(self, tenant: str, name: str) -> None:
        """Remove it. Raises NotFound, InUse."""
        with self._database.write() as connection:
            programs.remove(connection, tenant, name)

    def create_session(
        self, tenant: str, spec: SessionSpec, idempotency: Idempotency | None = None
    ) -> Made[SessionRecord]:
        """Insert a session. Raises NotFound, AlreadyExists, InvalidRequest, IdempotencyMismatch."""
        now_us = self._clock.now_us()
        with self._database.write() as connection:
            return make_once(
                connection,
                now_us,
                idempotency,
                lambda: sessions.create(connection, tenant, spec, now_us),
                sessions.dump,
                sessions.parse,
            )

    def list_sessions(self, tenant: str, page: Page) -> Listing[SessionRecord]:
        """The tenant's sessions. Raises InvalidRequest."""
        with self._database.read() as connection:
            return sessions.page(connection, tenant, page)

    def get_session(self, tenant: str, session_id: str) -> SessionRecord:
        """By id. Raises NotFound."""
        with self._database.read() as connection:
            return sessions.find(connection, tenant, session_id)

    def load_session(self, uid: str) -> SessionRecord:
        """By uid. Raises NotFound."""
        with self._database.read() as connection:
            return self._memories.record(connection, uid)

    def fork_session(
        self, tenant: str, session_id: str, spec: ForkSpec, idempotency: Idempotency | None = None
    ) -> Made[SessionRecord]:
        """Insert a copy of a session as it was. Raises NotFound, Gone, AlreadyExists, IdempotencyMismatch."""
        now_us = self._clock.now_us()
        with self._database.write() as connection:
            return make_once(
                connection,
                now_us,
                idempotency,
                lambda: forks.create(connection, self._courses, (tenant, session_id), spec, now_us),
                sessions.dump,
                sessions.parse,
            )

    def delete_session(self, tenant: str, session_id: str, uid: str | None = None) -> str:
        """Remove the session and everything of its uid; gives the uid. Raises NotFound."""
        with self._database.write() as connection:
            return sessions.remove(connection, tenant, session_id, uid)

    def dedicated(self) -> Sequence[tuple[Guest, Lease]]:
        """The dedicated sessions with their leases, oldest first."""
        with self._database.read() as connection:
            return guests.every(connection)

    def commit(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Group commit under the fence; one verdict an entry, in order.

        Raises:
            AlreadyExists: A turn id of the batch is in its session's journal under another number. Nothing of the batch
                was written: commit its entries one by one, and only the culprit raises again.
            Gone: A rewind of the batch goes to a turn that was removed meanwhile; the same holds.
            Internal: Two entries of one session. Nothing was written.
            StoreUnavailable: The answer is lost: repeat the same call, until it answers.
        """
        if not entries:
            return []
        with self._database.write() as connection:
            verdicts = self._fence.commit(connection, entries)
            bindings.settle(connection, entries, verdicts)
            return verdicts

    def memory(self, uid: str, at_most: int) -> Memory:
        """What an activation needs of the past."""
        with self._database.read() as connection:
            return self._memories.of(connection, uid, at_most)

    def tail(self, uid: str, after_seq: int) -> Sequence[Entry]:
        """The journal after `after_seq`, in order: the first 5,000 entries of it."""
        with self._database.read() as connection:
            return self._memories.tail(connection, uid, after_seq)

    def read_turns(self, uid: str, ranges: Sequence[tuple[int, int]], others: int) -> Sequence[Entry]:
        """Turns by ranges of their numbers, in order."""
        with self._database.read() as connection:
            return self._courses.read(connection, uid, ranges, others)

    def put_snapshots(self, made: Sequence[Snapshot]) -> None:
        """Insert snapshots of sessions that are there."""
        with self._database.write() as connection:
            snapshots.put(connection, made)

    def state_version(self) -> int:
        """The form in which states are written."""
        with self._database.read() as connection:
            return identity.state_version(connection)

    def raise_state_version(self, version: int) -> int:
        """Let a newer form be written from now on; gives what holds then."""
        with self._database.write() as connection:
            return identity.raise_state_version(connection, version)

    def course(self, uid: str) -> Course:
        """Which turn came after which. Raises NotFound."""
        with self._database.read() as connection:
            return self._courses.course(connection, uid)

    def conversation(self, uid: str, turn: int, newest: int) -> Sequence[Entry]:
        """The last `newest` turns of the conversation as it was after a turn, in order. Raises NotFound, Gone."""
        with self._database.read() as connection:
            return self._courses.conversation(connection, uid, turn, newest)

    def entries(self, uid: str, after_seq: int = 0) -> Sequence[Entry]:
        """The journal after `after_seq`, in order."""
        with self._database.read() as connection:
            return journal.after(connection, uid, after_seq)

    def entry(self, uid: str, seq: int) -> Entry:
        """By its number. Raises NotFound."""
        with self._database.read() as connection:
            return journal.entry(connection, uid, seq)

    def turns(self, uid: str, page: Page) -> Listing[Entry]:
        """Entries of kind `turn`, oldest first whatever the page says; the cursor is a turn number."""
        with self._database.read() as connection:
            return journal.turns(connection, uid, page)

    def turn(self, uid: str, number: int) -> Entry:
        """By number. Raises NotFound, Gone."""
        with self._database.read() as connection:
            return journal.turn(connection, uid, number)

    def turn_by_id(self, uid: str, turn_id: str) -> Entry | None:
        """By the client's key."""
        with self._database.read() as connection:
            return journal.by_turn_id(connection, uid, turn_id)

    def record_failures(self, failures: Sequence[FailedTurn]) -> None:
        """Keep failed attempts."""
        with self._database.write() as connection:
            for failed in failures:
                journal.record_failure(connection, failed)

    def forget_failure(self, uid: str, turn_id: str, attempt: int) -> None:
        """Take back the record of an attempt."""
        with self._database.write() as connection:
            journal.forget_failure(connection, uid, turn_id, attempt)

    def failures(self, uid: str, turn_id: str | None = None) -> Sequence[FailedTurn]:
        """Failed attempts, oldest first; the newest 1,000 at most."""
        with self._database.read() as connection:
            return journal.failures(connection, uid, turn_id)

    def retention(self, tenant: str) -> Retention | None:
        """The tenant's own."""
        with self._database.read() as connection:
            return retention.get(connection, tenant)

    def put_retention(
        self, tenant: str, made: Retention | None, default: Retention, if_match: str | None = None
    ) -> None:  # fmt: skip
        """Let the tenant have its own, or (None) the default again. Raises PreconditionFailed."""
        with self._database.write() as connection:
            retention.put(connection, tenant, made, default, if_match)

    def claim_sweep(self, every_s: float) -> bool:
        """Whether the caller is to apply retention now."""
        with self._database.write() as connection:
            return identity.claim_sweep(connection, self._clock.now_us(), round(every_s * 1_000_000))

    def give_back_sweep(self) -> None:
        """Whoever asks next is to apply it."""
        with self._database.write() as connection:
            identity.give_back_sweep(connection)

    def removal(self) -> Removal:
        """The steps of applying retention."""
        return SqlRemoval(self._database, self._clock)

    def take_term(self) -> int:
        """The next term."""
        with self._database.write() as connection:
            return identity.take_term(connection)

    def term(self) -> int:
        """The latest term that was taken."""
        with self._database.read() as connection:
            return identity.term(connection)

    def seed_leases(self, owners: dict[str, str]) -> None:
        """Insert missing units with epoch 1 and their first host."""
        with self._database.write() as connection:
            leases.seed(connection, owners)

    def leases(self) -> Sequence[Lease]:
        """All of them, in key order."""
        with self._database.read() as connection:
            return leases.every(connection)

    def held_by(self, host: str) -> dict[str, int]:
        """The epochs of one host's leases, by unit."""
        with self._database.read() as connection:
            return leases.held_by(connection, host)

    def inherit(self, lost: str, heir: str) -> list[Lease]:
        """Move all leases of a host that is gone for good; gives what the heir holds."""

        def work(connection: Connection) -> list[Lease]:
            pins.void(connection, lost)
            return leases.inherit(connection, lost, heir)

        return self._database.takeover({lost} - {heir}, work)

    def take_over(self, seen: Sequence[Lease], host: str) -> list[Lease]:
        """Compare-and-set each lease from the epoch seen to the next; gives those that were won, in key order."""
        suspects = {old.host for old in seen} - {host}
        return self._database.takeover(suspects, lambda connection: leases.take_over(connection, seen, host))

    def hand_over(self, seen: Sequence[Lease], heir: str, staying: Sequence[tuple[str, str]]) -> list[Lease]:
        """Move units that their owner gives away; gives their leases, and those of the sessions that stay."""
        with self._database.write() as connection:
            return pins.hand_over(connection, seen, heir, staying)

    def move_session(self, uid: str, seen: Lease, host: str | None) -> Lease | None:
        """Give a session a lease of its own, or take it away; gives what it has then."""
        with self._database.write() as connection:
            return pins.move(connection, uid, seen, host)
