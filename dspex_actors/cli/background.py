"""A call in a thread of its own, so that the main thread stays free for signals."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Runs a call at once, in a thread that does not keep the process alive."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except Exception as error:
            self._error = error

    def done(self, within_s: float) -> bool:
        """Whether it ended, waiting `within_s` for it; what it raised is raised here."""
        self._thread.join(within_s)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()
