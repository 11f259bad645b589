"""Where programs run: async ones on a loop in a thread of its own, sync ones in a pool of threads.

Neither can stall the host's I/O loop by waiting, and a result that nobody wants any more is simply reported late.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvloop

from dspex_actors.errors import Cancelled, DspexError, Internal
from dspex_actors.programs.call import ProgramCall, ProgramResult
from dspex_actors.sessions.events import Raised, Ran
from dspex_actors.sessions.inbox import Inbox
from dspex_actors.sessions.pool import Pool

if TYPE_CHECKING:
    from dspex_actors.programs.loaded import LoadedProgram

log = logging.getLogger(__name__)

Outcome = ProgramResult | DspexError
Done = Callable[[Outcome], None]


@dataclass(slots=True)
class Run:
    """One attempt. `done` is called exactly once, from whatever thread the program ended in."""

    program: LoadedProgram
    call: ProgramCall
    done: Done
    task: asyncio.Task[None] | None = field(default=None)
    aborted: bool = False
    begun: bool = False


class Runner:
    """Starts attempts and aborts them.

    An async attempt that is aborted is cancelled; a sync one cannot be stopped and runs to its end in its thread.
    """

    def __init__(self, pool_size: int = 256) -> None:
        self._loop = uvloop.new_event_loop()
        self._launches: Inbox[Run] = Inbox(self._loop, self._launch)
        self._pool = Pool(pool_size)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="programs", daemon=True)
        self._thread.start()

    def start(self, run: Run) -> None:
        """Begin the attempt."""
        if run.program.is_async:
            self._launches.put(run)
        else:
            self._pool.submit(lambda: run.done(_outcome(run)))

    def abort(self, run: Run) -> None:
        """Cancel the attempt if it can be cancelled."""
        run.aborted = True
        if run.program.is_async:
            self._loop.call_soon_threadsafe(self._cancel, run)

    def close(self) -> None:
        """Stop the loop; attempts that still run are abandoned."""
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._pool.close()

    def _serve(self) -> None:
        from dspex_actors.programs.shortcut import ShortcutExecutor

        asyncio.set_event_loop(self._loop)
        self._loop.set_default_executor(ShortcutExecutor(thread_name_prefix="blocking"))
        while not self._closing:
            try:
                self._loop.run_forever()
            except BaseException:
                # `SystemExit` in a task that a program started comes out here; the other sessions' turns go on.
                log.exception("a program tried to end the process")
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        # A bounded wait: user code may refuse to be cancelled.
        self._loop.run_until_complete(asyncio.wait(left, timeout=1)) if left else None
        self._loop.close()

    def _launch(self, run: Run) -> None:
        if self._closing:
            return  # abandoned like those that run
        if run.aborted:
            run.done(_aborted())
            return
        run.task = self._loop.create_task(self._run(run), context=contextvars.copy_context())

    def _cancel(self, run: Run) -> None:
        if run.begun and run.task is not None:
            run.task.cancel()

    async def _run(self, run: Run) -> None:
        # A task cancelled before its first step never gets here, and could not tell of its end.
        run.begun = True
        if run.aborted:
            run.done(_aborted())
            return
        try:
            outcome: Outcome = await run.program.arun(run.call)
        except DspexError as error:
            outcome = error
        except asyncio.CancelledError:
            outcome = _aborted()
        except (Exception, SystemExit, KeyboardInterrupt):
            outcome = _fault()
        run.done(outcome)


def ended(token: int, outcome: Outcome, now_us: int) -> Ran | Raised:
    """What came of an attempt, as the session hears it."""
    if isinstance(outcome, DspexError):
        return Raised(token, outcome, now_us)
    return Ran(token, outcome.outputs, outcome.usage, outcome.model, now_us, outcome.variables)


def _outcome(run: Run) -> Outcome:
    if run.aborted:
        return _aborted()
    try:
        return run.program.run(run.call)
    except DspexError as error:
        return error
    except BaseException:
        return _fault()


def _aborted() -> Cancelled:
    return Cancelled("The attempt was aborted.")


def _fault() -> Internal:
    log.exception("a program's wrapper raised what it must not raise")
    return Internal("The server failed while it ran the program. Its log has the cause.")
