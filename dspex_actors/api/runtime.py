"""What the API needs of the system below it. `sessions.runtime` implements it, on Ray and in one process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from dspex_actors.resources.key import Principal
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.resources.retention import Held, Retention
from dspex_actors.resources.session import ForkSpec, SessionChange, SessionSpec
from dspex_actors.resources.turn import TurnAnswer, TurnEvent, TurnRequest
from dspex_actors.store.port import Idempotency, Listing, Made, Page

Json = dict[str, Any]


class Runtime(Protocol):
    """Everything that the HTTP surface can ask for. Each call raises `DspexError`s only."""

    async def authenticate(self, secret: str) -> Principal:
        """Who holds this key. Raises Unauthenticated (unknown, expired)."""
        ...

    async def create_program(self, tenant: str, spec: ProgramSpec, idempotency: Idempotency | None) -> Made[Program]:
        """Check the specification by building it, then store it. Raises InvalidRequest, UnknownType, AlreadyExists."""
        ...

    async def list_programs(self, tenant: str, page: Page) -> Listing[Program]:
        """A page of programs."""
        ...

    async def get_program(self, tenant: str, name: str) -> Program:
        """By name. Raises NotFound."""
        ...

    async def program_versions(self, tenant: str, name: str, page: Page) -> Listing[Program]:
        """A page of a program's versions. Raises NotFound."""
        ...

    async def change_program(
        self, tenant: str, name: str, change: ProgramChange, if_match: str | None, idempotency: Idempotency | None
    ) -> Made[Program]:
        """A new version, which is not live yet. Raises NotFound, InvalidRequest, UnknownType, PreconditionFailed."""
        ...

    async def promote_program(self, tenant: str, name: str, version: int, if_match: str | None) -> Program:
        """Let a version be the live one. Raises NotFound, PreconditionFailed."""
        ...

    async def delete_program(self, tenant: str, name: str) -> None:
        """Raises NotFound, InUse."""
        ...

    async def create_session(self, tenant: str, spec: SessionSpec, idempotency: Idempotency | None) -> Made[Json]:
        """A session as the API shows it. Raises NotFound (program), AlreadyExists."""
        ...

    async def fork_session(
        self, tenant: str, session_id: str, spec: ForkSpec, idempotency: Idempotency | None
    ) -> Made[Json]:
        """A new session with the past of another one, as the API shows it. Raises NotFound (session, turn),
        AlreadyExists."""
        ...

    async def list_sessions(self, tenant: str, page: Page) -> Listing[Json]:
        """A page of sessions as the API shows them."""
        ...

    async def get_session(self, tenant: str, session_id: str) -> Json:
        """A session as the API shows it. Raises NotFound."""
        ...

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """Remove it and all that is its. Raises NotFound."""
        ...

    async def variables(self, tenant: str, session_id: str) -> Json:
        """`session`, its `variables` (value, whether it was set, declaration), and the `seq` of their last change.
        Raises NotFound."""
        ...

    async def change_session(
        self, tenant: str, session_id: str, change: SessionChange, if_match: int | None, key: str | None,
        timeout_s: float = 60.0,
    ) -> Made[Json]:  # fmt: skip
        """Bind a session to something else, in line with its turns; gives it as the API shows it. Raises NotFound,
        InvalidRequest, PreconditionFailed, and what a turn raises."""
        ...

    async def restart_session(self, tenant: str, session_id: str) -> Json:
        """Let a session wake anew from its recorded turns, out of quarantine too; what runs in it is cancelled.
        Raises NotFound, NoCapacity."""
        ...

    async def migrate_session(self, tenant: str, session_id: str, host: str | None, patience_s: float) -> Json:
        """Move a session to a host, by default another one with little to do, when its turn has ended: `session`,
        `from`, `to`, `pause_ms`. Raises NotFound (session, host), NoCapacity, SessionBusy."""
        ...

    async def drain_host(self, host: str, timeout_s: float) -> Json:
        """Let a host give away all it has and end: `host`, `status`, `moved`, `left`. Raises NotFound, NoCapacity."""
        ...

    async def cancel_turn(self, tenant: str, session_id: str, turn_id: str | None, key: str) -> Made[Json]:
        """Cancel that turn, waiting or running, or the one that runs: `session`, and which turns are `cancelled` or
        were `too_late`. Repeated with the same key (or "") it cancels no other. Raises NotFound, NoCapacity."""
        ...

    async def predict(self, tenant: str, session_id: str, turn: TurnRequest) -> TurnAnswer:
        """Run a turn, or make a change that goes the way of one, to its end. Cancelling this call leaves the turn
        running, unless it asked for `cancel_on_disconnect`."""
        ...

    def stream(self, tenant: str, session_id: str, turn: TurnRequest) -> AsyncGenerator[TurnEvent]:
        """The turn as events, the last `turn.completed` or `turn.failed`. Raises before the first event what is wrong
        with the request itself. Closing the iterator is the client going away."""
        ...

    def watch(
        self, tenant: str, session_id: str, turn_id: str, last_event: tuple[int, int], timeout_s: float
    ) -> AsyncGenerator[TurnEvent]:
        """The events after `last_event` (attempt, number) of a turn that was sent by somebody, the last one terminal.
        Starts nothing; closing the iterator cancels nothing. Raises before the first event NotFound, HostLost (it had
        begun, and is nowhere now), OutcomeUnknown (it has not ended in this time)."""
        ...

    async def turns(self, tenant: str, session_id: str, page: Page, include_failed: bool) -> Listing[Json]:
        """A page of turns as the API shows them, oldest first, and how many before those were removed."""
        ...

    async def turn(self, tenant: str, session_id: str, number: int) -> Json:
        """One turn. Raises NotFound, Gone."""
        ...

    async def turn_by_id(self, tenant: str, session_id: str, turn_id: str) -> Json:
        """The outcome of a turn whose answer was lost: completed, or its last failed attempt. Raises NotFound,
        Gone."""
        ...

    async def retention(self, tenant: str) -> Held:
        """How long the past of the tenant's sessions is kept."""
        ...

    async def put_retention(self, tenant: str, made: Retention | None, if_match: str | None) -> Held:
        """Change that, or (None) let the server's default hold; gives what holds then. Raises PreconditionFailed."""
        ...

    async def tree(self) -> Json:
        """The supervision tree: a node as API.md describes it."""
        ...

    async def unready(self) -> list[str]:
        """The parts that are not ready to serve, named; empty when all are."""
        ...

    def info(self) -> Json:
        """Version, models and whether the mock engine answers: what `/info` shows."""
        ...
