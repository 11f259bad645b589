"""Hand-made logs and journals for the chaos checkers."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.chaos_check import Row
from benchmarks.chaos_history import Model
from benchmarks.chaos_log import Answer, Operation, Outcome

PROCESS = 7


def answers(keys: Sequence[str]) -> dict[str, Answer]:
    """What the turns of these keys answer when they run in this order."""
    model, found = Model(), {}
    for key in keys:
        then = model.append(key)
        found[key] = Answer(then.count, then.count, then.digest, model.last, PROCESS)
        model = then
    return found


def journal(keys: Sequence[str], session: str = "s") -> list[Row]:
    """The journal of a session in which they ran in this order."""
    return [row(answer, key, session) for key, answer in answers(keys).items()]


def row(answer: Answer, key: str, session: str = "s") -> Row:
    """The entry of a turn that answered so."""
    outputs = {"number": answer.number, "digest": answer.digest, "after": list(answer.after), "process": answer.process}
    return Row(session, answer.turn, "turn", answer.turn, key, outputs)


def done(key: str, answer: Answer, sent: float, done: float) -> Operation:
    """An acknowledged turn."""
    return Operation(1, "s", key, sent, sent, done, Outcome.DONE, answer)


def unknown(key: str, sent: float) -> Operation:
    """A turn whose answer never came."""
    return Operation(1, "s", key, sent, sent, None, Outcome.UNKNOWN)


def refused(key: str, sent: float) -> Operation:
    """A turn that got a definite error."""
    return Operation(1, "s", key, sent, sent, sent + 0.5, Outcome.NOT_DONE, errors=("program_failed",))


def log(keys: Sequence[str]) -> list[Operation]:
    """The log of a client that sent them one after the other."""
    return [done(key, answer, at, at + 0.5) for at, (key, answer) in enumerate(answers(keys).items())]
