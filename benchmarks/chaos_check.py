"""What became of the clients' turns: their own logs held against the journal, read with plain SQL.

Imports nothing of the product, so that a fault of it cannot hide itself. By hand, after a run with `--keep`:

    python -m benchmarks.chaos_check LOGS sqlite:///…/dspex.sqlite3
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.chaos_history import Model, explain
from benchmarks.chaos_log import Answer, Operation, Outcome, by_session, read_logs

QUERY = (
    "SELECT s.id, j.seq, j.kind, j.turn, j.turn_id, j.delta FROM journal j JOIN session s ON s.uid = j.uid"
    " ORDER BY s.id, j.seq"
)
SAID = 20
"""How many sentences a verdict keeps."""


class Row(NamedTuple):
    """One journal entry."""

    session: str
    seq: int
    kind: str
    turn: int | None
    turn_id: str | None
    outputs: Mapping[str, Any]


@dataclass(slots=True)
class Verdict:
    """Counts over all sessions. `wrong` by kind of violation; nothing in it is what a run must end with."""

    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    unknown_happened: int = 0
    recorded: int = 0
    sessions: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether something was acknowledged, and no promise was broken."""
        return self.acknowledged > 0 and not self.wrong.total()

    def blame(self, kind: str, sentence: str) -> None:
        """Count a violation."""
        self.wrong[kind] += 1
        if len(self.said) < SAID:
            self.said.append(f"{kind}: {sentence}")

    def as_json(self) -> dict[str, Any]:
        """Figures for a report: every kind of violation with its count."""
        return {**asdict(self), "wrong": {kind: self.wrong[kind] for kind in VIOLATIONS}, "good": self.good}


VIOLATIONS = {
    "lost": "acknowledged turns that the journal does not have",
    "duplicated": "keys with two turns in the journal",
    "two_on_one_number": "numbers that two entries have, or that two turns were told",
    "renumbered": "acknowledged turns that stand under another number",
    "different": "answers that differ from what the journal has",
    "gaps": "sessions whose numbers are not 1, 2, 3 …",
    "state": "turns that ran on another state than the entries before them make",
    "out_of_order": "turns before one that had been answered when they were sent",
    "refused_but_there": "turns refused with a definite error that the journal has",
    "nobodys": "turns in the journal that no client sent",
    "not_linearizable": "sessions whose answers no order of their turns explains",
}
"""What a verdict looks for: all must be 0."""


def check(operations: Sequence[Operation], rows: Sequence[Row]) -> Verdict:
    """Compare what the clients saw with what is recorded.

    Args:
        operations: The logs of all clients.
        rows: The journals of their sessions, by session and number.
    """
    verdict = Verdict(recorded=sum(row.kind == "turn" for row in rows))
    journals: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        journals[row.session].append(row)
    asked = by_session(operations)
    for session in sorted({*asked, *journals}):
        _check_session(session, asked.get(session, []), journals[session], verdict)
    return verdict


def _check_session(session: str, asked: Sequence[Operation], rows: Sequence[Row], verdict: Verdict) -> None:
    verdict.sessions += 1
    held: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.kind == "turn":
            held[str(row.turn_id)].append(row)
    _count(asked, held, verdict)
    for kind, sentence in (
        *_lost_and_changed(asked, held),
        *_numbers(asked, rows),
        *_states(rows),
        *_order(asked, held),
        *_keys(asked, held),
    ):
        verdict.blame(kind, f"{session}: {sentence}")
    if (why := explain(asked)) is not None:
        verdict.blame("not_linearizable", f"{session}: {why}")


def _count(asked: Sequence[Operation], held: Mapping[str, Sequence[Row]], verdict: Verdict) -> None:
    verdict.acknowledged += sum(each.outcome is Outcome.DONE for each in asked)
    verdict.refused += sum(each.outcome is Outcome.NOT_DONE for each in asked)
    unknown = [each for each in asked if each.outcome is Outcome.UNKNOWN]
    verdict.unknown += len(unknown)
    verdict.unknown_happened += sum(each.key in held for each in unknown)


def _lost_and_changed(asked: Sequence[Operation], held: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, str]]:
    for each in asked:
        if each.answer is None:
            continue
        rows = held.get(each.key, ())
        if not rows:
            yield "lost", f"{each.key}, told it was turn {each.answer.turn}"
        elif each.answer.turn not in [row.turn for row in rows]:
            yield "renumbered", f"{each.key}, told it was turn {each.answer.turn}, is turn {rows[0].turn}"
        elif each.answer not in [_answer(row) for row in rows]:
            yield "different", f"{each.key}: told {each.answer}, recorded {_answer(rows[0])}"


