"""The store as the rest of the system sees it. Every call blocks: callers run it off their event loop.

Each method is one transaction. All of them raise `StoreUnavailable` when the database cannot be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from dspex_actors.resources.course import Course
from dspex_actors.resources.journal import Entry, FailedTurn, Memory, Verdict
from dspex_actors.resources.key import ApiKey
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.resources.retention import Retention
from dspex_actors.resources.session import ForkSpec, Guest, SessionRecord, SessionSpec
from dspex_actors.resources.snapshot import Snapshot

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Idempotency:
    """An `Idempotency-Key` of a POST that is not a turn: scoped to tenant, principal and route, kept 24 h."""

    tenant: str
    principal: str
    route: str
    key: str
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """What a creation gave; `replayed` when an earlier call with the same key had made it."""

    value: T
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` items after `cursor`, newest first where `descending`."""

    limit: int = 50
    cursor: str | None = None
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page of a list, and the cursor of the next (None at the end). Of a session's turns the first `removed` are in
    no page: retention has removed them."""

    items: Sequence[T]
    next_cursor: str | None
    removed: int = 0


class Lease(NamedTuple):
    """Who runs a unit. `epoch` only ever rises; `host` is a name that is never used twice."""

    unit: str
    epoch: int
    host: str


NOBODY = "nobody"
"""The host of a dedicated session's lease before it has one."""


class Kept(NamedTuple):
    """A session as retention sees it: how many turns it had, up to where its past has been removed and wiped out, and
    when the oldest of what is left was made (entry, failed attempt; None where there is none)."""

    uid: str
    program_uid: str
    turns: int
    removed_seq: int
    removed_turns: int
    swept_seq: int
    oldest_at_us: int | None = None
    failed_at_us: int | None = None


class Held(NamedTuple):
    """What a removal is done for: the tenant's retention, as it was read, and the default of whoever read it."""

    tenant: str
    retention: Retention
    default: Retention


class Removal(Protocol):
    """The steps of removing the past of sessions. Each may be repeated, and none depends on who did the one before."""

    def tenants(self, default: Retention) -> dict[str, Retention]:
        """Those whose past is removed some day, each with what holds for it."""
        ...

    def sessions(self, tenant: str, after: str, limit: int) -> Sequence[Kept]:
        """The tenant's next sessions, by uid."""
        ...

    def bound(self, kept: Kept, turns: int | None, before_us: int | None) -> tuple[int, int]:
        """The last entry and the last turn to be removed, where so many turns stay, and nothing that is older."""
        ...

    def remove(self, uid: str, seq: int, turns: int, held: Held | None = None) -> None:
        """From now on entries up to `seq`, and turns up to `turns`, are removed. What they say is still there.

        Nothing where `held` does not hold any more."""
        ...

    def unswept(self, after: str, limit: int) -> Sequence[Kept]:
        """Sessions with removed entries that still say something, by uid."""
        ...

    def leftovers(self, uid: str, below: int, swept: int, limit: int) -> Sequence[Entry]:
        """Entries before one that still say something, newest first; up to `swept` those that `wipe` left something of.

        Reads those after `swept`, and what it gives."""
        ...

    def wipe(self, uid: str, left: Sequence[tuple[Entry, bytes]]) -> None:
        """Leave of entries, as they were read, no more than that; of one that has changed since what is there."""
        ...

    def swept(self, uid: str, seq: int) -> None:
        """Entries up to `seq` are wiped out; snapshots that end before it are removed."""
        ...

    def old_failures(self, uid: str, before_us: int, after: FailedTurn | None, limit: int) -> Sequence[FailedTurn]:
        """Failed attempts older than that, oldest first, and after one of them."""
        ...

    def trusts(self, now_us: int) -> bool:
        """Whether things may be removed for their age at that time. It is remembered: see `resources/retention.py`."""
        ...

    def remove_failures(self, failed: Sequence[FailedTurn], held: Held | None = None) -> None:
        """Delete attempts, but none that may still run; what says of a turn that it is poison stays, but its inputs.

        Nothing where `held` does not hold any more."""
        ...


