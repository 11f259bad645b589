"""Errors as problems."""

from __future__ import annotations

import pytest

from dspex_actors.api.problems import ADVICE, PROBLEMS, MethodNotAllowed, headers_of, problem_response
from dspex_actors.errors import DspexError, LMRateLimited, MailboxFull, NotFound, Unauthenticated


def test_every_code_has_advice_and_no_other() -> None:
    """The page behind a problem's type always says what to do."""
    assert ADVICE.keys() == PROBLEMS.keys()


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (NotFound("x"), ()),
        (MailboxFull("x"), ((b"retry-after", b"1"),)),
        (MailboxFull("x", retry_after_s=0.2), ((b"retry-after", b"1"),)),
        (LMRateLimited("x", retry_after_s=2.1), ((b"retry-after", b"3"),)),
        (NotFound("x", retry_after_s=5), ((b"retry-after", b"5"),)),
        (Unauthenticated("x"), ((b"www-authenticate", b'Bearer realm="dspex"'),)),
        (MethodNotAllowed(("GET", "HEAD")), ((b"allow", b"GET, HEAD"),)),
    ],
)
def test_the_headers_follow_from_the_error(error: DspexError, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Waiting times are whole seconds, rounded up."""
    assert headers_of(error) == headers


def test_a_problem_has_its_media_type_and_names_the_request() -> None:
    """RFC 9457, and the id to report it by."""
    response = problem_response(NotFound("No such thing."), "req-1")
    assert (response.status, response.media_type) == (404, b"application/problem+json")
    assert b'"request_id":"req-1"' in response.body
    assert b'"type":"/problems/not_found"' in response.body
