"""Journal entries: the numbered changes of a session, and what a commit says about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from dspex_actors.errors import Gone, StoreUnavailable
from dspex_actors.ids import rfc3339
from dspex_actors.resources.course import Rewind
from dspex_actors.resources.snapshot import Snapshot

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one session, under the unit and epoch that it started with.

    `delta` is JSON text. For a `turn`: `inputs`, `outputs`, `usage`, `model`, `program`, `version`, `attempts`,
    `started_at_us`, `latency_ms`. For a `rewind`: `to_turn`, `last_turn` (the last one ever at that time). For a
    `fork`, which ends what a fork has copied: `id`, `uid` and `turn` of its origin. For a `variable`: `values`, those
    that were set. For a `bind` or a `model`: `binding`, all of it.

    `variables`, in a turn, a rewind or a `variable`: all values that are set from then on. `variables_at`, in a turn
    that changed none: which entry was the last to do so.

    Of an entry that retention has removed `delta` is empty, or has what the state still needs of it (`left_of`).
    """

    uid: str
    seq: int
    kind: str
    turn: int | None
    turn_id: str | None
    body_hash: bytes
    delta: bytes
    at_us: int
    unit: str = ""
    epoch: int = 0
    format_version: int = FORMAT_VERSION

    @property
    def is_removed(self) -> bool:
        """Whether nothing but its number and its key is left."""
        return not self.delta

    @property
    def has_exchange(self) -> bool:
        """Whether it is a turn that can be shown: of a removed one nothing may be left, or only variables."""
        if self.delta.startswith(b'{"inputs":'):
            return True  # most need not be parsed for that
        return b'"inputs":' in self.delta and "inputs" in orjson.loads(self.delta)


class Verdict(Enum):
    """What became of one entry of a group commit."""

    COMMITTED = "committed"
    MOVED = "moved"
    """The lease is at another epoch: the new owner's journal decides."""
    REFUSED = "refused"
    """The database does not take this entry, whoever sends it: nothing of it is there."""
    GONE = "gone"
    """A rewind to a turn that retention has removed meanwhile: nothing of it is there."""
    DROPPED = "dropped"
    """The session is gone, or its journal has gone on: this activation is stale."""


