"""Programs of a user's own, for tests: what a server must survive."""

from __future__ import annotations

import os
import re
import threading
import time

import dspy  # type: ignore[import-untyped]

RELEASE = threading.Event()
"""Lets every hanging attempt end."""


class Hang(dspy.Module):  # type: ignore[misc]
    """Sync: hangs when asked to, in a way that cannot be interrupted from outside."""

    def forward(self, question: str) -> dspy.Prediction:
        """Answers, or waits for `RELEASE`."""
        if question == "hang":
            RELEASE.wait()
        return dspy.Prediction(answer=f"heard {question}")


class Raise(dspy.Module):  # type: ignore[misc]
    """Async: raises."""

    async def aforward(self, question: str) -> dspy.Prediction:
        """Raises unless asked nicely."""
        if question != "please":
            raise ValueError("a secret of the user's")
        return dspy.Prediction(answer="thanks")


class Greedy(dspy.Module):  # type: ignore[misc]
    """Async: keeps the event loop when asked to."""

    async def aforward(self, question: str) -> dspy.Prediction:
        """Answers; or spins; or waits for a second and a half as an async program must not, nine times."""
        while question == "spin":
            pass
        if question == "block":
            for _ in range(9):
                threading.Event().wait(1.5)
        return dspy.Prediction(answer=f"heard {question}")


class Deadly(dspy.Module):  # type: ignore[misc]
    """Sync: ends or seizes its process when asked to."""

    def forward(self, question: str) -> dspy.Prediction:
        """Answers, or kills its host in some way."""
        if question == "exit":
            time.sleep(1.5)  # so that people can see it run
            os._exit(1)
        if question == "hold":
            re.match(r"(a+)+$", "a" * 40 + "b")  # for years, and without giving the interpreter to anybody
        return dspy.Prediction(answer=f"heard {question}")


class Hungry(dspy.Module):  # type: ignore[misc]
    """Sync: takes memory without end when asked to."""

    def forward(self, question: str) -> dspy.Prediction:
        """Answers, or allocates until its host ends."""
        taken = list[bytes]()
        while question == "more":
            taken.append(b"x" * 5_000_000)
        return dspy.Prediction(answer=f"heard {question}")
