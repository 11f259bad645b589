"""What goes into one run of a program, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dspex_actors.programs.variables import TurnVariables

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryTurn:
    """An earlier turn of the conversation, as JSON."""

    inputs: Json
    outputs: Json


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """One turn's run.

    Args:
        inputs: Validated inputs, as JSON.
        history: Earlier turns, oldest first; the program takes the last `history_window` of them.
        lm: The session's model; None leaves the choice to the program, then to the default.
        turn_id: The turn's identity, the same at every attempt.
        session_id: The session's public id.
        attempt: How often the turn was started, from 1.
        on_token: Called with `(field, delta)` on the program's loop while the model answers; must not block.
        deadline_s: Time left, in seconds. Asynchronous programs are cancelled then; a running synchronous one is the
            caller's to abandon.
        variables: The session's, to read and to set.
    """

    inputs: Json
    history: Sequence[HistoryTurn]
    lm: str | None
    turn_id: str
    session_id: str
    attempt: int
    on_token: Callable[[str, str], None] | None
    deadline_s: float | None
    variables: TurnVariables = field(default_factory=TurnVariables.none)


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What a run gave.

    `outputs` is JSON, `usage` has `calls`, `prompt_tokens`, `completion_tokens` and `total_tokens`, `model` is the name
    that answers show, `variables` are the session's that were set.
    """

    outputs: Json
    usage: Json
    model: str
    variables: Json = field(default_factory=dict)
