"""DSPy's short jobs on the spot, everything else in threads."""

from __future__ import annotations

import asyncio
import threading

import dspy  # type: ignore[import-untyped]
import pytest

from dspex_actors.lm.models import Models
from dspex_actors.programs.shortcut import ShortcutExecutor


async def _predict() -> str:
    with dspy.context(lm=Models("mock", None, None).get(None), disable_history=True):
        answer: str = (await dspy.Predict("question -> answer").acall(question="Why?")).answer
        return answer


def test_a_prediction_starts_no_thread() -> None:
    """What this relies on: DSPy sends `prepare` and `_price_result`, and nothing else, to threads."""
    executor = ShortcutExecutor()

    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(executor)
        return await _predict()

    assert "Why?" in asyncio.run(main())
    assert not executor._threads


def test_other_work_goes_to_a_thread() -> None:
    """A program's own blocking call does not block the loop."""

    async def main() -> int:
        asyncio.get_running_loop().set_default_executor(ShortcutExecutor())
        return await asyncio.to_thread(threading.get_ident)

    assert asyncio.run(main()) != threading.get_ident()


def test_an_error_of_a_short_job_reaches_its_caller() -> None:
    """As it would from a thread."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ShortcutExecutor())
        with dspy.context(lm=Models("mock", None, None).get(None)):
            await dspy.settings.lm.acall(messages=[{"role": "user", "content": "\ud800"}])

    with pytest.raises(ValueError, match="Unicode"):
        asyncio.run(main())
