"""Errors as RFC 9457 problems, and the page that explains each code."""

from __future__ import annotations

import math
from typing import Any

import orjson

from dspex_actors.api.asgi import Headers, Response, json_response
from dspex_actors.api.call import Call
from dspex_actors.errors import CODES, DspexError, NotFound

PROBLEM = b"application/problem+json"


class MethodNotAllowed(DspexError):
    """The address exists but does not take this method; the `Allow` header names those it takes."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = ", ".join(allowed)
        super().__init__(f"This address takes {self.allowed} only.")


PROBLEMS: dict[str, type[DspexError]] = {**CODES, MethodNotAllowed.code: MethodNotAllowed}

ADVICE = {
    "internal": "Report it with its request_id; the log of the server has the cause under that id.",
    "unauthenticated": "Send `Authorization: Bearer <key>` with a key that is known and has not expired.",
    "forbidden": "Use a key with the scope that the call needs, or send the call from this site itself.",
    "not_found": "Check the address and the name; create the thing first.",
    "gone": "Use what is left: `removed_turns` of the session tells. Send a new turn under a fresh Idempotency-Key.",
    "method_not_allowed": "Use a method that the Allow header names.",
    "already_exists": "Choose another name, or use what exists.",
    "in_use": "Delete what refers to it first.",
    "invalid_json": "Send one JSON document in UTF-8.",
    "invalid_request": "Correct what `errors` lists.",
    "unknown_type": "Use a type that signatures know.",
    "body_too_large": "Send less at once.",
    "idempotency_mismatch": "Use a fresh Idempotency-Key for a new request.",
    "precondition_failed": "Read what is there now (the newest turns, or the ETag), then decide again.",
    "mailbox_full": "Wait as Retry-After says, then send the turn again.",
    "quarantined": "Restart the session with POST /v1/sessions/{id}/restart; the log has the cause.",
    "poison_turn": "Correct the program or the inputs, then send the turn under a fresh Idempotency-Key.",
    "session_busy": "Send the turn again when the one before it has ended, or cancel that one.",
    "deadline_exceeded": "Send the turn again, with more time.",
    "cancelled": "Send the turn again if it is still wanted.",
    "outcome_unknown": "Ask with the same Idempotency-Key: it tells whether the turn happened.",
    "lm_failed": "Send the turn again; check the model's settings if it stays.",
    "lm_timeout": "Send the turn again, with more time.",
    "lm_rate_limited": "Wait as Retry-After says, then send the turn again.",
    "output_invalid": "Send the turn again; make the signature or its instructions clearer if it stays.",
    "program_failed": "Correct the program's own code; the log of the server has its traceback.",
    "store_unavailable": "Nothing was recorded. Wait as Retry-After says, then send it again.",
    "draining": "The service is stopping. Send it again after the restart.",
    "host_lost": "Send it again with the same Idempotency-Key.",
    "no_capacity": "Wait as Retry-After says, then send it again.",
    "moved": "Send it again with the same Idempotency-Key.",
}


def problem_of(error: DspexError, request_id: str) -> dict[str, Any]:
    """The members of the problem, the request's id among them."""
    return {**error.problem(), "request_id": request_id}


def problem_response(error: DspexError, request_id: str) -> Response:
    """The error as an answer, with the headers that belong to its status."""
    body = orjson.dumps(problem_of(error, request_id))
    return Response(body, error.status, PROBLEM, headers_of(error))


def headers_of(error: DspexError) -> Headers:
    """`Retry-After` (whole seconds, at least 1), `WWW-Authenticate` and `Allow`, where they apply."""
    headers: Headers = ()
    if error.retry_after_s is not None or error.status == 503:
        wait = max(1, math.ceil(error.retry_after_s or 1))
        headers += ((b"retry-after", b"%d" % wait),)
    if error.status == 401:
        headers += ((b"www-authenticate", b'Bearer realm="dspex"'),)
    if isinstance(error, MethodNotAllowed):
        headers += ((b"allow", error.allowed.encode()),)
    return headers


async def explain(call: Call) -> Response:
    """What a problem's `type` address shows: what the code means, and what to do."""
    error = PROBLEMS.get(call.params["code"])
    if error is None:
        raise NotFound(f"There is no problem of this code. The codes are {', '.join(sorted(PROBLEMS))}.")
    return json_response(
        {
            "code": error.code,
            "title": error.title,
            "status": error.status,
            "retryable": error.retryable,
            "meaning": error.__doc__,
            "what_to_do": ADVICE[error.code],
        }
    )
