"""The turn that the code is running in: what a tool uses as its own idempotency key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from dspex_actors.programs.variables import TurnVariables


@dataclass(frozen=True, slots=True)
class CurrentTurn:
    """The running turn. `id` is the same at every attempt, `attempt` counts from 1.

    `variables` are the session's, by name: read them, and set them (`turn.variables["pace"] = 2`). What is set is
    recorded with the turn, or not at all.
    """

    id: str
    session: str
    attempt: int
    variables: TurnVariables = field(default_factory=TurnVariables.none)


class NoCurrentTurn(LookupError):
    """The code does not run inside a turn, or in a plain thread that did not get the turn's context."""

    code = "no_current_turn"

    def __init__(self) -> None:
        super().__init__("There is no current turn here. Call it from a program or tool that a session runs.")


_TURN: ContextVar[CurrentTurn] = ContextVar("dspex_current_turn")


def current_turn() -> CurrentTurn:
    """The turn this code runs in: on the program loop, in the pool, and in `asyncio.to_thread`.

    A plain `threading.Thread` or executor starts with an empty context: start it with `contextvars.copy_context().run`.

    Raises:
        NoCurrentTurn: There is none.
    """
    turn = _TURN.get(None)
    if turn is None:
        raise NoCurrentTurn
    return turn


@contextmanager
def within(turn: CurrentTurn) -> Iterator[None]:
    """Makes `turn` the current one for this context until the block ends."""
    token = _TURN.set(turn)
    try:
        yield
    finally:
        _TURN.reset(token)
