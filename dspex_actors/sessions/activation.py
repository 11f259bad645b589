"""One session in a host's memory: the pure core, and the shell's own bookkeeping around it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from dspex_actors.errors import DspexError, Internal, NotFound
from dspex_actors.resources.journal import entry_answer
from dspex_actors.resources.turn import Cancellation, TurnRequest
from dspex_actors.sessions.answers import full, mismatch, moved
from dspex_actors.sessions.events import Arrive, Event, Recall, Waiter
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.run import Run
from dspex_actors.sessions.session import Session
from dspex_actors.store.port import Lease, Store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs
    from dspex_actors.programs.loaded import LoadedProgram

log = logging.getLogger(__name__)

Woken = tuple[Session, "LoadedProgram"]
Recalled = Arrive | bytes | DspexError


@dataclass(frozen=True, slots=True)
class Ask:
    """A turn as it reaches a host: for whom, under which lease, for the how manieth time.

    `seen` is the attempt and number of the last event that its caller has, so that no token is sent twice.
    `resent` says that it was sent before, to a host that was lost or gave it back; `losses` at how many losses of hosts
    it was running.
    """

    uid: str
    unit: str
    epoch: int
    attempt: int
    turn: TurnRequest
    seen: tuple[int, int] = (0, 0)
    resent: bool = False
    losses: int = 0


Coming = tuple[Ask, Waiter, float]
"""A turn on its way into its session: who waits for it, and until when on the loop's clock."""


@dataclass(slots=True)
class TokenLog:
    """What the running attempt has streamed so far, for those who join late. Gone with the turn."""

    attempt: int
    tokens: list[tuple[int, str, str]] = field(default_factory=list)

    def replay_to(self, waiter: Waiter, seen: tuple[int, int]) -> None:
        """Catch a late joiner up."""
        waiter.started(self.attempt)
        last = seen[1] if seen[0] == self.attempt else 0
        for n, name, delta in self.tokens:
            if n > last:
                waiter.token(n, name, delta)


@dataclass(slots=True)
class Activation:
    """A session that this host runs. While it is being read, `session` is None and turns wait in `backlog`."""

    uid: str
    unit: str
    epoch: int
    session: Session | None = None
    program: LoadedProgram | None = None
    backlog: list[Coming] = field(default_factory=list)
    timers: dict[Waiter, asyncio.TimerHandle] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    log: TokenLog | None = None
    cancels: dict[str, Cancellation] = field(default_factory=dict)
    used_s: float = 0.0
    held: list[Event] | None = None
    """How runs ended while a handover is under way."""
    changed: asyncio.Event | None = None
    """Set when something has happened to the session, for those who wait for its rest."""

    @property
    def is_busy(self) -> bool:
        """Whether a turn runs or is being committed."""
        return self.session is not None and self.session.busy

    @property
    def is_committing(self) -> bool:
        """Whether a turn is being committed."""
        return self.session is not None and self.session.current is not None and self.session.current.entry is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of it is under way: it may leave memory, and nobody notices."""
        return self.session is not None and not (self.runs or self.timers or self.session.in_flight)

    def retag(self, own: Lease) -> None:
        """Go on under another lease of the same owner; nothing may be on its way to be committed."""
        assert self.session is not None
        self.unit, self.epoch = own.unit, own.epoch
        self.session.epoch, self.session.record = own.epoch, replace(self.session.record, unit=own.unit)

    def tell(self) -> None:
        """Something has happened to it."""
        if self.changed is not None:
            self.changed.set()


def status_of(activation: Activation | None) -> str:
    """What a session does: `passive`, `idle` or `busy`."""
    if activation is None:
        return "passive"
    return "busy" if activation.session is None or activation.session.busy else "idle"


def wake(store: Store, programs: Programs, activation: Activation) -> Woken | DspexError:
    """What the session's journal adds up to, or why that cannot be said. Blocks; raises nothing: somebody waits."""
    try:
        return read_session(store, programs, activation.uid, activation.epoch)
    except DspexError as error:
        return error
    except Exception:
        log.exception("session %s cannot be read", activation.uid)
        return Internal("The session could not be read. The log has the cause.")


def read_session(store: Store, programs: Programs, uid: str, epoch: int) -> Woken:
    """Read a session from the store. Blocks.

    Raises:
        NotFound: It was deleted.
        StoreUnavailable: The store does not answer.
    """
    record = store.load_session(uid)
    program = programs.known(record.program_uid) or programs.load(store.load_program(record.program_uid))
    read = recollect(store, record, program.history_window)
    state, declared = read.state(program.history_window), record.own.over(program.variables)
    return Session(record, epoch, state, read.attempts, declared=declared), program


def recall(store: Store, activation: Activation, wanted: Recall) -> Recalled:
    """The recorded answer, or why there is none; the turn itself, as new, when its id only looked like a recorded one;
    Moved when the session is gone, so that this activation is stale. Blocks; raises nothing: somebody waits."""
    session, arrived = activation.session, wanted.arrived
    assert session is not None
    try:
        entry = store.turn_by_id(session.record.uid, wanted.turn_id)
        if entry is not None:
            same = entry.body_hash == wanted.body_hash
            return entry_answer(session.record.id, entry) if same else mismatch(wanted.turn_id)
        store.load_session(session.record.uid)
        if activation.program is not None and arrived.kind == "turn":
            activation.program.validate(arrived.inputs)  # which was not done for one that is recorded
        return replace(arrived, is_new=True)
    except NotFound:
        return moved()
    except DspexError as error:
        return error
    except Exception:
        log.exception("turn %s of session %s cannot be read", wanted.turn_id, session.record.uid)
        return Internal("The recorded turn could not be read. The log has the cause.")


def checked_inputs(activation: Activation, ask: Ask) -> dict[str, Any]:
    """The turn's inputs, checked by the program unless the turn is recorded, or is a change, which runs no program.
    Raises DspexError, whatever the program does."""
    session, program = activation.session, activation.program
    assert session is not None
    assert program is not None
    recorded = ask.turn.turn_id in session.state.turn_ids
    if session.is_full and not recorded and session.find(ask.turn.turn_id) is None:
        raise full()  # before anything is spent on it: of a flood, most are refused
    try:
        inputs: dict[str, Any] = orjson.loads(ask.turn.inputs)
        if ask.turn.kind == "turn" and not recorded:
            program.validate(inputs)
    except DspexError:
        raise
    except Exception:
        log.exception("the inputs of a turn of session %s could not be checked", activation.uid)
        raise Internal("The inputs could not be checked. The log has the cause.") from None
    return inputs
