"""Events as lines."""

from __future__ import annotations

import orjson
import pytest

from dspex_actors.api.sse import encode, failure
from dspex_actors.errors import HostLost
from dspex_actors.resources.turn import TurnEvent


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b'{"delta":"a"}', b'data: {"delta":"a"}\n'),
        (b"one\ntwo", b"data: one\ndata: two\n"),
        (b"one\r\ntwo\rthree", b"data: one\ndata: two\ndata: three\n"),
    ],
)
def test_an_event_is_framed_so_that_its_data_cannot_end_it(data: bytes, lines: bytes) -> None:
    """A line break in the data begins another data line."""
    assert encode(TurnEvent("1.2", "token", data)) == b"id: 1.2\nevent: token\n" + lines + b"\n"


def test_a_failure_is_numbered_after_the_last_event() -> None:
    """Last-Event-ID stays in order."""
    event = failure(TurnEvent("2.9", "token", b"{}"), HostLost("Gone."), "req-1")
    assert (event.id, event.name) == ("2.10", "turn.failed")
    assert orjson.loads(event.data) | {"code": "host_lost", "request_id": "req-1"} == orjson.loads(event.data)
