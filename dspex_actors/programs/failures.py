"""What a program raised, as an error that a caller may see."""

from __future__ import annotations

import logging

from dspex_actors.errors import DspexError, ProgramFailed
from dspex_actors.lm.errors import to_dspex
from dspex_actors.programs.current import current_turn

logger = logging.getLogger("dspex_actors.programs")


def failure(exc: BaseException) -> DspexError:
    """The typed error for anything that a module raised.

    A model's failure keeps its own code. Everything else is the user's: its type is named, its text and traceback go
    to the log only. That includes our own error classes, so that user code cannot speak for the system.
    """
    model = None if isinstance(exc, DspexError) else to_dspex(exc)
    return model or _of_program(exc)


def _of_program(exc: BaseException) -> DspexError:
    kind, turn = type(exc).__name__, current_turn()
    logger.warning("turn %s of session %s: the program raised %s", turn.id, turn.session, kind, exc_info=exc)
    return ProgramFailed(f"The program raised {kind}. The traceback is in the server's log; fix the program.")
