"""What runs on each of several nodes; it imports next to nothing, so that hundreds of processes start soon."""

from __future__ import annotations

import os


class Member:
    """Knows its number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def who(self) -> tuple[int, int]:
        """Its number and its process."""
        return self._number, os.getpid()
