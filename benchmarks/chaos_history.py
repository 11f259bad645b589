"""Is one session's history linearizable? Asked of the clients' logs alone.

The model is a list that only grows: a turn appends its key and answers with the list as it then is (its length, a
digest of it, its last keys). A history is linearizable when the turns can be put in one order such that each answer is
the model's, and no turn comes before another that had been answered when it was sent. Turns whose outcome is unknown
may stand anywhere after they were sent, or nowhere; turns that were refused stand nowhere.

The search is Wing and Gong's (Testing and Verifying Concurrent Objects, 1993). The answers carry numbers, so there is
something to choose only where an answer that nobody got must stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.chaos_log import SHOWN, Answer, Operation, Outcome, digest_of


@dataclass(frozen=True, slots=True)
class Model:
    """The list, as far as answers show it."""

    count: int = 0
    digest: str = ""
    last: tuple[str, ...] = ()

    def append(self, key: str) -> Model:
        """The list with one more turn."""
        return Model(self.count + 1, digest_of(self.digest, key), (*self.last, key)[-SHOWN:])

    def answers(self, key: str, answer: Answer) -> bool:
        """Whether the list, asked to append this key, would answer so."""
        then = self.append(key)
        return (answer.turn, answer.number, answer.digest, answer.after) == (
            then.count,
            then.count,
            then.digest,
            self.last,
        )


def explain(operations: Sequence[Operation]) -> str | None:
    """Why one session's history is not linearizable; None when it is."""
    try:
        merged = _merged(operations)
    except ValueError as error:
        return str(error)
    answered = sorted((each for each in merged if each.answer is not None), key=_turn)
    unknown = [each for each in merged if each.outcome is Outcome.UNKNOWN]
    return _Search(answered, unknown).run()


def _merged(operations: Sequence[Operation]) -> list[Operation]:
    """One operation a key: sent when it was sent first, answered when it was answered first."""
    merged: dict[str, Operation] = {}
    for operation in operations:
        known = merged.setdefault(operation.key, operation)
        if known is operation:
            continue
        if known.answer and operation.answer and known.answer != operation.answer:
            raise ValueError(f"the key {known.key} was answered as {known.answer} and as {operation.answer}")
        merged[operation.key] = _both(known, operation)
    return list(merged.values())


def _both(one: Operation, other: Operation) -> Operation:
    sent = min(one.sent, other.sent)
    if one.answer and other.answer:
        return replace(one, sent=sent, done=min(_done(one), _done(other)))
    for each in (one, other):
        if each.answer is not None:
            return replace(each, sent=sent)
    unknown = Outcome.UNKNOWN in (one.outcome, other.outcome)
    return replace(one, sent=sent, outcome=Outcome.UNKNOWN if unknown else Outcome.NOT_DONE)


class _Search:
    """Puts the answered turns in the order of their numbers, and tries the unknown ones where a number is missing."""

    def __init__(self, answered: Sequence[Operation], unknown: Sequence[Operation]) -> None:
        self._answered = answered
        self._unknown = unknown
        # The earliest answer among those that are still to be placed: nothing that was sent later may come before it.
        self._earliest = [math.inf] * (len(answered) + 1)
        for index in range(len(answered) - 1, -1, -1):
            self._earliest[index] = min(_done(answered[index]), self._earliest[index + 1])
        self._why = ""
        self._furthest = -1

    def run(self) -> str | None:
        """Depth first, without recursion: histories are long."""
        paths = [self._steps(0, Model(), frozenset())]
        while paths:
            step = next(paths[-1], None)
            if step is None:
                paths.pop()
            elif step[0] == len(self._answered):
                return None
            else:
                paths.append(self._steps(*step))
        return self._why if self._answered else None

    def _steps(self, index: int, model: Model, used: frozenset[str]) -> Iterator[tuple[int, Model, frozenset[str]]]:
        """Where one more turn may lead: the answered one whose number is due, or an unknown one in its place."""
        if index == len(self._answered):
            yield index, model, used
            return
        due = self._answered[index]
        if _turn(due) == model.count + 1:
            if (why := self._wrong(index, model)) is None:
                yield index + 1, model.append(due.key), used
            else:
                self._note(index, why)
        elif _turn(due) <= model.count:
            self._note(index, f"turn {_turn(due)} was given to {self._answered[index - 1].key} and to {due.key}")
        else:
            self._note(
                index, f"turn {model.count + 1} is missing: turn {_turn(due)} was answered, and it fits nobody's"
            )
            for key in self._candidates(index, model, used):
                yield index, model.append(key), used | {key}

    def _wrong(self, index: int, model: Model) -> str | None:
        due = self._answered[index]
        assert due.answer is not None
        if due.sent > self._earliest[index + 1]:
            return f"turn {due.answer.turn} was sent when a later number had been answered: {due.key}"
        if not model.answers(due.key, due.answer):
            return f"turn {due.answer.turn} saw another history than the turns before it make: {due.key}"
        return None

    def _candidates(self, index: int, model: Model, used: frozenset[str]) -> Iterator[str]:
        due = self._answered[index]
        assert due.answer is not None
        shown = due.answer.after[::-1]
        back = due.answer.turn - model.count - 2
        named = shown[back] if back < len(shown) else None
        for each in self._unknown:
            if each.key not in used and each.sent <= self._earliest[index] and named in (None, each.key):
                yield each.key

    def _note(self, index: int, why: str) -> None:
        if index > self._furthest:
            self._furthest, self._why = index, why


def _turn(operation: Operation) -> int:
    assert operation.answer is not None
    return operation.answer.turn


def _done(operation: Operation) -> float:
    return math.inf if operation.done is None else operation.done
