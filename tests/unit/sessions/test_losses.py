"""What the record says of turns whose hosts were lost."""

from __future__ import annotations

import orjson

from dspex_actors.errors import DspexError, HostLost, PoisonTurn, ProgramFailed
from dspex_actors.resources.journal import FailedTurn
from dspex_actors.resources.losses import Losses, end_of, ended, losses_of

LOST, FAILED, POISON = HostLost("It was lost."), ProgramFailed("It raised."), PoisonTurn("No more.")


def attempt(number: int, error: DspexError, turn_id: str = "t", **more: bool) -> FailedTurn:
    """A recorded attempt."""
    return FailedTurn("UID", turn_id, number, 0, b"{}", orjson.dumps({**error.problem(), **more}), number)


def test_losses_are_counted_and_the_attempt_that_was_alone_is_told() -> None:
    """What failed otherwise is no loss."""
    alone = attempt(3, LOST, alone=True)
    assert losses_of([attempt(1, LOST), attempt(2, FAILED), alone]) == Losses(2, alone)
    assert losses_of([attempt(1, LOST), attempt(3, POISON)]) == Losses(1, None, attempt(3, POISON))
    assert losses_of([]) == Losses()


def test_a_turn_whose_newest_attempt_is_lost_has_not_ended() -> None:
    """It may run at this moment, whatever became of earlier ones."""
    assert end_of([attempt(1, FAILED), attempt(2, LOST)]) is None
    assert end_of([attempt(1, LOST), attempt(2, FAILED)]) == attempt(2, FAILED)
    assert end_of([]) is None


def test_people_see_the_attempts_that_have_ended() -> None:
    """The newest of each turn is left out while nobody has heard of its end."""
    rows = [attempt(1, LOST), attempt(2, LOST), attempt(1, LOST, "u"), attempt(2, POISON, "u")]
    assert ended(rows) == [rows[0], rows[2], rows[3]]
