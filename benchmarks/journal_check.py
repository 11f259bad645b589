"""What became of the turns that clients were told are done."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.load import Record

Turns = Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class JournalCheck:
    """Counts over all sessions: acknowledged turns, and how many of them are missing, stand there twice or under
    another number than the client was told; `gaps` counts the sessions whose numbers are not 1, 2, 3 ….
    """

    acknowledged: int
    missing: int
    repeated: int
    renumbered: int
    gaps: int

    @property
    def kept(self) -> bool:
        """Whether each acknowledged turn is there exactly once, as acknowledged, and no number is missing."""
        return not (self.missing or self.repeated or self.renumbered or self.gaps)

    def as_json(self) -> dict[str, Any]:
        """Figures for a report."""
        return {**asdict(self), "kept": self.kept}


def check_journal(records: Iterable[Record], turns_of: Callable[[str], Turns]) -> JournalCheck:
    """Compare what was acknowledged with what the sessions hold: `turns_of(session)` gives (number, id), in order."""
    told: dict[str, list[tuple[int, str]]] = collections.defaultdict(list)
    for record in records:
        if record.status == 200:
            answer = record.json()
            told[answer["session"]].append((answer["turn"], answer["turn_id"]))
    checks = [_check_session(acknowledged, turns_of(session)) for session, acknowledged in told.items()]
    return JournalCheck(*map(sum, zip(*checks, strict=True))) if checks else JournalCheck(0, 0, 0, 0, 0)


def _check_session(acknowledged: Turns, held: Turns) -> tuple[int, int, int, int, int]:
    copies = collections.Counter(turn_id for _, turn_id in held)
    numbers = {turn_id: number for number, turn_id in held}
    return (
        len(acknowledged),
        sum(copies[turn_id] == 0 for _, turn_id in acknowledged),
        sum(copies[turn_id] > 1 for _, turn_id in acknowledged),
        sum(numbers.get(turn_id, number) != number for number, turn_id in acknowledged),
        int([number for number, _ in held] != list(range(1, len(held) + 1))),
    )
