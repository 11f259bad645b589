"""A call from its first attempt to its answer, as a generator: it yields what is to be done and is sent the result.

A shell performs the effects: `Request` (send it; the result is an `Answer` or `Lost`) and `Sleep` (no result).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from dspex_actors.client.attempts import Attempts, Request
from dspex_actors.client.calls import Call
from dspex_actors.client.failures import Answer, Lost, unexpected
from dspex_actors.errors import NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for so many seconds."""

    seconds: float


Exchange = Generator[Request | Sleep, Answer | Lost | None, T]


def exchange(call: Call[T], attempts: Attempts) -> Exchange[T]:
    """What the call gives, repeated as long as that makes sense.

    Raises:
        DspexError: What went wrong at the last attempt, or `outcome_unknown` when an earlier one may have succeeded.
    """
    while True:
        outcome = yield attempts.request()
        assert outcome is not None
        if isinstance(outcome, Answer) and (outcome.good or _gone(outcome, attempts)):
            return reading(call, outcome, attempts.origin.url)
        yield Sleep(attempts.wait_after(outcome))


def reading(call: Call[T], answer: Answer, url: str) -> T:
    """What a good answer says. Raises Internal when it is not of this product."""
    try:
        return call.read(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise unexpected(url, answer) from error


def _gone(answer: Answer, attempts: Attempts) -> bool:
    """Whether an earlier attempt, whose answer was lost, has deleted the thing."""
    return attempts.call.method == "DELETE" and attempts.lost is not None and answer.status == NotFound.status
