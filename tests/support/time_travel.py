"""The law of time travel, word for word: slow, and independent of what it is held against."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

TURN = -1
"""A step that is a turn; any other number is a rewind, to that turn modulo those that there are."""
STEPS = st.lists(st.one_of(st.just(TURN), st.just(TURN), st.integers(0, 50)), max_size=40)


class Law:
    """A session as `docs/explanation/time-travel.md` defines it: `after[n]` is the conversation after turn n."""

    def __init__(self) -> None:
        self.at = self.last = 0
        self.after: dict[int, list[int]] = {0: []}

    def turn(self) -> None:
        """It comes after the turn that the session stands at, and the session stands at it."""
        self.last += 1
        self.after[self.last] = [*self.after[self.at], self.last]
        self.at = self.last

    def rewind(self, to: int) -> None:
        """The session stands there."""
        self.at = to

    @property
    def present(self) -> list[int]:
        """The present conversation."""
        return self.after[self.at]


def obeyed(steps: Iterable[int]) -> Law:
    """What the steps come to."""
    law = Law()
    for step in steps:
        if step == TURN:
            law.turn()
        else:
            law.rewind(step % (law.last + 1))
    return law