@dataclass(frozen=True, slots=True)
class FailedTurn:
    """An attempt that ended in a definite error; for people to see. It has no number and is in no state."""

    uid: str
    turn_id: str
    attempt: int
    after_turn: int
    inputs: bytes
    problem: bytes
    at_us: int

    def public(self) -> dict[str, Any]:
        """The attempt as the API shows it."""
        return {
            "turn_id": self.turn_id,
            "status": "failed",
            "after_turn": self.after_turn,
            "attempts": self.attempt,
            "inputs": orjson.loads(self.inputs),
            "error": orjson.loads(self.problem),
            "completed_at": rfc3339(self.at_us),
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """What an activation needs of a session's past.

    Attributes:
        snapshot: The newest that was asked for; None where there is none.
        entries: Those after it, in order, as many as are read at once.
        attempts: How often turns that failed were started, by turn id; of the newest 1,000 failures.
    """

    snapshot: Snapshot | None
    entries: Sequence[Entry]
    attempts: dict[str, int]


def rewind_of(entry: Entry) -> Rewind:
    """What an entry of kind `rewind` says."""
    delta = orjson.loads(entry.delta)
    return Rewind(delta["last_turn"], delta["to_turn"])


def left_of(entry: Entry, shown: bool, values: bool) -> bytes:
    """What is left of an entry's delta when the entry is removed.

    Args:
        entry: The entry, or what an earlier removal has left of it.
        shown: Whether it is a turn that a program is still shown: its inputs and outputs stay.
        values: Whether it was the last to change variables before the oldest entry that is kept: the values stay.
    """
    if entry.kind == "fork" or entry.is_removed:
        return entry.delta
    stays = {"rewind": ("to_turn", "last_turn"), "turn": ("inputs", "outputs") if shown else ()}.get(entry.kind, ())
    delta = orjson.loads(entry.delta)
    left = {name: delta[name] for name in (*stays, *(["variables"] if values else [])) if name in delta}
    return orjson.dumps(left) if left else b""


def can_lose(entry: Entry) -> bool:
    """Whether a later removal may leave less of a removed entry than there is."""
    return left_of(entry, shown=False, values=False) != entry.delta


def check_left(entry: Entry) -> None:
    """Raises Gone for an entry that retention has removed."""
    if entry.is_removed:
        raise Gone(
            f"What {entry.turn_id or f'turn {entry.turn}'} did was recorded, and has been removed as the retention of "
            "this tenant says. It is in the session, and does not run again; use a fresh key for a new turn."
        )


def check_format(entry: Entry) -> None:
    """Raises StoreUnavailable for a format that this program does not know."""
    if entry.format_version > FORMAT_VERSION:
        raise StoreUnavailable(
            f"Entry {entry.seq} of this session has format {entry.format_version}; this program knows up to "
            f"{FORMAT_VERSION}. Run the newer program that wrote it."
        )


def public_turn(entry: Entry, left: bool) -> dict[str, Any]:
    """A committed turn as the API shows it; `left` when it is not in the present conversation. Raises Gone."""
    check_left(entry)
    delta = orjson.loads(entry.delta)
    return {
        "turn": entry.turn,
        "turn_id": entry.turn_id,
        "status": "completed",
        "inputs": delta["inputs"],
        "outputs": delta["outputs"],
        "usage": delta["usage"],
        "model": delta["model"],
        "program": delta["program"],
        "version": delta["version"],
        "attempts": delta["attempts"],
        "left": left,
        "started_at": rfc3339(delta["started_at_us"]),
        "completed_at": rfc3339(entry.at_us),
    }


def public_change(entry: Entry) -> dict[str, Any]:
    """A committed change that is no turn, to somebody who asks what became of its key. Raises Gone."""
    check_left(entry)
    return {
        "turn_id": entry.turn_id,
        "status": "completed",
        "kind": entry.kind,
        "inputs": _inputs(entry),
        "attempts": 1,
        "completed_at": rfc3339(entry.at_us),
    }


def _inputs(entry: Entry) -> dict[str, Any]:
    """What a change that is no turn was about."""
    delta = orjson.loads(entry.delta)
    match entry.kind:
        case "rewind":
            return {"to_turn": delta["to_turn"]}
        case "variable":
            values: dict[str, Any] = delta["values"]
            return values
        case _:
            return {name: value for name, value in delta["binding"].items() if name != "program_uid"}


def entry_answer(session_id: str, entry: Entry) -> bytes:
    """The answer to what the entry records. Raises Gone where that has been removed."""
    check_left(entry)
    match entry.kind:
        case "turn":
            return turn_answer(session_id, entry)
        case "rewind":
            return rewind_answer(session_id, entry)
        case _:
            return change_answer(session_id, entry)


def change_answer(session_id: str, entry: Entry) -> bytes:
    """The answer to a committed change of variables or of what the session is bound to; `seq` is what it is read by."""
    name = "values" if entry.kind == "variable" else "binding"
    answer = {"session": session_id, "turn_id": entry.turn_id, name: _inputs(entry), "seq": entry.seq}
    return orjson.dumps(answer)


def rewind_answer(session_id: str, entry: Entry) -> bytes:
    """The answer to a committed rewind, the same at first and at every replay."""
    last, to_turn = rewind_of(entry)
    answer = {"session": session_id, "turn_id": entry.turn_id, "to_turn": to_turn, "next_turn": last + 1}
    return orjson.dumps(answer)


def turn_answer(session_id: str, entry: Entry) -> bytes:
    """The answer to a committed turn, the same bytes' meaning at first and at every replay."""
    delta = orjson.loads(entry.delta)
    return orjson.dumps(
        {
            "session": session_id,
            "turn": entry.turn,
            "turn_id": entry.turn_id,
            "outputs": delta["outputs"],
            "usage": delta["usage"],
            "latency_ms": delta["latency_ms"],
            "model": delta["model"],
            "attempts": delta["attempts"],
        }
    )
