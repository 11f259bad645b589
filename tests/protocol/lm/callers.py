"""The three ways in which a program calls its model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dspy  # type: ignore[import-untyped]
from pydantic import SecretStr

from dspex_actors.lm.models import Models

KEY = "sk-very-secret"
QUESTION = "What is 2+2?"


def models(base: str, timeout_s: float = 10) -> Models:
    """Models whose default is at that address."""
    return Models("openai/gpt-4o-mini", base, SecretStr(KEY), timeout_s=timeout_s)


def sync(program: Any) -> list[Any]:
    """A plain call."""
    return [program(question=QUESTION)]


def asynchronous(program: Any) -> list[Any]:
    """An awaited call."""
    return [asyncio.run(program.acall(question=QUESTION))]


def streaming(program: Any) -> list[Any]:
    """A streamed call: the tokens, then the prediction."""

    async def collect() -> list[Any]:
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        streamed = dspy.streamify(program, stream_listeners=[listener], async_streaming=True)
        return [item async for item in streamed(question=QUESTION)]

    return asyncio.run(collect())


Caller = Callable[[Any], list[Any]]
CALLERS: list[Caller] = [sync, asynchronous, streaming]


def ask(lm: Any, caller: Caller) -> list[Any]:
    """What a `question -> answer` program yields with this model."""
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(), disable_history=True, trace=None, track_usage=True):
        return caller(dspy.Predict("question -> answer"))