def _numbers(asked: Sequence[Operation], rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for name, numbers in (("seq", [row.seq for row in rows]), ("turn", _turns(rows))):
        twice = {number: copies for number, copies in Counter(numbers).items() if copies > 1}
        yield from (("two_on_one_number", f"{name} {number} stands {copies} times") for number, copies in twice.items())
        # One that stands twice is no gap; one that is out of its place is.
        if list(dict.fromkeys(numbers)) != list(range(1, len(set(numbers)) + 1)):
            yield "gaps", f"{name} runs {_short(numbers)}"
    told: dict[int, set[str]] = defaultdict(set)
    for each in asked:
        if each.answer is not None:
            told[each.answer.turn].add(each.key)
    for turn, keys in told.items():
        if len(keys) > 1:
            yield "two_on_one_number", f"turn {turn} was told to {', '.join(sorted(keys))}"


def _states(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Replays the model over the journal: each turn must have seen exactly the entries before it."""
    model = Model()
    for row in rows:
        if row.kind != "turn":
            continue
        if not model.answers(str(row.turn_id), _answer(row)):
            yield "state", f"turn {row.turn} ({row.turn_id}) ran after {row.outputs.get('after')}, not {model.last}"
        model = model.append(str(row.turn_id))


def _order(asked: Sequence[Operation], held: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, str]]:
    """Real time: what was sent after another one's answer has a higher number, its own outcome known or not."""
    latest = -math.inf
    spans = _spans(asked)
    for turn, key in sorted((rows[0].turn or 0, key) for key, rows in held.items() if key in spans):
        sent, answered = spans[key]
        if answered < latest:
            yield "out_of_order", f"a turn below {turn} was sent after {key} had been answered as {turn}"
        latest = max(latest, sent)


def _spans(asked: Sequence[Operation]) -> dict[str, tuple[float, float]]:
    """When each key was sent first, and acknowledged first."""
    spans: dict[str, tuple[float, float]] = {}
    for each in asked:
        sent, answered = spans.get(each.key, (math.inf, math.inf))
        acknowledged = each.done if each.outcome is Outcome.DONE and each.done is not None else math.inf
        spans[each.key] = min(sent, each.sent), min(answered, acknowledged)
    return spans


def _keys(asked: Sequence[Operation], held: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, str]]:
    outcomes: dict[str, set[Outcome]] = defaultdict(set)
    for each in asked:
        outcomes[each.key].add(each.outcome)
    for key, rows in held.items():
        if len(rows) > 1:
            yield "duplicated", f"{key} is turns {[row.turn for row in rows]}"
        if key not in outcomes:
            yield "nobodys", f"turn {rows[0].turn}, {key}"
        elif outcomes[key] == {Outcome.NOT_DONE}:
            yield "refused_but_there", f"turn {rows[0].turn}, {key}"


def _turns(rows: Sequence[Row]) -> list[int]:
    return [row.turn for row in rows if row.turn is not None]


def _answer(row: Row) -> Answer:
    """What a client must have been told of this entry."""
    said = row.outputs
    after = tuple(said.get("after", ()))
    return Answer(row.turn or 0, said.get("number", 0), said.get("digest", ""), after, said.get("process", 0))


def _short(numbers: Sequence[int]) -> str:
    around = next((at for at, number in enumerate(numbers, start=1) if at != number), 1)
    return f"… {', '.join(map(str, numbers[max(0, around - 3) : around + 3]))} …"


def read_journal(store_url: str) -> list[Row]:
    """All journal entries of a store: `sqlite:///<file>` or `postgresql://…`.

    Raises:
        ValueError: It is another kind of address.
    """
    scheme, _, rest = store_url.partition("://")
    if scheme == "sqlite":
        return [_row(*values) for values in _sqlite(Path(rest[1:]))]
    if scheme.partition("+")[0] == "postgresql":
        return [_row(*values) for values in _postgres(f"postgresql://{rest}")]
    raise ValueError(f"{scheme}:// is no store that the checker can read; give sqlite:///<file> or postgresql://…")


def _sqlite(file: Path) -> list[Any]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(QUERY).fetchall()
    finally:
        connection.close()


def _postgres(address: str) -> list[Any]:
    psycopg = importlib.import_module("psycopg")  # only where it is installed, and asked for
    with psycopg.connect(address) as connection:
        return list(connection.execute(QUERY).fetchall())


def _row(session: str, seq: int, kind: str, turn: int | None, turn_id: str | None, delta: bytes) -> Row:
    return Row(session, seq, kind, turn, turn_id, json.loads(bytes(delta)).get("outputs") or {})


def main() -> int:
    """Check the logs of a run again; the exit code is 1 for a bad verdict."""
    parser = argparse.ArgumentParser(description="Hold clients' logs against a journal.")
    parser.add_argument("logs", type=Path, help="the folder with the clients' *.jsonl")
    parser.add_argument("store_url", help="sqlite:///<file> or postgresql://…")
    chosen = parser.parse_args()
    verdict = check(read_logs(chosen.logs), read_journal(chosen.store_url))
    print(json.dumps(verdict.as_json(), indent=2))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
