"""The mock model: a DSPy engine that answers without a provider, by rule.

It reads the prompt that a real adapter wrote, finds the output fields and their types, and answers each with a value
that parses. Its strings say that it is a mock, what it was asked, and how much of the conversation it was shown:
`mock answer to 'What is 2+2?' (earlier turns shown: 1) after 'hello'`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from dspy.lm15 import (  # type: ignore[import-untyped]
    Message,
    Request,
    Response,
    ServerError,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    Usage,
)

from dspex_actors.lm.prompt import OutputField, Plan, first_input, plan, plan_of_schema, reminder_of
from dspex_actors.lm.schema_value import value_for
from dspex_actors.lm.settings import MockSettings

_QUOTE = 60
_EARLIER_QUOTE = 24
_EARLIER = 4
_WORD = re.compile(r"\S+\s*")


@dataclass(frozen=True, slots=True)
class _Prompt:
    system: str
    texts: tuple[str, ...]
    last: str
    reminder: str
    turns: int
    earlier: tuple[str, ...]

    def saying(self, field: str) -> str:
        after = ", ".join(f"'{_short(text, _EARLIER_QUOTE)}'" for text in self.earlier[-_EARLIER:])
        tail = f" after {after}" if after else ""
        return f"mock {field} to '{_short(self.last, _QUOTE)}' (earlier turns shown: {self.turns}){tail}"


class MockEngine:
    """The mock for sync calls: an engine for `dspy.LM(name, engine=…)`.

    The same request gets the same answer, except that `fail` also counts the calls, so that a retry can succeed.
    Safe to call from many threads. Earlier turns are the assistant's messages before the request that do not belong to
    a few-shot demo; what tells a demo is that its user message lacks the reminder of the output format. Where the
    request has no reminder (a plain text prompt), every assistant message counts.

    Args:
        settings: Its latency and its failures.
    """

    supports_response_schema = True
    supported_params = frozenset({"response_format"})

    def __init__(self, settings: MockSettings | None = None) -> None:
        self.settings = settings or MockSettings()
        self._calls = 0

    def answer(self, request: Request) -> Response:
        """The answer to a request, at once.

        Raises:
            ServerError: By the settings' `fail`; DSPy takes it for a failure of the provider that may pass.
        """
        prompt = _read(request)
        self._maybe_fail(prompt)
        text = _write(prompt, request.config.response_format)
        words = len(prompt.system.split()) + sum(len(part.split()) for part in prompt.texts)
        usage = Usage(input_tokens=max(words, 1), output_tokens=len(text.split()))
        return Response(
            id=None, model=request.model, message=Message.assistant(text), finish_reason="stop", usage=usage
        )

    def complete(self, request: Request) -> Response:
        """The answer, after the settings' latency (which blocks the thread)."""
        response = self.answer(request)
        if self.settings.latency_s:
            time.sleep(self.settings.latency_s)
        return response

    def stream(self, request: Request) -> Iterator[Any]:
        """The same answer word by word: one start event, the deltas, one end event."""
        response = self.answer(request)
        words = _words(response)
        yield StreamStartEvent(model=request.model)
        for word in words:
            if self.settings.latency_s:
                time.sleep(self.settings.latency_s / len(words))
            yield StreamDeltaEvent(TextDelta(word))
        yield StreamEndEvent(finish_reason="stop", usage=response.usage)

    def close(self) -> None:
        """Nothing is held open."""

    def _maybe_fail(self, prompt: _Prompt) -> None:
        self._calls += 1
        if not self.settings.fail:
            return
        seed = f"{self._calls}\0{prompt.system}\0{prompt.texts[-1]}".encode()
        draw = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest()) / 2**64
        if draw < self.settings.fail:
            raise ServerError("The mock failed because its setting fail says so.", provider="mock", status=500)


class AsyncMockEngine:
    """The mock for async calls; answers as its sync twin does and counts with it.

    Args:
        sync: The engine of the same `dspy.LM`.
    """

    def __init__(self, sync: MockEngine) -> None:
        self.sync = sync

    async def complete(self, request: Request) -> Response:
        """The answer, after the settings' latency."""
        response = self.sync.answer(request)
        if self.sync.settings.latency_s:
            await asyncio.sleep(self.sync.settings.latency_s)
        return response

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """The same answer word by word: one start event, the deltas, one end event."""
        response = self.sync.answer(request)
        words = _words(response)
        yield StreamStartEvent(model=request.model)
        for word in words:
            if self.sync.settings.latency_s:
                await asyncio.sleep(self.sync.settings.latency_s / len(words))
            yield StreamDeltaEvent(TextDelta(word))
        yield StreamEndEvent(finish_reason="stop", usage=response.usage)

    async def aclose(self) -> None:
        """Nothing is held open."""


def _read(request: Request) -> _Prompt:
    texts = tuple(_text(message.parts) for message in request.messages)
    roles = [message.role for message in request.messages]
    final = max((at for at, role in enumerate(roles) if role == "user"), default=len(texts) - 1)
    reminder = reminder_of(texts[final])
    asked = [role == "user" and texts[at].endswith(reminder) for at, role in enumerate(roles[:final])]
    demos = [role == "user" and not asked[at] for at, role in enumerate(roles[:final])]
    turns = sum(roles[at] == "assistant" and not (at and demos[at - 1]) for at in range(final))
    return _Prompt(
        system=request.system if isinstance(request.system, str) else _text(request.system or ()),
        texts=texts,
        last=first_input(texts[final], reminder),
        reminder=reminder,
        turns=turns,
        earlier=tuple(first_input(texts[at], reminder) for at in range(final) if asked[at]),
    )


def _text(parts: tuple[Any, ...]) -> str:
    return "\n".join(part.text for part in parts if part.type == "text")


def _write(prompt: _Prompt, response_format: dict[str, Any] | None) -> str:
    kind = (response_format or {}).get("type")
    if response_format and kind == "json_schema":
        shape = plan_of_schema(response_format["schema"])
    elif prompt.reminder:
        shape = plan(prompt.system, prompt.reminder)
    else:
        shape = Plan((), as_json=kind == "json_object")
    if shape.as_json:
        values = {field.name: value_for(field.schema, prompt.saying(_spoken(field))) for field in shape.fields}
        return json.dumps(values or {"answer": prompt.saying("answer")}, ensure_ascii=False)
    if not shape.fields:
        return prompt.saying("answer")
    sections = [f"[[ ## {field.name} ## ]]\n{_section(field, prompt)}" for field in shape.fields]
    return "\n\n".join([*sections, "[[ ## completed ## ]]"])


def _section(field: OutputField, prompt: _Prompt) -> str:
    value = value_for(field.schema, prompt.saying(_spoken(field)))
    if isinstance(value, str) and field.raw:
        # The adapter strips a section; quotes keep an option's own blanks.
        return value if value and value == value.strip() else f'"{value}"'
    if isinstance(value, bool) or value is None:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _spoken(field: OutputField) -> str:
    return field.name.replace("_", " ")


def _short(text: str, most: int) -> str:
    line = " ".join(text[: most * 8].split())
    return line if len(line) <= most and len(text) <= most * 8 else f"{line[: most - 1]}…"


def _words(response: Response) -> list[str]:
    return _WORD.findall(response.message.text)
