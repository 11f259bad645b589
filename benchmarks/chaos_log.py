"""What clients write down of their turns, and nothing else: the checkers read it, and import nothing of the product."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

SHOWN = 8
"""How many earlier turns the program is shown, and names in its answer."""


class Outcome(Enum):
    """What a client knows of its turn."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A turn's answer: its number, and what the program saw when it ran.

    Attributes:
        turn: The number that the server gave it.
        number: How many turns there were for the program, this one included.
        digest: The digest of all keys up to this turn's, in order (`digest_of`).
        after: The keys of the last turns that it was shown, at most `SHOWN`, in order.
        process: The process that ran it.
    """

    turn: int
    number: int
    digest: str
    after: tuple[str, ...]
    process: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One keyed turn as its client saw it, all its tries together. Times are seconds on the clients' one clock.

    Attributes:
        due: When it should have been sent.
        sent: When it was.
        done: When the last word came; None where none did.
        outcome: `DONE` was acknowledged; `NOT_DONE` got definite errors only; all else is `UNKNOWN`.
        pause_s: How long the program was asked to take.
        wanted: False when the client meant to go away without an answer.
        errors: What each try got that was no success: a problem's code, or what became of the connection.
    """

    client: int
    session: str
    key: str
    due: float
    sent: float
    done: float | None
    outcome: Outcome
    answer: Answer | None = None
    pause_s: float = 0.0
    wanted: bool = True
    errors: tuple[str, ...] = ()


def digest_of(before: str, key: str) -> str:
    """The digest of a history that goes on with this key: equal digests are equal histories."""
    return hashlib.sha256(f"{before}/{key}".encode()).hexdigest()[:24]


def write_log(path: Path, operations: Iterable[Operation]) -> None:
    """One JSON object a line."""
    with path.open("w") as file:
        for operation in operations:
            file.write(json.dumps({**asdict(operation), "outcome": operation.outcome.value}) + "\n")


def read_logs(folder: Path) -> list[Operation]:
    """What all clients wrote down: every `*.jsonl` of the folder."""
    return [operation for path in sorted(folder.glob("*.jsonl")) for operation in _read(path)]


def _read(path: Path) -> Iterator[Operation]:
    with path.open() as file:
        for line in file:
            values = json.loads(line)
            answer = values["answer"]
            values["answer"] = answer and Answer(**{**answer, "after": tuple(answer["after"])})
            yield Operation(**{**values, "outcome": Outcome(values["outcome"]), "errors": tuple(values["errors"])})


def by_session(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    """The operations of each session, in the order in which they were sent."""
    sessions: dict[str, list[Operation]] = {}
    for operation in sorted(operations, key=lambda each: each.sent):
        sessions.setdefault(operation.session, []).append(operation)
    return sessions
