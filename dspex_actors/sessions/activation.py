"""One session in a host's memory: the pure core, and the shell's own bookkeeping around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dspex_actors.errors import DspexError, NotFound
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.events import Waiter
from dspex_actors.sessions.runner import Run
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.state import replay
from dspex_actors.store.port import Store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs
    from dspex_actors.programs.loaded import LoadedProgram


@dataclass(frozen=True, slots=True)
class Ask:
    """A turn as it reaches a host: for whom, under which lease, for the how manieth time."""

    uid: str
    unit: str
    epoch: int
    attempt: int
    turn: TurnRequest


@dataclass(slots=True)
class TokenLog:
    """What the running attempt has streamed so far, for those who join late. Gone with the turn."""

    attempt: int
    tokens: list[tuple[int, str, str]] = field(default_factory=list)

    def replay_to(self, waiter: Waiter) -> None:
        """Catch a late joiner up."""
        waiter.started(self.attempt)
        for n, name, delta in self.tokens:
            waiter.token(n, name, delta)


@dataclass(slots=True)
class Activation:
    """A session that this host runs. While it is being read, `session` is None and turns wait in `backlog`."""

    uid: str
    unit: str
    epoch: int
    session: Session | None = None
    program: LoadedProgram | None = None
    backlog: list[tuple[Ask, Waiter, float]] = field(default_factory=list)
    timers: dict[Waiter, asyncio.TimerHandle] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    log: TokenLog | None = None


def read_session(store: Store, programs: Programs, uid: str, epoch: int) -> tuple[Session, LoadedProgram]:
    """Read a session from the store and replay its journal. Blocks.

    Raises:
        NotFound: It was deleted.
        StoreUnavailable: The store does not answer.
    """
    record = store.load_session(uid)
    program = programs.load(store.load_program(record.program_uid))
    state = replay(store.entries(uid), program.history_window)
    attempts: dict[str, int] = {}
    for failed in store.failures(uid):
        attempts[failed.turn_id] = max(failed.attempt, attempts.get(failed.turn_id, 0))
    return Session(record, epoch, state, attempts), program


def fail_backlog(activation: Activation, error: DspexError, forget: Callable[[str], None]) -> None:
    """The session cannot be read: everybody who waits for it hears why."""
    forget(activation.uid)
    for _, waiter, _ in activation.backlog:
        waiter.fail(error)
    activation.backlog.clear()


def gone(uid: str) -> NotFound:
    """The session was deleted while it was in use."""
    return NotFound(f"The session {uid} is gone. Create it again.")
