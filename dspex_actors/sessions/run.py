"""One attempt at a turn, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dspex_actors.errors import Cancelled, DspexError, Internal, ProgramFailed
from dspex_actors.programs.call import ProgramCall, ProgramResult
from dspex_actors.sessions.events import Raised, Ran
from dspex_actors.sessions.stopping import Stoppable, Stopped

if TYPE_CHECKING:
    from dspex_actors.programs.loaded import LoadedProgram
    from dspex_actors.sessions.program_loop import ProgramLoop

log = logging.getLogger(__name__)

Outcome = ProgramResult | DspexError
Done = Callable[[Outcome], None]


@dataclass(slots=True)
class Run:
    """One attempt. `done` is called once, from whatever thread the attempt ended in.

    Attributes:
        home: The loop that it is on, where it is asynchronous.
        cpu_s: How much CPU it had used when the watch last looked at its thread.
        stops: How often it was stopped by force.
    """

    program: LoadedProgram
    call: ProgramCall
    done: Done
    task: asyncio.Task[None] | None = field(default=None)
    aborted: bool = False
    begun: bool = False
    over_budget: bool = False
    ended: bool = False
    stoppable: Stoppable = field(default_factory=Stoppable)
    home: ProgramLoop | None = None
    cpu_s: float = 0.0
    stops: int = 0

    async def arun(self) -> None:
        """Run an asynchronous program, on its loop."""
        if self.aborted:
            self.end(aborted())
            return
        try:
            outcome: Outcome = await self.program.arun(self.call)
        except DspexError as error:
            outcome = error
        except Stopped:
            outcome = greedy()
        except asyncio.CancelledError:
            outcome = aborted()
        except (Exception, SystemExit, KeyboardInterrupt):
            outcome = _fault()
        self.end(outcome)

    def run(self) -> None:
        """Run a synchronous program, in this thread."""
        self.end(aborted() if self.aborted else self._outcome())

    def end(self, outcome: Outcome) -> None:
        """That is what came of it, unless it has ended before."""
        if not self.ended:
            self.ended = True
            self.done(outcome)

    def _outcome(self) -> Outcome:
        try:
            with self.stoppable.here():
                # Here too: who aborted it before the block began found nothing to stop.
                return aborted() if self.aborted else self.program.run(self.call)
        except Stopped:
            return greedy() if self.over_budget else aborted()
        except DspexError as error:
            return error
        except BaseException:
            return _fault()


def ended(token: int, outcome: Outcome, now_us: int) -> Raised | Ran:
    """A run's outcome as an event of its session."""
    if isinstance(outcome, DspexError):
        return Raised(token, outcome, now_us)
    return Ran(token, outcome.outputs, outcome.usage, outcome.model, now_us, outcome.variables)


def aborted() -> Cancelled:
    """Nobody wants its result any more."""
    return Cancelled("The attempt was aborted.")


def greedy() -> ProgramFailed:
    """It kept others from running, and was stopped."""
    return ProgramFailed(
        "The program kept the processor, or its event loop, for too long and was stopped. Let it await what it waits "
        "for, and do long computations in a synchronous program or elsewhere."
    )


def _fault() -> Internal:
    log.exception("a program's wrapper raised what it must not raise")
    return Internal("The server failed while it ran the program. Its log has the cause.")
