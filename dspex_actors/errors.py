"""Every error that a user can see: one class a code, one table of what each means.

A definite error left no trace in a session's state. The one exception to that sentence has a code of its own,
`outcome_unknown`: the turn happened whole or not at all, and its key tells which.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypedDict


class Problem(TypedDict, total=False):
    """One thing wrong with a request: where (`loc`), what (`msg`), and its kind (`type`)."""

    loc: list[str | int]
    msg: str
    type: str


class DspexError(Exception):
    """The root of the tree.

    Args:
        detail: The sentence that a user reads: what happened, and what to do next. Never holds a secret.
        errors: For validation problems, each of them with its place.
        retry_after_s: How long to wait before trying again, in seconds, where that is known.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, errors: list[Problem] | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.retry_after_s = retry_after_s

    def problem(self) -> dict[str, Any]:
        """The error as the members of an RFC 9457 problem (without `request_id`, which belongs to the transport)."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
        }
        if self.errors:
            body["errors"] = self.errors
        if self.retry_after_s is not None:
            body["retry_after_s"] = self.retry_after_s
        return body


class Internal(DspexError):
    """A fault of ours. The text of the cause stays in the server's log."""


class Unauthenticated(DspexError):
    """No key, or one that is unknown or expired."""

    code, status, title = "unauthenticated", 401, "Not signed in"


class Forbidden(DspexError):
    """The key is good but its scopes do not cover the call."""

    code, status, title = "forbidden", 403, "Not allowed"


class NotFound(DspexError):
    """Nothing of that name in this tenant."""

    code, status, title = "not_found", 404, "Not found"


class Gone(DspexError):
    """It was there, and retention has removed it; its key stays taken, so that nothing runs a second time."""

    code, status, title = "gone", 410, "Gone"


class AlreadyExists(DspexError):
    """The name is taken."""

    code, status, title = "already_exists", 409, "Already exists"


class InUse(DspexError):
    """It cannot be removed while something refers to it."""

    code, status, title = "in_use", 409, "In use"


class InvalidJson(DspexError):
    """The body is not JSON."""

    code, status, title = "invalid_json", 400, "Invalid JSON"


class InvalidRequest(DspexError):
    """The body is JSON but not what this call takes; `errors` says where."""

    code, status, title = "invalid_request", 422, "Invalid request"


class UnknownType(DspexError):
    """A signature names a type that does not exist."""

    code, status, title = "unknown_type", 422, "Unknown type"


class BodyTooLarge(DspexError):
    """The body is larger than the server takes."""

    code, status, title = "body_too_large", 413, "Body too large"


class IdempotencyMismatch(DspexError):
    """The key was used before, with another body."""

    code, status, title = "idempotency_mismatch", 422, "Key used with another body"


class PreconditionFailed(DspexError):
    """Something came in between: `expected_turn` is not the next number, or `If-Match` not what is there now."""

    code, status, title = "precondition_failed", 412, "Precondition failed"


class MailboxFull(DspexError):
    """As many turns as a session may keep waiting are waiting."""

    code, status, title, retryable = "mailbox_full", 503, "Mailbox full", True


class SessionBusy(DspexError):
    """A turn of this session runs and its `on_busy` is `reject`, or earlier turns hang and cannot be stopped."""

    code, status, title, retryable = "session_busy", 503, "Session busy", True


class Quarantined(DspexError):
    """The session broke too often; it takes no turns until somebody restarts it."""

    code, status, title = "quarantined", 409, "Session quarantined"


class PoisonTurn(DspexError):
    """The turn has killed its hosts, at last one that it had to itself; it is not started any more."""

    code, status, title = "poison_turn", 409, "Poison turn"


class DeadlineExceeded(DspexError):
    """Time ran out before the turn was done; nothing of it is in the state."""

    code, status, title, retryable = "deadline_exceeded", 504, "Deadline exceeded", True


class Cancelled(DspexError):
    """The turn was cancelled; nothing of it is in the state."""

    code, status, title, retryable = "cancelled", 409, "Cancelled", True


class OutcomeUnknown(DspexError):
    """The answer was lost. The turn happened whole or not at all; the same key tells which."""

    code, status, title, retryable = "outcome_unknown", 504, "Outcome unknown", True


class LMFailed(DspexError):
    """The language model, or the program around it, raised."""

    code, status, title, retryable = "lm_failed", 502, "The model failed", True


class LMTimeout(DspexError):
    """The language model did not answer in time."""

    code, status, title, retryable = "lm_timeout", 504, "The model timed out", True


class LMRateLimited(DspexError):
    """The language model's provider asks us to slow down."""

    code, status, title, retryable = "lm_rate_limited", 503, "The model's provider is limiting us", True


class OutputInvalid(DspexError):
    """The language model's answer does not fit the signature."""

    code, status, title, retryable = "output_invalid", 502, "The model's answer does not fit", True


class ProgramFailed(DspexError):
    """The user's own module raised. Its text is the user's, so the answer names the exception's type only."""

    code, status, title = "program_failed", 500, "The program failed"


class StoreUnavailable(DspexError):
    """The store cannot be reached; nothing was acknowledged."""

    code, status, title, retryable = "store_unavailable", 503, "Store unavailable", True


class Draining(DspexError):
    """The service is stopping and takes no new work."""

    code, status, title, retryable = "draining", 503, "Draining", True


class HostLost(DspexError):
    """The host died; no other took its sessions in time, or nobody has sent its turn again."""

    code, status, title, retryable = "host_lost", 503, "Host lost", True


class NoCapacity(DspexError):
    """No host can take the work now."""

    code, status, title, retryable = "no_capacity", 503, "No capacity", True


class Moved(DspexError):
    """The unit belongs to another host now. Inside the system only: the router tries there."""

    code, status, title, retryable = "moved", 503, "Moved", True


CODES: dict[str, type[DspexError]] = {cls.code: cls for cls in DspexError.__subclasses__()}


def from_problem(problem: dict[str, Any]) -> DspexError:
    """The typed error for a problem document, as a client or a router received it."""
    cls = CODES.get(str(problem.get("code")), Internal)
    return cls(str(problem.get("detail", "")), errors=problem.get("errors"), retry_after_s=problem.get("retry_after_s"))
