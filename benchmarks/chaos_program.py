"""The program that chaos sessions run: it appends its key to a list, and answers with what it saw of the list.

Loaded into the server as `python:benchmarks.chaos_program:Ledger`. Its state is the conversation alone, so an answer
tells which turns the session knew when it ran.
"""

from __future__ import annotations

import asyncio
import os

import dspy  # type: ignore[import-untyped]

from benchmarks.chaos_log import digest_of

MODULE = "python:benchmarks.chaos_program:Ledger"
PACKAGE = "benchmarks.chaos_program"


class Ledger(dspy.Module):  # type: ignore[misc]
    """Takes `pause_s` seconds, as a model would."""

    async def aforward(self, key: str, history: dspy.History, pause_s: float = 0.0) -> dspy.Prediction:
        """One more key."""
        past = history.messages
        number, before = (past[-1]["number"], past[-1]["digest"]) if past else (0, "")
        if pause_s:
            await asyncio.sleep(pause_s)
        return dspy.Prediction(
            number=number + 1,
            digest=digest_of(before, key),
            after=[each["key"] for each in past],
            process=os.getpid(),
        )
