"""Engines and models for tests: they answer at once, from a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import dspy  # type: ignore[import-untyped]
from dspy.lm15 import (  # type: ignore[import-untyped]
    Message,
    Response,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    TextPart,
    Usage,
)

from dspex_actors.errors import InvalidRequest

Answer = Callable[[Any], str]

USAGE = Usage(input_tokens=3, output_tokens=2)


def fields(**values: object) -> str:
    """An answer in the chat adapter's format."""
    sections = [f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()]
    return "\n\n".join([*sections, "[[ ## completed ## ]]"])


class ScriptedEngine:
    """Answers a request with what `answer` makes of it; streams it in pieces of `size` characters."""

    def __init__(self, answer: Answer, size: int = 3) -> None:
        self.answer = answer
        self.size = size
        self.requests: list[Any] = []

    def complete(self, request: Any) -> Any:
        """DSPy's synchronous contract."""
        self.requests.append(request)
        message = Message.assistant([TextPart(self.answer(request))])
        return Response(id=None, model="scripted", message=message, finish_reason="stop", usage=USAGE)

    def stream(self, request: Any) -> Iterator[Any]:
        """DSPy's streaming contract."""
        text = self.complete(request).message.text
        yield StreamStartEvent(id=None, model="scripted")
        for at in range(0, len(text), self.size):
            yield StreamDeltaEvent(delta=TextDelta(text=text[at : at + self.size], part_index=0))
        yield StreamEndEvent(finish_reason="stop", usage=USAGE)


class AsyncScriptedEngine:
    """The asynchronous side of a `ScriptedEngine`."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self.engine = engine

    async def complete(self, request: Any) -> Any:
        """DSPy's asynchronous contract."""
        return self.engine.complete(request)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        """DSPy's streaming contract."""
        for event in self.engine.stream(request):
            yield event


class ScriptedModels:
    """Models by name: `answers` has one script for each; None is `default`."""

    def __init__(self, **answers: Answer) -> None:
        self.engines = {name: ScriptedEngine(answer) for name, answer in answers.items()}
        self._lms = {
            name: dspy.LM(f"test/{name}", engine=engine, async_engine=AsyncScriptedEngine(engine), cache=False)
            for name, engine in self.engines.items()
        }

    def get(self, name: str | None, /) -> dspy.LM:
        """The model of that name."""
        if (name or "default") not in self._lms:
            raise InvalidRequest(f"No model {name}.")
        return self._lms[name or "default"]

    def shown(self, name: str | None, /) -> str:
        """The name as it is."""
        return name or "default"


def answering(**values: object) -> ScriptedModels:
    """Models whose default always gives these fields."""
    return ScriptedModels(default=lambda request: fields(**values))


def prompt(request: Any) -> str:
    """All text of a request."""
    return "\n".join(message.text or "" for message in request.messages)
