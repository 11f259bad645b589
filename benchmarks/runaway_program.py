"""Programs that run away when asked to, each in its own way; loaded into the server by `benchmarks/runaway.py`."""

from __future__ import annotations

import re
import time

import dspy  # type: ignore[import-untyped]

PACKAGE = "benchmarks.runaway_program"
LONG_S = 60.0


class Loop(dspy.Module):  # type: ignore[misc]
    """Async."""

    async def aforward(self, question: str) -> dspy.Prediction:
        """Computes without end on the event loop, or waits there as an async program must not."""
        while question == "compute":
            pass
        if question == "wait":
            time.sleep(LONG_S)  # noqa: ASYNC251 - that is the fault
        return dspy.Prediction(answer=question)


class Thread(dspy.Module):  # type: ignore[misc]
    """Sync."""

    def forward(self, question: str) -> dspy.Prediction:
        """Computes without end, waits, or holds the interpreter in C code."""
        while question == "compute":
            pass
        if question == "wait":
            time.sleep(LONG_S)
        if question == "hold":
            re.match(r"(a+)+$", "a" * 40 + "b")  # for years
        return dspy.Prediction(answer=question)
