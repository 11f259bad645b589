"""Frames: what goes in comes out, whatever the cuts; and nothing but FrameError for what is none."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_actors.sessions.frames import (
    FRAME_BYTES,
    HEAD_BYTES,
    MESSAGE_BYTES,
    PIECE_BYTES,
    FrameError,
    Kind,
    Receiver,
    Sender,
)

Message = tuple[Kind, int, Any, bytes]

bodies = st.binary(max_size=40) | st.integers(PIECE_BYTES - 2, PIECE_BYTES * 3).map(lambda size: b"x" * size)
messages = st.lists(
    st.tuples(
        st.sampled_from(Kind), st.none() | st.text(max_size=20) | st.integers(0, 9), bodies, st.sampled_from("ab")
    ),
    max_size=12,
)


def sent(*given_messages: Message, lane: str | None = None) -> bytes:
    """The bytes of these messages."""
    written: list[bytes] = []
    sender = Sender(written.append)
    for message in given_messages:
        sender.put(*message, lane=lane)
    sender.flush()
    return b"".join(written)


def received(data: bytes, step: int = 0) -> list[Message]:
    """The messages in these bytes, fed in chunks."""
    receiver = Receiver()
    step = step or len(data) or 1
    return [message for start in range(0, len(data), step) for message in receiver.feed(data[start : start + step])]


@settings(max_examples=40)
@given(messages, st.integers(1, 100_000), st.booleans())
def test_every_message_arrives_whole_once(given_messages: list[Any], step: int, laned: bool) -> None:
    """Whatever the sizes, the chunks and the lanes; those of one lane in their order."""
    written: list[bytes] = []
    sender = Sender(written.append)
    for number, (kind, head, body, lane) in enumerate(given_messages):
        sender.put(kind, number, head, body, lane if laned else None)
    sender.flush()
    found = received(b"".join(written), step)
    expected = [(kind, number, head, body) for number, (kind, head, body, _) in enumerate(given_messages)]
    assert sorted(found, key=lambda message: message[1]) == expected
    for lane in "ab" if laned else "":
        mine = [number for number, message in enumerate(given_messages) if message[3] == lane]
        assert [message[1] for message in found if message[1] in mine] == mine
    assert sender._lanes == {}


def test_a_small_message_does_not_wait_behind_a_large_one() -> None:
    """It arrives before the large one's end."""
    data = sent((Kind.REPLY, 1, None, b"x" * PIECE_BYTES * 4), (Kind.REPLY, 2, None, b"small"))
    assert [message[1] for message in received(data)] == [2, 1]


def test_a_lane_keeps_its_order_and_holds_up_nobody_else() -> None:
    """What came before a large message, and after it, stays there."""
    written: list[bytes] = []
    sender = Sender(written.append)
    for number, (size, lane) in enumerate([(1, "a"), (PIECE_BYTES * 4, "a"), (1, "a"), (1, "b"), (1, None)]):
        sender.put(Kind.TURN, number, None, b"x" * size, lane)
    sender.flush()
    assert [message[1] for message in received(b"".join(written))] == [0, 3, 4, 1, 2]


def test_a_paused_sender_keeps_what_it_has() -> None:
    """Until the transport takes more."""
    written: list[bytes] = []
    sender = Sender(written.append)
    sender.paused = True
    sender.put(Kind.PING, 0)
    sender.flush()
    assert written == []
    sender.paused = False
    sender.flush()
    assert received(b"".join(written)) == [(Kind.PING, 0, None, b"")]


def test_a_head_that_does_not_fit_is_refused_where_it_is_put() -> None:
    """Other messages are not touched."""
    written: list[bytes] = []
    sender = Sender(written.append)
    sender.put(Kind.REPLY, 1, None, b"x")
    with pytest.raises(FrameError, match="a head of"):
        sender.put(Kind.TURN, 2, "h" * HEAD_BYTES, b"x")
    sender.flush()
    assert received(b"".join(written)) == [(Kind.REPLY, 1, None, b"x")]


def test_the_largest_head_with_the_largest_piece_is_a_frame() -> None:
    """None exceeds 64 KiB."""
    head = "h" * (HEAD_BYTES - 3)
    message = (Kind.TURN, 2**63, head, b"x" * PIECE_BYTES)
    assert received(sent(message)) == [message]


@given(st.binary(max_size=200))
def test_garbage_is_a_frame_error_and_nothing_else(data: bytes) -> None:
    """Or not enough for a frame yet."""
    try:
        list(Receiver().feed(data))
        list(Receiver().feed(struct.pack(">I", len(data)) + data))
    except FrameError:
        pass


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", struct.pack(">I", FRAME_BYTES + 1)])
def test_a_frame_above_the_limit_is_refused_before_it_is_read(data: bytes) -> None:
    """Its length is enough."""
    with pytest.raises(FrameError, match="a frame of"):
        list(Receiver().feed(data))


def test_a_message_above_the_limit_is_refused_on_the_way() -> None:
    """Its pieces are not collected without end."""
    piece = msgspec.msgpack.encode((int(Kind.TURN), 1, True, None, b"x" * PIECE_BYTES))
    frame = struct.pack(">I", len(piece)) + piece
    receiver = Receiver()
    with pytest.raises(FrameError, match="too large"):
        list(receiver.feed(frame * (MESSAGE_BYTES // PIECE_BYTES + 2)))
