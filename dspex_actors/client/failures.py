"""From what came back over the wire to the typed error that is raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dspex_actors.errors import DspexError, Internal, NoCapacity, OutcomeUnknown, from_problem

MODEL_CODES = frozenset({"lm_failed", "lm_timeout", "lm_rate_limited", "output_invalid"})
"""What a further attempt pays the model's provider for."""
POLICY = "session_busy"
"""A session's own word that nobody is to wait for it; to repeat it would be to wait."""
REFUSALS = frozenset(
    {
        "mailbox_full",
        "session_busy",
        "store_unavailable",
        "draining",
        "host_lost",
        "no_capacity",
        "moved",
        "unreachable",
    }
)
"""What says nothing about an earlier attempt of the same call whose answer was lost."""


class Unreachable(DspexError):
    """No server answers at the address; no request of this call changed anything."""

    code, status, title, retryable = "unreachable", 503, "No server answers", True


class NoAnswer(Unreachable):
    """The connection broke before the answer to a request that is safe to repeat as it is."""

    code, status, title, retryable = "no_answer", 503, "No answer came", True


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def good(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    @property
    def replayed(self) -> bool:
        """Whether the server had recorded it before."""
        return self.headers.get("idempotency-replayed") == "true"


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. `sent` says whether the server may have got the request; `reason` names what happened."""

    sent: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with one attempt, and whether the same request may be sent again.

    `lost` says that the request may have been carried out all the same.
    """

    error: DspexError
    again: bool
    lost: bool = False
    after_s: float = 0.0


def problem_error(problem: dict[str, Any]) -> DspexError:
    """The typed error of a problem document; its `request_id` is a note of the exception."""
    error = from_problem(problem)
    if problem.get("request_id"):
        error.add_note(f"request_id: {problem['request_id']}")
    return error


def failure_of(outcome: Answer | Lost, url: str, key: str | None) -> Failure:
    """What an attempt that brought no good answer means.

    Args:
        outcome: What came back.
        url: The server's address, for the sentence.
        key: The request's `Idempotency-Key`; None for a request that changes nothing.
    """
    if isinstance(outcome, Lost):
        return Failure(_lost(outcome, url, key), again=True, lost=outcome.sent)
    problem = _problem(outcome)
    if problem is None:
        return _foreign(outcome, url, key)
    error = problem_error(problem)
    again = outcome.status in (502, 503, 504) and problem.get("retryable") is True and error.code != POLICY
    waits = (error.retry_after_s or 0.0, _retry_after(outcome))
    return Failure(error, again, lost=error.code == OutcomeUnknown.code, after_s=waits[0] or waits[1])


def unexpected(url: str, answer: Answer) -> DspexError:
    """The error for an answer that this product does not give."""
    kind = answer.headers.get("content-type", "no content type")
    msg = f"What answers at {url} is not DSPex Actors (status {answer.status}, {kind}). Check the address."
    return Internal(msg)


def _lost(lost: Lost, url: str, key: str | None) -> DspexError:
    if lost.sent and key is not None:
        return _unknown(f"{url} gave no answer ({lost.reason})", key)
    if lost.sent:
        return NoAnswer(f"{url} gave no answer ({lost.reason}). Try again.")
    return Unreachable(f"No server answers at {url}. Start one with 'dspex serve', or set another address.")


def _unknown(what: str, key: str) -> DspexError:
    return OutcomeUnknown(f"{what}. Ask again with the key {key}: it tells whether the request was carried out.")


def _foreign(answer: Answer, url: str, key: str | None) -> Failure:
    """A proxy's own answer is plain text: 503 says that nobody was asked, 502 and 504 that somebody may have been, and
    so does the 500 that Ray Serve's front makes of all three."""
    if answer.status not in (502, 503, 504) and not (answer.status == 500 and answer.body == b"Internal Server Error"):
        return Failure(unexpected(url, answer), again=False)
    lost = answer.status != 503 and key is not None
    said = f"The proxy at {url} answered {answer.status}"
    error = _unknown(said, key) if lost and key else NoCapacity(f"{said}: no server is behind it now. Try again later.")
    return Failure(error, again=True, lost=lost, after_s=_retry_after(answer))


def _problem(answer: Answer) -> dict[str, Any] | None:
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        problem = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return problem if isinstance(problem, dict) and "code" in problem else None


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0
