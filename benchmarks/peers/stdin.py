"""A peer lives as long as its standard input: it ends with the benchmark, even with one that was killed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable


def wait_for_end() -> None:
    """Return when standard input has ended."""
    sys.stdin.buffer.read()


def call_at_end(stop: Callable[[], None]) -> None:
    """Call `stop` from another thread when standard input has ended."""

    def watch() -> None:
        wait_for_end()
        stop()

    threading.Thread(target=watch, daemon=True).start()
