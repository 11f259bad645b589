"""A session's core over a real store, step by step and without a host: what is asked for is done at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from dspex_actors.clock import ManualClock
from dspex_actors.errors import DspexError
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.activation import read_session
from dspex_actors.sessions.events import Arrive, Commit, Committed, Effect, Event, Look, Ran, Reply, Start
from dspex_actors.sessions.looking import look
from dspex_actors.sessions.reading import recollect
from dspex_actors.sessions.session import Session
from dspex_actors.sessions.snapshot import encode
from dspex_actors.store import Store
from tests.unit.sessions.core import Listener


@dataclass
class Loaded:
    """What of a program matters here."""

    variables: Any
    history_window: int = 3

    def validate(self, inputs: dict[str, Any]) -> None:
        """Everything may be said."""


@dataclass
class Catalogue:
    """Programs by uid, with the declarations of their specification."""

    built: dict[str, Loaded] = field(default_factory=dict)

    def known(self, uid: str) -> Loaded | None:
        """If it was asked for before."""
        return self.built.get(uid)

    def load(self, program: Any) -> Loaded:
        """The window is a parameter."""
        window = program.spec.params.get("history_window", 3)
        return self.built.setdefault(program.uid, Loaded(program.spec.variables, window))


class Driven:
    """One session: `turn`, `ask` and `wake` are whole steps."""

    def __init__(self, store: Store, uid: str) -> None:
        self.store, self.uid = store, uid
        self.catalogue = Catalogue()
        self.programs = cast("Any", self.catalogue)
        self.clock = ManualClock()
        self.count = 0
        self.session: Session
        self.answers: list[bytes | DspexError] = []
        self.setting: dict[str, Any] = {}
        self.started: list[Start] = []
        self.wake()

    def wake(self) -> None:
        """As after a takeover."""
        self.session, _ = read_session(self.store, self.programs, self.uid, 1)

    def turn(self, **setting: Any) -> dict[str, Any]:
        """A turn whose program sets these variables; what it was given of them before."""
        self.count += 1
        self.setting = setting
        self._handle(Arrive(Listener("w"), f"t{self.count}-{self.uid}", b"h", {"q": self.count}, 0))
        return dict(self.started[-1].variables) if self.started else {}

    def ask(self, change: TurnRequest) -> dict[str, Any]:
        """A change; its answer. Raises DspexError."""
        inputs = orjson.loads(change.inputs)
        self._handle(Arrive(Listener("w"), change.turn_id, change.body_hash, inputs, 0, kind=change.kind))
        answer = self.answers[-1]
        if isinstance(answer, DspexError):
            raise answer
        found: dict[str, Any] = orjson.loads(answer)
        return found

    def keep(self) -> None:
        """Write a snapshot of now."""
        window = self.session.state.history.maxlen or 0
        made = encode(
            recollect(self.store, self.store.load_session(self.uid), window).found, self.uid, window, STATE_VERSION, 0
        )
        assert made is not None
        self.store.put_snapshots([made])

    def _handle(self, event: Event) -> None:
        for effect in self.session.handle(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Reply(_, answer):
                self.answers.append(answer)
            case Look():
                self._handle(look(self.store, self.programs, self.clock, self.session, effect))
            case Start():
                self.started.append(effect)
                effect.variables.update(self.setting)
                self._handle(Ran(effect.token, {}, {}, "mock", 0, effect.variables.changed))
            case Commit(entry):
                (verdict,) = self.store.commit([entry])
                self._handle(Committed(verdict, 0))
