"""The mock streams what it completes."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy  # type: ignore[import-untyped]
from dspy.clients.engines.stream_guard import checked_stream  # type: ignore[import-untyped]
from dspy.lm15 import Message, Request  # type: ignore[import-untyped]

from dspex_actors.lm.mock import AsyncMockEngine, MockEngine
from tests.unit.lm.mocked import mocked

ASKED = Request(model="mock", messages=(Message.user("tell me a story"),))


async def collected(program: Any, **inputs: str) -> list[Any]:
    """Everything that a streamed program yields."""
    return [item async for item in program(**inputs)]


def test_a_stream_holds_the_text_and_the_usage_of_the_completion() -> None:
    """Word by word, behind DSPy's own guard."""
    engine = MockEngine()
    start, *deltas, end = checked_stream(engine.stream(ASKED))
    whole = engine.complete(ASKED)
    assert (start.type, end.type, end.usage) == ("start", "end", whole.usage)
    assert len(deltas) == len(whole.text.split())
    assert "".join(event.delta.text for event in deltas) == whole.text


def test_the_async_stream_equals_the_sync_one() -> None:
    """The two engines are twins."""

    async def stream() -> list[Any]:
        return [event async for event in AsyncMockEngine(MockEngine()).stream(ASKED)]

    assert asyncio.run(stream()) == list(MockEngine().stream(ASKED))


def test_streamify_yields_the_tokens_of_a_field_and_then_the_prediction() -> None:
    """Through DSPy's own streaming and its listeners."""
    program = dspy.Predict("question -> answer")
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    with mocked():
        items = asyncio.run(
            collected(dspy.streamify(program, stream_listeners=[listener], async_streaming=True), question="hi")
        )
    tokens = [item.chunk for item in items if isinstance(item, dspy.streaming.StreamResponse)]
    assert len(tokens) > 1
    assert "".join(tokens).strip() == items[-1].answer == "mock answer to 'hi' (earlier turns shown: 0)"
