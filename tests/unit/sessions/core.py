"""A session core on a bench: events in by hand, effects out, and a journal that obeys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from dspex_actors.errors import DspexError, ProgramFailed
from dspex_actors.resources.journal import Entry, FailedTurn, Verdict
from dspex_actors.resources.session import OnBusy, SessionRecord
from dspex_actors.sessions.events import (
    Abort,
    Arrive,
    Commit,
    Committed,
    Event,
    Examine,
    Examined,
    Look,
    Looked,
    Raised,
    Ran,
    Recall,
    Record,
    Reply,
    Settle,
    Start,
    Stop,
)
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.state import State, empty, exchange, replay
from dspex_actors.sessions.suspicion import Finding
from tests.support.time_travel import Law

RECORD = SessionRecord("UID", "default", "alice", "PUID", "qa", 1, None, 7, "shard:7", 0, 0, 0)
USAGE = {"calls": 1}


class Listener:
    """Somebody who waits, known by a name."""

    streams = False

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def started(self, attempt: int) -> None: ...

    def token(self, n: int, field: str, delta: str) -> None: ...

    def reply(self, body: bytes, replayed: bool) -> None: ...

    def fail(self, error: DspexError) -> None: ...


@dataclass
class Bench:
    """The session under test and everything that it has asked for."""

    session: Session = field(default_factory=lambda: Session(RECORD, 1, empty(20)))
    starts: list[Start] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    examines: list[Examine] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)
    aborts: list[int] = field(default_factory=list)
    commits: list[Entry] = field(default_factory=list)
    replies: dict[str, list[bytes | DspexError]] = field(default_factory=dict)
    recalls: list[str] = field(default_factory=list)
    failures: list[FailedTurn] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    listeners: dict[str, Listener] = field(default_factory=dict)
    stopped: bool = False

    def tell(self, event: Event) -> None:
        """Feed one event and sort the effects."""
        for effect in self.session.handle(event):
            match effect:
                case Start():
                    self.starts.append(effect)
                case Look():
                    self.looks.append(effect)
                case Examine():
                    self.examines.append(effect)
                case Settle():
                    self.settles.append(effect)
                    for waiter in effect.waiters:
                        self.replies.setdefault(str(waiter), []).append(effect.answer)
                case Abort(token):
                    self.aborts.append(token)
                case Commit(entry):
                    self.commits.append(entry)
                case Reply(waiter, answer):
                    self.replies.setdefault(str(waiter), []).append(answer)
                case Recall(waiter, turn_id):
                    self.recalls.append(turn_id)
                    self.replies.setdefault(str(waiter), []).append(b"recalled")
                case Record(failed, waiters, answer):
                    self.failures.append(failed)
                    for waiter in waiters:
                        assert answer is not None
                        self.replies.setdefault(str(waiter), []).append(answer)
                case Stop():
                    self.stopped = True

    def listener(self, name: str) -> Listener:
        """The one waiter of that name."""
        return self.listeners.setdefault(name, Listener(name))

    def arrive(self, name: str, turn_id: str | None = None, body: bytes = b"same", **more: Any) -> None:
        """A turn comes in; its waiter has the name, and so has the turn unless told otherwise."""
        self.tell(Arrive(self.listener(name), turn_id or name, body, {"q": turn_id or name}, 0, **more))

    def rewind(self, name: str, to_turn: int, turn_id: str | None = None) -> None:
        """A rewind comes in."""
        inputs = {"to_turn": to_turn}
        self.tell(Arrive(self.listener(name), turn_id or name, b"%d" % to_turn, inputs, 0, kind="rewind"))

    def looked(self, number: int = -1) -> None:
        """The past of the last rewind was read, all of it; or that of an earlier one."""
        look = self.looks[number]
        past = [exchange(entry) for entry in self.journal if entry.turn in self.law().after[look.inputs["to_turn"]]]
        self.tell(Looked(look.token, tuple(past), 1000))

    def rewound(self, name: str, to_turn: int) -> dict[str, Any]:
        """One whole rewind; its answer."""
        self.rewind(name, to_turn)
        self.looked()
        self.committed()
        return self.answer(name)

    def law(self) -> Law:
        """What the journal comes to."""
        law = Law()
        for entry in self.journal:
            if entry.kind == "turn":
                law.turn()
            else:
                law.rewind(orjson.loads(entry.delta)["to_turn"])
        return law

    def ran(self, token: int | None = None) -> None:
        """The running program ends well."""
        token = self.starts[-1].token if token is None else token
        self.tell(Ran(token, {"a": token}, dict(USAGE), "mock", 1000))

    def examined(self, finding: Finding | DspexError) -> None:
        """The last turn that was looked up may begin, or not."""
        self.tell(Examined(self.examines[-1].token, finding, 999))

    def raised(self, token: int | None = None) -> None:
        """The running program fails."""
        self.tell(Raised(self.starts[-1].token if token is None else token, ProgramFailed("It raised."), 1000))

    def committed(self, verdict: Verdict = Verdict.COMMITTED) -> None:
        """The writer says what became of the last entry."""
        if verdict is Verdict.COMMITTED:
            self.journal.append(self.commits[-1])
        self.tell(Committed(verdict, 1001))

    def turn(self, name: str) -> dict[str, Any]:
        """One whole turn; its answer."""
        self.arrive(name)
        self.ran()
        self.committed()
        return self.answer(name)

    def answer(self, name: str) -> dict[str, Any]:
        """The one answer that the waiter got."""
        (answer,) = self.replies[name]
        assert isinstance(answer, bytes)
        found: dict[str, Any] = orjson.loads(answer)
        return found

    def error(self, name: str) -> str:
        """The code of the one error that the waiter got."""
        (answer,) = self.replies[name]
        assert isinstance(answer, DspexError)
        return answer.code

    def replayed(self) -> State:
        """The state as the journal alone gives it."""
        return replay(self.journal, self.session.state.history.maxlen or 0)


def busy_bench(on_busy: OnBusy, shown: int = 20) -> Bench:
    """A bench whose session has that policy."""
    return Bench(Session(replace(RECORD, on_busy=on_busy), 1, empty(shown)))
