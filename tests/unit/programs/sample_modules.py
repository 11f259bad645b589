"""Modules as users write them; the tests import them by path."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextvars import ContextVar
from datetime import date
from typing import TYPE_CHECKING, Any

import dspy  # type: ignore[import-untyped]

from dspex_actors.errors import OutcomeUnknown
from dspex_actors.programs.current import current_turn

if TYPE_CHECKING:
    from datetime import datetime

MARK: ContextVar[str] = ContextVar("mark", default="untouched")
LEFT: list[asyncio.Task[Any]] = []
STARTED = asyncio.Event()


class SyncEcho(dspy.Module):  # type: ignore[misc]
    """Synchronous, asks the model once."""

    def __init__(self, shout: bool = False) -> None:
        super().__init__()
        self.ask = dspy.Predict("question: str -> answer: str")
        self.shout = shout

    def forward(self, question: str, times: int = 1) -> dspy.Prediction:
        """Asks `times` times."""
        for _ in range(times):
            answer = self.ask(question=question).answer
        return dspy.Prediction(answer=answer.upper() if self.shout else answer, thread=threading.current_thread().name)


class AsyncEcho(dspy.Module):  # type: ignore[misc]
    """Asynchronous, asks the model once."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question: str -> answer: str")

    async def aforward(self, question: str) -> dspy.Prediction:
        """Passes the model's answer on."""
        return await self.ask.acall(question=question)


class Remembers(dspy.Module):  # type: ignore[misc]
    """Counts the turns it is shown, and spoils what it was given."""

    def forward(self, question: str, tags: list[str], history: dspy.History) -> dspy.Prediction:
        """How many earlier turns there are."""
        tags.append("spoilt")
        for message in history.messages:
            message["tags"].append("spoilt")
        return dspy.Prediction(answer=f"{question} after {len(history.messages)}")


class Dated(dspy.Module):  # type: ignore[misc]
    """Takes a date."""

    def forward(self, day: date) -> dspy.Prediction:
        """The day after."""
        return dspy.Prediction(year=day.year, day=day)


class Raises(dspy.Module):  # type: ignore[misc]
    """Raises what it is told to."""

    async def aforward(self, kind: str) -> dspy.Prediction:
        """Never returns."""
        if kind == "exit":
            sys.exit("secret text")
        if kind == "cancelled":
            raise asyncio.CancelledError("secret text")
        if kind == "ours":
            raise OutcomeUnknown("secret text")
        raise ValueError("secret text")


class SyncRaises(dspy.Module):  # type: ignore[misc]
    """Raises, synchronously."""

    def forward(self) -> dspy.Prediction:
        """Never returns."""
        raise KeyError("secret text")


class Leaves(dspy.Module):  # type: ignore[misc]
    """Leaves a task behind."""

    async def aforward(self, fail: bool) -> dspy.Prediction:
        """Returns or raises while its task waits for ever."""
        LEFT.append(asyncio.create_task(asyncio.Event().wait()))
        await asyncio.sleep(0)
        if fail:
            raise ValueError
        return dspy.Prediction(answer="done")


class Waits(dspy.Module):  # type: ignore[misc]
    """Never ends."""

    async def aforward(self) -> dspy.Prediction:
        """Waits in a task of its own."""
        LEFT.append(asyncio.create_task(asyncio.Event().wait()))
        STARTED.set()
        await LEFT[-1]


class Asks(dspy.Module):  # type: ignore[misc]
    """Tells which turn it runs in, from a thread as well."""

    async def aforward(self) -> dspy.Prediction:
        """The turn, seen twice."""
        there = await asyncio.to_thread(current_turn)
        return dspy.Prediction(here=current_turn().id, there=there.id, attempt=there.attempt)


class SyncAsks(dspy.Module):  # type: ignore[misc]
    """Tells which turn it runs in."""

    def forward(self) -> dspy.Prediction:
        """The turn."""
        return dspy.Prediction(turn=current_turn().id, session=current_turn().session)


class ReturnsText(dspy.Module):  # type: ignore[misc]
    """Forgets to return a prediction."""

    def forward(self, question: str) -> str:
        """Plain text."""
        return question


class TakesSignature(dspy.Module):  # type: ignore[misc]
    """Is made with the specification's signature."""

    def __init__(self, signature: type[dspy.Signature]) -> None:
        super().__init__()
        self.ask = dspy.Predict(signature)

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Passes everything on."""
        return self.ask(**inputs)


class FailsToStart(dspy.Module):  # type: ignore[misc]
    """Cannot be made."""

    def __init__(self) -> None:
        super().__init__()
        raise RuntimeError("secret text")

    def forward(self) -> dspy.Prediction:
        """Never called."""


class OverridesForward(dspy.ChainOfThought):  # type: ignore[misc]
    """Its own `forward` counts, not the `aforward` that it inherits."""

    def __init__(self) -> None:
        super().__init__("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        """Its own."""
        return dspy.Prediction(answer="own")


class Empty(dspy.Module):  # type: ignore[misc]
    """Defines no entry point."""


class WrongKind(dspy.Module):  # type: ignore[misc]
    """Calls an asynchronous function `forward`."""

    async def forward(self, question: str) -> dspy.Prediction:
        """Should be aforward."""


class Unspeakable(dspy.Module):  # type: ignore[misc]
    """Takes what JSON does not have."""

    def forward(self, what: threading.Thread) -> dspy.Prediction:
        """Never called."""


class Unresolved(dspy.Module):  # type: ignore[misc]
    """Names a type that is not there at run time."""

    def forward(self, when: datetime) -> dspy.Prediction:
        """Never called."""


NOT_A_MODULE = 3


class AsksOften(AsyncEcho):
    """Asks thrice at once, then once more."""

    async def aforward(self, question: str) -> dspy.Prediction:
        """The last answer."""
        await asyncio.gather(*(self.ask.acall(question=question) for _ in range(3)))
        return await self.ask.acall(question=question)


class AsksInJson(AsyncEcho):
    """Chooses another adapter."""

    async def aforward(self, question: str) -> dspy.Prediction:
        """In JSON."""
        with dspy.context(adapter=dspy.JSONAdapter()):
            return await self.ask.acall(question=question)


class Thinks(dspy.Module):  # type: ignore[misc]
    """Thinks before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        """Thought and answer."""
        return await self.think.acall(question=question)


class SetsContext(dspy.Module):  # type: ignore[misc]
    """Sets a context variable and does not reset it."""

    def forward(self) -> dspy.Prediction:
        """In the pool."""
        MARK.set("touched")
        return dspy.Prediction(mark=MARK.get())


class SetsContextLater(dspy.Module):  # type: ignore[misc]
    """The same, asynchronously."""

    async def aforward(self) -> dspy.Prediction:
        """On the loop."""
        MARK.set("touched")
        return dspy.Prediction(mark=MARK.get())


class Counts(dspy.Module):  # type: ignore[misc]
    """Counts its turns in a variable, and tries what it is told to."""

    async def aforward(self, value: int | None = None, name: str = "count") -> dspy.Prediction:
        """Set `name` to the value, or one more than it is."""
        variables = current_turn().variables
        variables[name] = variables[name] + 1 if value is None else value
        return dspy.Prediction(now=dict(variables))
