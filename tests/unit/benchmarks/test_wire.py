"""The load generator's HTTP."""

from __future__ import annotations

import pytest

from benchmarks.wire import Answer, http_request, parse_answer

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED], ids=["length", "chunks"])
def test_an_answer_is_complete_with_its_last_byte_and_not_before(whole: bytes) -> None:
    """Whatever the pieces in which it arrives."""
    assert all(parse_answer(whole[:end]) is None for end in range(len(whole)))
    answer = parse_answer(whole)
    assert answer is not None
    assert answer.body == b"hello"
    assert answer.reusable


def test_a_server_that_closes_says_so() -> None:
    """Then the connection is not used again."""
    closing = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert parse_answer(closing) == Answer(503, b"", False)


def test_a_body_of_unknown_length_is_refused() -> None:
    """It would be measured wrongly."""
    with pytest.raises(ValueError, match="neither Content-Length nor chunks"):
        parse_answer(b"HTTP/1.0 200 OK\r\n\r\nhello")


def test_a_request_carries_its_headers_and_the_length_of_its_body() -> None:
    """Byte for byte what goes over the wire."""
    assert http_request("POST", "h", "/p", b"{}", {"A": "b"}) == (
        b"POST /p HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
