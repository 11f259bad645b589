"""What a turn gives back: a reply, or events that end in one."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from dspex_actors.client.failures import problem_error
from dspex_actors.errors import DspexError

# Any: JSON objects are open dictionaries.
Json = dict[str, Any]

TERMINAL = frozenset({"turn.completed", "turn.failed"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A committed turn: it is in the session's journal, whatever is killed afterwards.

    `outputs` has the signature's fields as attributes (`vars(reply.outputs)` is the dictionary). `replayed` says that
    the turn was recorded before this request reached the server: an earlier call used its key, or an answer was lost.
    """

    session: str
    turn: int
    turn_id: str
    outputs: SimpleNamespace
    usage: Json
    model: str
    latency_ms: float
    attempts: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a streamed turn.

    `name` is `turn.started` (`data`: `turn_id`, `attempt`; a higher attempt voids the tokens so far), `status`,
    `token` (`field`, `delta`), `turn.completed` (the whole answer) or `turn.failed` (a problem); the last event is one
    of the last two. `id` is `<attempt>.<n>`.
    """

    id: str
    name: str
    data: Json
    replayed: bool = False

    @property
    def reply(self) -> Reply | None:
        """The reply, of `turn.completed`."""
        return reply_of(self.data, self.replayed) if self.name == "turn.completed" else None

    @property
    def error(self) -> DspexError | None:
        """The typed error, of `turn.failed`."""
        return problem_error(self.data) if self.name == "turn.failed" else None


def reply_of(answer: Json, replayed: bool) -> Reply:
    """The reply that an answer describes; members that this version does not know are left out."""
    fields = {name: answer[name] for name in ("session", "turn", "turn_id", "usage", "model", "latency_ms", "attempts")}
    return Reply(**fields, outputs=SimpleNamespace(**answer["outputs"]), replayed=replayed)


def failed(error: DspexError, last: Event) -> Event:
    """The terminal event of a turn that failed after `last`."""
    attempt, _, number = last.id.partition(".")
    return Event(f"{attempt}.{int(number or 0) + 1}", "turn.failed", error.problem())
