"""What a person sees while an instance starts and stops: one line a step, flushed, with the time it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Writes lines to one stream; safe to use from several threads, a line is one write."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def say(self, text: str = "") -> None:
        """A line."""
        self._out.write(text + "\n")
        self._out.flush()

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """A line when the step begins, and one when it is done; none of the latter when it fails."""
        began = time.monotonic()
        self.say(f"  ...     {doing}")
        yield
        self.say(f"  {time.monotonic() - began:5.1f} s {doing}")
