"""The attempts of one call: what to send next, how long to wait, and when to give up. No I/O, no clock of its own."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dspex_actors.client.calls import Call
from dspex_actors.client.failures import MODEL_CODES, REFUSALS, Answer, Lost, failure_of
from dspex_actors.client.origin import Origin
from dspex_actors.errors import DspexError

GRACE_S = 1.0
"""How much longer than its deadline a call waits for the server's own word that time is up."""
CONNECT_S = 5.0
LEAST_S = 0.001


@dataclass(frozen=True, slots=True)
class Retry:
    """How a client repeats what failed in passing, always with the same `Idempotency-Key`.

    It repeats what the server calls retryable (502, 503, 504), and what got no answer, until the call's deadline. The
    wait doubles from `first_wait_s` to `longest_wait_s`, half of it at random; a longer `Retry-After` counts instead.

    Args:
        first_wait_s: The wait before the second attempt, in seconds.
        longest_wait_s: The longest wait, in seconds.
        attempt_s: An attempt that gives nothing for so many seconds is given up and repeated; the server joins the
            repeat to the running turn. None waits as long as the call's deadline.
        unreachable_s: How many seconds to go on while no server answers at all. None goes on until the deadline.
        model_attempts: How often at most to send what failed at the language model, since each may cost money.
    """

    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0
    attempt_s: float | None = None
    unreachable_s: float | None = None
    model_attempts: int = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Monotonic seconds, and a random number from 0 to 1."""

    now: Callable[[], float]
    random: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt, ready to be sent; times in seconds."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    connect_s: float
    read_s: float


class Attempts:
    """One call from its first attempt to its deadline.

    Args:
        call: What is asked.
        origin: Of whom.
        retry: How to repeat it.
        timing: What time it is.
        timeout_s: The seconds that the call has, all attempts and waits included.
    """

    def __init__(self, call: Call[Any], origin: Origin, retry: Retry, timing: Timing, timeout_s: float) -> None:
        self.call = call
        self.origin = origin
        self.retry = retry
        self.timing = timing
        self._started = timing.now()
        self.deadline = self._started + timeout_s
        self.made = 0
        self.lost: DspexError | None = None

    @property
    def left_s(self) -> float:
        """The seconds until the deadline; never negative."""
        return max(0.0, self.deadline - self.timing.now())

    @property
    def overdue(self) -> bool:
        """Whether even the server's own word that time is up is late."""
        return self.timing.now() > self.deadline + GRACE_S

    def following(self, call: Call[Any]) -> Attempts:
        """The attempts of another call with the same deadline, and a moment beyond it."""
        return Attempts(call, self.origin, self.retry, self.timing, self.left_s + GRACE_S)

    def request(self) -> Request:
        """The next attempt."""
        self.made += 1
        left = max(LEAST_S, self.left_s)
        headers = {"accept": self.call.accept, "x-request-timeout": f"{left:.3f}"}
        if not self.call.public:
            headers |= self.origin.headers()
        if self.call.key is not None:
            headers["idempotency-key"] = self.call.key
        if self.call.last_event_id is not None:
            headers["last-event-id"] = self.call.last_event_id
        if self.call.if_match is not None:
            headers["if-match"] = f'"{self.call.if_match}"'
        if self.call.body is not None:
            headers["content-type"] = "application/json"
        read_s = min(left + GRACE_S, self.retry.attempt_s or math.inf)
        return Request(self.call.method, self.call.path, headers, self.call.body, min(left, CONNECT_S), read_s)

    def wait_after(self, outcome: Answer | Lost) -> float:
        """The seconds to wait before the next attempt; raises the typed error when there is to be none."""
        failure = failure_of(outcome, self.origin.url, self.call.key)
        if failure.lost:
            self.lost = failure.error
        if not failure.again or self._enough(outcome, failure.error):
            raise self.origin.refused(self._last(failure.error))
        return self.pause(failure.error, failure.after_s)

    def pause(self, error: DspexError, at_least_s: float = 0.0) -> float:
        """The seconds to wait; raises when the deadline comes first: `error`, or that an earlier attempt's outcome is
        unknown."""
        wait = max(self._backoff(), at_least_s)
        if wait >= self.left_s:
            raise self._last(error)
        return wait

    def _last(self, error: DspexError) -> DspexError:
        return self.lost if self.lost is not None and error.code in REFUSALS else error

    def _enough(self, outcome: Answer | Lost, error: DspexError) -> bool:
        if isinstance(outcome, Lost) and not outcome.sent and self.retry.unreachable_s is not None:
            return self.lost is None and self.timing.now() - self._started >= self.retry.unreachable_s
        return error.code in MODEL_CODES and self.made >= self.retry.model_attempts

    def _backoff(self) -> float:
        wait = min(self.retry.longest_wait_s, self.retry.first_wait_s * 2.0 ** min(self.made - 1, 30))
        return wait * (0.5 + self.timing.random() / 2)
