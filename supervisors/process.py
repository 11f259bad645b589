"""A child that says more than that it lives: how it ends, that it need not run, what it does when asked to end.

Inherit `Process` and the same class runs as an object in one process (`backend="local"`) and as a Ray actor. A plain
class is fine too: then its constructor is its start, and death and the backend's cause are all that is known of its
end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from supervisors.exits import NORMAL, Exit


class _Ignore:
    def __repr__(self) -> str:
        return "IGNORE"

    def __reduce__(self) -> str:
        return "IGNORE"  # one and the same, also when it has travelled


IGNORE: Final = _Ignore()
"""What `Process.init` returns when there is nothing to run; that is no error."""


class Process:
    """Override what you need; the defaults are a process that lives until it is asked to end."""

    _life: Life | None = None

    async def init(self) -> Any:
        """Runs before the child counts as started.

        Returns:
            `IGNORE`, or anything that whoever started the child should know: it is the child's `info`.

        Raises:
            Exception: The start failed, with this.
        """
        return None

    async def run(self) -> None:
        """The process's life: it ends with `normal` when this returns, with `crash` when it raises."""
        await asyncio.get_running_loop().create_future()

    async def terminate(self, reason: str) -> None:
        """The last thing before the end, when it was asked to end. `reason` is `shutdown`, or what the parent says."""

    def exit(self, reason: Exit = NORMAL) -> None:
        """End this process with that reason; `run` is cancelled, `terminate` is not called.

        Raises:
            RuntimeError: Nobody has started it.
        """
        if self._life is None:
            raise RuntimeError("This process has not been started; start it under a supervisor.")
        self._life.end(reason)


class Life:
    """Runs a `Process` on the current loop; backends make one for each."""

    def __init__(self, process: Process, ended: Callable[[Exit], None]) -> None:
        self._process = process
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._over = False
        process._life = self

    async def begin(self) -> Any:
        """Start it. Returns what `init` did; raises what `init` raised."""
        info = await self._process.init()
        if info is not IGNORE and not self._over:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return info

    def end(self, reason: Exit) -> None:
        """It is over, for this reason; the first one counts."""
        if self._over:
            return
        self._over = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._ended(reason)

    async def stop(self, reason: str) -> None:
        """Ask it to end: `terminate`, then the end. Raises what `terminate` raised."""
        try:
            await self._process.terminate(reason)
        finally:
            self.end(Exit("shutdown", "" if reason == "shutdown" else reason))

    async def _run(self) -> None:
        try:
            await self._process.run()
        except asyncio.CancelledError:
            if not self._over:
                self.end(Exit("killed", "cancelled"))
            raise
        except Exception as error:
            self.end(Exit("crash", f"{type(error).__name__}: {error}"))
        else:
            self.end(NORMAL)