class Store(Protocol):
    """Resources, journal and leases in one database."""

    store_id: str
    """Random, made with the store: a process that finds another one refuses to work."""
    stream_key: bytes
    """32 random bytes made with `store_id`: the key of the router-host handshake."""

    def close(self) -> None:
        """Close every connection."""
        ...

    def ping(self) -> None:
        """Read one row."""
        ...

    def warm(self) -> None:
        """Do ahead what the first commits would otherwise pay for. A host calls it before it serves."""
        ...

    # Keys ------------------------------------------------------------------------------------------------------
    def put_key(self, key: ApiKey) -> None:
        """Insert a key; one with the same `id` is replaced."""
        ...

    def add_key(self, key: ApiKey) -> bool:
        """Insert a key unless there is one with its `id`; whether it was inserted."""
        ...

    def has_key(self, key_id: str) -> bool:
        """Whether there is a key with that `id`, expired or not."""
        ...

    def find_key(self, sha256: str) -> ApiKey | None:
        """The key of that hash, expired or not."""
        ...

    # Programs --------------------------------------------------------------------------------------------------
    def create_program(self, tenant: str, spec: ProgramSpec, idempotency: Idempotency | None = None) -> Made[Program]:
        """Insert version 1. Raises AlreadyExists, IdempotencyMismatch."""
        ...

    def list_programs(self, tenant: str, page: Page) -> Listing[Program]:
        """The tenant's programs."""
        ...

    def get_program(self, tenant: str, name: str, version: int | None = None) -> Program:
        """The live version, or the one asked for. Raises NotFound."""
        ...

    def program_versions(self, tenant: str, name: str, page: Page) -> Listing[Program]:
        """A program's versions. Raises NotFound."""
        ...

    def change_program(
        self, tenant: str, name: str, change: ProgramChange, if_match: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> Made[Program]:  # fmt: skip
        """Insert a new version: the live one, changed; the live one stays live. Raises NotFound, PreconditionFailed,
        IdempotencyMismatch."""
        ...

    def promote_program(self, tenant: str, name: str, version: int, if_match: str | None = None) -> Program:
        """Let a version be the live one. Raises NotFound, PreconditionFailed."""
        ...

    def load_program(self, uid: str) -> Program:
        """By uid, for a host. Raises NotFound."""
        ...

    def recent_programs(self, limit: int) -> Sequence[Program]:
        """The newest programs of all tenants, for a standby that builds them before they are needed."""
        ...

    def delete_program(self, tenant: str, name: str) -> None:
        """Remove it. Raises NotFound, InUse (while sessions are bound to it)."""
        ...

    # Sessions --------------------------------------------------------------------------------------------------
    def create_session(
        self, tenant: str, spec: SessionSpec, idempotency: Idempotency | None = None
    ) -> Made[SessionRecord]:
        """Insert a session bound to the program's live version. Raises NotFound, AlreadyExists, IdempotencyMismatch."""
        ...

    def list_sessions(self, tenant: str, page: Page) -> Listing[SessionRecord]:
        """The tenant's sessions."""
        ...

    def get_session(self, tenant: str, session_id: str) -> SessionRecord:
        """By id. Raises NotFound."""
        ...

    def load_session(self, uid: str) -> SessionRecord:
        """By uid, for a host's activation. Raises NotFound."""
        ...

    def fork_session(
        self, tenant: str, session_id: str, spec: ForkSpec, idempotency: Idempotency | None = None
    ) -> Made[SessionRecord]:
        """Insert a session of the same program version with a copy of the journal up to `at_turn`, or all of it; the
        copies have no turn ids. Raises NotFound (session, turn), Gone (turn), AlreadyExists, IdempotencyMismatch."""
        ...

    def delete_session(self, tenant: str, session_id: str, uid: str | None = None) -> str:
        """Remove the session (only the one of that uid, if given) and everything of its uid; gives the uid. Raises
        NotFound."""
        ...

    def dedicated(self) -> Sequence[tuple[Guest, Lease]]:
        """The dedicated sessions of all tenants, oldest first, with their leases."""
        ...

    # Journal ---------------------------------------------------------------------------------------------------
    def commit(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Group commit under the fence, in the order given; at most one entry a session. One verdict an entry.

        An entry whose row is already there with the same turn id and body hash is COMMITTED (a lost COMMIT answer).
        """
        ...

    def memory(self, uid: str, at_most: int) -> Memory:
        """What an activation needs: the newest snapshot up to an entry, what came after it (the first part of very
        much), failed attempts."""
        ...

    def tail(self, uid: str, after_seq: int) -> Sequence[Entry]:
        """The journal after `after_seq`, in order: as much as is read at once."""
        ...

    def read_turns(self, uid: str, ranges: Sequence[tuple[int, int]], others: int) -> Sequence[Entry]:
        """Turns by ranges of their numbers, in order; `others` says how many entries are no turns, or more."""
        ...

    def put_snapshots(self, made: Sequence[Snapshot]) -> None:
        """Insert snapshots, but none of a session that is gone; the last two of each are kept."""
        ...

    def state_version(self) -> int:
        """The form in which states are written: one that every host reads."""
        ...

    def raise_state_version(self, version: int) -> int:
        """Say that every host reads `version`. It only rises; gives what holds then."""
        ...

    def course(self, uid: str) -> Course:
        """Which turn came after which. Raises NotFound."""
        ...

    def conversation(self, uid: str, turn: int, newest: int) -> Sequence[Entry]:
        """The last `newest` turns of the conversation as it was after a turn (0: none), in order: as many as are left.
        Raises NotFound, and Gone where the turn itself has been removed."""
        ...

    def entries(self, uid: str, after_seq: int = 0) -> Sequence[Entry]:
        """The journal after `after_seq`, in order."""
        ...

    def entry(self, uid: str, seq: int) -> Entry:
        """By its number. Raises NotFound."""
        ...

    def turns(self, uid: str, page: Page) -> Listing[Entry]:
        """Entries of kind `turn`, oldest first; the cursor is a turn number."""
        ...

    def turn(self, uid: str, number: int) -> Entry:
        """By number. Raises NotFound, Gone."""
        ...

    def turn_by_id(self, uid: str, turn_id: str) -> Entry | None:
        """By the client's key; an entry that says nothing (`is_removed`) where retention has removed it."""
        ...

    def record_failures(self, failures: Sequence[FailedTurn]) -> None:
        """Keep failed attempts (same key and attempt: replaced). A session that is gone is no error."""
        ...

    def forget_failure(self, uid: str, turn_id: str, attempt: int) -> None:
        """Take back the record of an attempt, if there is one."""
        ...

    def failures(self, uid: str, turn_id: str | None = None) -> Sequence[FailedTurn]:
        """Failed attempts of a session, or of one turn, oldest first; the newest 1,000 at most."""
        ...

    # Retention -------------------------------------------------------------------------------------------------
    def retention(self, tenant: str) -> Retention | None:
        """The tenant's own; None where the default holds."""
        ...

    def put_retention(
        self, tenant: str, made: Retention | None, default: Retention, if_match: str | None = None
    ) -> None:  # fmt: skip
        """Let the tenant have its own, or (None) the default again. Raises PreconditionFailed."""
        ...

    def claim_sweep(self, every_s: float) -> bool:
        """Whether the caller is to apply retention now: nobody has begun to within this time."""
        ...

    def give_back_sweep(self) -> None:
        """The caller did not end what it claimed: whoever asks next is to apply retention."""
        ...

    def removal(self) -> Removal:
        """The steps of applying it."""
        ...

    # Leases ----------------------------------------------------------------------------------------------------
    def take_term(self) -> int:
        """The next term, for a placement that starts."""
        ...

    def term(self) -> int:
        """The latest term that was taken."""
        ...

    def seed_leases(self, owners: dict[str, str]) -> None:
        """Insert missing units with epoch 1 and their first host."""
        ...

    def leases(self) -> Sequence[Lease]:
        """All of them."""
        ...

    def held_by(self, host: str) -> dict[str, int]:
        """The epochs of one host's leases, by unit."""
        ...

    def inherit(self, lost: str, heir: str) -> list[Lease]:
        """Move every lease of `lost`, a host that is gone for good, to the next epoch; gives all that `heir` holds."""
        ...

    def take_over(self, seen: Sequence[Lease], host: str) -> list[Lease]:
        """Compare-and-set each lease from the epoch seen to the next, in key order; gives those that were won."""
        ...

    def hand_over(self, seen: Sequence[Lease], heir: str, staying: Sequence[tuple[str, str]]) -> list[Lease]:
        """Compare-and-set leases from their owner to `heir`; sessions that stay (uid, unit) get leases of their own at
        the old owner. Gives all these leases as they are then: repeat a call whose answer was lost."""
        ...

    def move_session(self, uid: str, seen: Lease, host: str | None) -> Lease | None:
        """Give a session to `host` by a lease of its own, or back to its shard, if `seen` is still its lease. Gives its
        own lease as it is then: repeat a call whose answer was lost."""
        ...
