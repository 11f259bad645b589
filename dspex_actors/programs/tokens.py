"""Tokens of the output fields, while the model writes them.

DSPy's own stream listeners drop a field that arrives in one piece and cut at any `[[`, so what they yield need not add
up to the field's value. This reads the same answer as `dspy.ChatAdapter.parse` does, only incrementally, and so what
it yields is always a beginning of what that will return. Answers in another adapter's format are not split: their
text fields arrive whole, when the turn ends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dspy  # type: ignore[import-untyped]

from dspex_actors.programs.adapter import ChatAdapter

OnToken = Callable[[str, str], None]

_CHAT_ADAPTERS = (ChatAdapter, dspy.ChatAdapter)
_HEADER = re.compile(r"\[\[ ## (\w+) ## \]\]")
_HEADER_START = "[[ ## "
_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")


class ChatText:
    """Splits one answer in ChatAdapter's format into `(field, delta)` while it arrives.

    The deltas of a field, put together, are at any time a beginning of the field's stripped text, and all of it after
    `end`. White space is held back until more text follows it, a line until it cannot be a header any more.
    """

    def __init__(self, fields: set[str]) -> None:
        self._left = set(fields)
        self._field: str | None = None
        self._line = ""
        self._open = False
        self._held = ""
        self._begun = False

    def feed(self, text: str) -> Iterator[tuple[str, str]]:
        """What is certain after another piece of the answer."""
        self._line += text
        while (end := _LINE_END.search(self._line)) and not (end.group() == "\r" and end.end() == len(self._line)):
            line, self._line = self._line[: end.start()], self._line[end.end() :]
            yield from self._finish_line(line)
        if self._line and not self._line.endswith("\r") and (self._open or not _may_be_header(self._line)):
            self._open = True
            line, self._line = self._line, ""
            yield from self._text(line)

    def end(self) -> Iterator[tuple[str, str]]:
        """What was held back for a header that never came."""
        line, self._line = self._line.removesuffix("\r"), ""
        yield from self._finish_line(line)

    def _finish_line(self, line: str) -> Iterator[tuple[str, str]]:
        header = None if self._open else _HEADER.match(line.strip())
        if header:
            self._begin(header.group(1))
            # ChatAdapter cuts the line that it has not stripped, and so must this.
            line = line[header.end() :].strip()
        yield from self._text(line)
        self._held += "\n"
        self._open = False

    def _begin(self, name: str) -> None:
        # The first section of a name counts, as in ChatAdapter.
        self._field = name if name in self._left else None
        self._left.discard(name)
        self._held, self._begun = "", False

    def _text(self, piece: str) -> Iterator[tuple[str, str]]:
        if self._field is None:
            return
        piece = self._held + piece if self._begun else piece.lstrip()
        text = piece.rstrip()
        self._held = piece[len(text) :]
        if text:
            self._begun = True
            yield self._field, text


def _may_be_header(line: str) -> bool:
    start = line.lstrip()
    return start.startswith(_HEADER_START) or _HEADER_START.startswith(start)


@dataclass(slots=True)
class _Answer:
    """One LM call's answer. Holding the predictor and the task keeps their ids from being used again."""

    predictor: Any
    task: Any
    text: ChatText
    done: bool = False


@dataclass(slots=True)
class TokenStream:
    """One turn's sink for DSPy's `send_stream`; never shared between turns.

    A field is streamed from the first call that writes it: what a program asks again, or asks elsewhere under the same
    name, is not mixed in. A module that changes the model's text before it returns it makes the tokens differ from the
    outputs; the outputs count.

    Args:
        on_token: Takes `(field, delta)`.
        fields: The fields to stream; None takes every output field of every predictor in the program.
    """

    on_token: OnToken
    fields: frozenset[str] | None
    _answers: dict[tuple[int, int], _Answer] = field(default_factory=dict)
    _owners: dict[str, _Answer] = field(default_factory=dict)
    _sent: dict[str, str] = field(default_factory=dict)

    async def send(self, chunk: Any) -> None:
        """DSPy's hook: one piece of an answer, in the context of the call."""
        choices = getattr(chunk, "choices", None)
        predictor = dspy.settings.caller_predict
        if not choices or predictor is None or type(dspy.settings.adapter) not in _CHAT_ADAPTERS:
            return
        answer = self._answer(predictor)
        if answer.done:
            return
        if text := choices[0].delta.content:
            self._emit(answer, answer.text.feed(text))
        if choices[0].finish_reason is not None:
            answer.done = True
            self._emit(answer, answer.text.end())

    def complete(self, outputs: dict[str, Any]) -> None:
        """Sends what the text fields of the finished turn have beyond the tokens so far."""
        for name, value in outputs.items():
            sent = self._sent.get(name, "")
            if isinstance(value, str) and value != sent and value.startswith(sent):
                self.on_token(name, value[len(sent) :])

    def _answer(self, predictor: Any) -> _Answer:
        task = asyncio.current_task()
        key = id(predictor), id(task)
        if key not in self._answers:
            fields = set(predictor.signature.output_fields)
            wanted = fields if self.fields is None else fields & self.fields
            self._answers[key] = _Answer(predictor, task, ChatText(wanted))
        return self._answers[key]

    def _emit(self, answer: _Answer, deltas: Iterator[tuple[str, str]]) -> None:
        for name, delta in deltas:
            if self._owners.setdefault(name, answer) is answer:
                self._sent[name] = self._sent.get(name, "") + delta
                self.on_token(name, delta)
