"""What a `turn` frame carries: everything that the host must know, and time as what is left of it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from dspex_actors.resources.turn import TurnRequest
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.frames import FrameError, Kind, Receiver, Sender
from dspex_actors.sessions.server import _ask, turn_head

TURN = TurnRequest("t1", False, b"hash", b'{"q":1}', 5.0, 7, True, True, "request", "rewind")
ASK = Ask("uid", "shard:9", 3, 4, TURN, (2, 6), True, 1)


def over_the_wire(ask: Ask, left_s: float) -> Ask:
    """The turn as the host gets it."""
    written: list[bytes] = []
    sender = Sender(written.append)
    sender.put(Kind.TURN, 1, turn_head(ask, left_s), ask.turn.inputs)
    sender.flush()
    ((_, _, head, body),) = Receiver().feed(b"".join(written))
    return _ask(head, body)


def test_every_field_of_a_turn_reaches_the_host() -> None:
    """None of them is what it would be by default; the reader's last event is the ask's."""
    plain = TurnRequest("", True, b"", b"", 0.0)
    different = [each.name for each in fields(TURN) if getattr(TURN, each.name) != getattr(plain, each.name)]
    assert {each.name for each in fields(TURN)} - {*different} == {"last_event"}
    assert over_the_wire(ASK, 5.0) == ASK


def test_a_deadline_travels_as_what_is_left_of_it() -> None:
    """No clock of another machine is asked."""
    assert over_the_wire(ASK, 1.25) == replace(ASK, turn=replace(TURN, timeout_s=1.25))


@pytest.mark.parametrize("head", [None, 7, [], list(turn_head(ASK, 1.0))[:-1], [*turn_head(ASK, 1.0), 0]])
def test_a_turn_without_a_proper_head_ends_the_connection(head: object) -> None:
    """Nothing of it is guessed."""
    with pytest.raises(FrameError, match="proper head"):
        _ask(head, b"{}")
