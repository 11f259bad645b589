"""What can happen to a session, and what it can ask for: the two vocabularies of `session.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dspex_actors.errors import DspexError
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.programs.variables import TurnVariables
from dspex_actors.resources.binding import Binding
from dspex_actors.resources.journal import Entry, FailedTurn, Verdict
from dspex_actors.resources.variables import Declared, Values

if TYPE_CHECKING:
    from dspex_actors.sessions.suspicion import Finding

Json = dict[str, Any]


class Waiter(Protocol):
    """Somebody waits for a turn. All calls come on the host's I/O loop; the last is one `reply` or one `fail`."""

    streams: bool

    def started(self, attempt: int) -> None:
        """An attempt began; what an earlier one sent is void."""
        ...

    def token(self, n: int, field: str, delta: str) -> None:
        """A piece of an output field. `n` numbers the events of the attempt, from 1 (which `started` has)."""
        ...

    def reply(self, body: bytes, replayed: bool) -> None:
        """The committed answer, as JSON."""
        ...

    def fail(self, error: DspexError) -> None:
        """A definite error, or `outcome_unknown`."""
        ...


# Events: what happened -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Arrive:
    """A turn for this session came in; `waiter` wants its answer. `now_us` is wall-clock time, for records only.

    `resent`: it was sent before, to a host that was lost or had to give it back. `is_new`: the journal was asked, and
    has no turn of that id. `losses`: at how many losses of hosts it was running, as far as its router knows.
    """

    waiter: Waiter
    turn_id: str
    body_hash: bytes
    inputs: Json
    now_us: int
    attempt: int = 1
    expected_turn: int | None = None
    cancel_on_disconnect: bool = False
    kind: str = "turn"
    resent: bool = False
    losses: int = 0
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """The waiter's client has gone. The turn runs on, unless it asked otherwise and nobody else waits."""

    waiter: Waiter
    now_us: int


@dataclass(frozen=True, slots=True)
class Expire:
    """The waiter's deadline has passed."""

    waiter: Waiter
    now_us: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody cancels the turn. One that is being committed goes on."""

    turn_id: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Ran:
    """The program ran to its end."""

    token: int
    outputs: Json
    usage: dict[str, int]
    model: str
    now_us: int
    variables: Values = field(default_factory=dict)
    """Those that it set."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a session is to be bound to: with the program's declarations and window, and itself, ready to run.

    `shown` is the conversation as that window has it; None where it is as wide as the one before.
    """

    binding: Binding
    declared: Declared
    window: int
    program: object
    shown: tuple[HistoryTurn, ...] | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What a change needs: a rewind the end of the conversation that it goes back to, as much of it as the session
    remembers, and the variables of then; a binding what it comes to."""

    token: int
    past: tuple[HistoryTurn, ...] | None
    now_us: int
    variables: Values = field(default_factory=dict)
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """The turn was looked up, and its attempt recorded if need be."""

    token: int
    finding: Finding | DspexError
    now_us: int


@dataclass(frozen=True, slots=True)
class Raised:
    """The program failed, or what a change needs could not be found."""

    token: int
    error: DspexError
    now_us: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The writer's verdict on the entry that was sent to it."""

    verdict: Verdict
    now_us: int


@dataclass(frozen=True, slots=True)
class Stalled:
    """The store did not answer for a while. The writer goes on trying; until it knows, the session takes no turn."""

    now_us: int


@dataclass(frozen=True, slots=True)
class Release:
    """The unit belongs to another host now, or the activation broke: give back everything that waits."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The session is about to leave: what waits goes back to its router, what runs goes on."""


Event = Arrive | Leave | Expire | Cancel | Ran | Looked | Examined | Raised | Committed | Stalled | Release | GiveBack


# Effects: what the host must do ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the waiter: JSON bytes, or an error."""

    waiter: Waiter
    answer: bytes | DspexError


@dataclass(frozen=True, slots=True)
class Recall:
    """Answer the waiter from the journal: this turn is recorded (422 if its body was another).

    Should the journal not have it after all, say `arrived` again, as new.
    """

    waiter: Waiter
    turn_id: str
    body_hash: bytes
    arrived: Arrive


@dataclass(frozen=True, slots=True)
class Start:
    """Run the program; say `Ran` or `Raised` with the same token, also after an `Abort`.

    `waited`: the turn waited for another one of its session.
    """

    token: int
    turn_id: str
    attempt: int
    inputs: Json
    history: tuple[HistoryTurn, ...]
    variables: TurnVariables = field(default_factory=TurnVariables.none)
    waited: bool = False


@dataclass(frozen=True, slots=True)
class Examine:
    """Look up what is known of the turn's earlier attempts and record this one; say `Examined` with the same token."""

    token: int
    attempt: FailedTurn
    losses: int


@dataclass(frozen=True, slots=True)
class Settle:
    """The attempt that was recorded in advance has ended: write how, or take the record back, then answer."""

    uid: str
    turn_id: str
    attempt: int
    failed: FailedTurn | None
    waiters: tuple[Waiter, ...]
    answer: bytes | DspexError


@dataclass(frozen=True, slots=True)
class Look:
    """Find out what a change needs (`looking.py`); say `Looked` or `Raised` with the same token."""

    token: int
    kind: str
    inputs: Json


@dataclass(frozen=True, slots=True)
class Adopt:
    """The session was bound anew: this program runs its next turns."""

    program: object


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop the attempt if it can be stopped. Its result is not wanted any more."""

    token: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Write the entry, under the unit and epoch that it carries; say `Committed`."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Record:
    """Keep the failed attempt for people to see, then tell these: who reads what became of it finds it."""

    failed: FailedTurn
    waiters: tuple[Waiter, ...] = ()
    answer: DspexError | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """This activation is over; forget it."""


Effect = Reply | Recall | Start | Examine | Settle | Look | Adopt | Abort | Commit | Record | Stop
