"""One program, ready to run turns."""

from __future__ import annotations

import asyncio
import copy
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, Protocol

import dspy  # type: ignore[import-untyped]

from dspex_actors.errors import DeadlineExceeded, DspexError, Internal
from dspex_actors.programs.adapter import ChatAdapter
from dspex_actors.programs.call import HistoryTurn, ProgramCall, ProgramResult
from dspex_actors.programs.current import CurrentTurn, within
from dspex_actors.programs.failures import failure
from dspex_actors.programs.leftovers import supervised
from dspex_actors.programs.modules import Built
from dspex_actors.programs.tokens import TokenStream
from dspex_actors.programs.usage import TurnUsage
from dspex_actors.resources.variables import Declared

Json = dict[str, Any]

# What it remembers is shared by all turns.
_ADAPTER = ChatAdapter()


class ModelSource(Protocol):
    """Where programs get their models: `lm.models.Models`."""

    def get(self, name: str | None, /) -> dspy.LM:
        """The model of that name, or the default. Raises InvalidRequest for an unknown one."""
        ...

    def shown(self, name: str | None, /) -> str:
        """The name as answers show it."""
        ...


class LoadedProgram:
    """A built module and the way to run a turn of it.

    The module object is shared by every session and turn of the program and is never changed by a run: model, adapter,
    token stream and usage travel in the context, and nothing is written to DSPy's histories or traces. A user's module
    is made once a program version and host; what it writes to its own attributes is seen by all sessions, so
    memory belongs in the conversation. It gets copies of inputs and history, and may change those.

    Attributes:
        history_window: How many earlier turns a run is shown, 0 when the program takes no `dspy.History`.
        variables: Declarations for all sessions of the program.
        is_async: Whether turns run through `arun`, on the program loop; otherwise through `run`, in a pool thread.
    """

    def __init__(self, built: Built, models: ModelSource, lm: str | None, variables: Declared) -> None:
        self.history_window = built.history_window
        self.is_async = built.is_async
        self.variables = variables
        self._built = built
        self._models = models
        self._lm = lm
        self._ready: set[str | None] = set()
        names = built.outputs.names
        self._streamed = None if names is None else frozenset(names)

    def validate(self, inputs: Json) -> None:
        """Nothing, when a turn can run with these inputs.

        Raises:
            InvalidRequest: Inputs are missing, unknown or of the wrong type; `errors` has all of them.
        """
        self._built.inputs.validate(inputs)

    async def arun(self, call: ProgramCall) -> ProgramResult:
        """Runs one turn of an asynchronous program. Cancelling it cancels the program and every task it started.

        DSPy's own modules run in the caller's task, since they reset every context variable that they set; a user's
        module runs in a task, and so in a context, of its own.

        Raises:
            DspexError: LMFailed and its kin, OutputInvalid, ProgramFailed, DeadlineExceeded: nothing of it is kept.
        """
        if not self.is_async:
            raise Internal("This program is synchronous: run() it in a pool thread.")
        _refuse_expired(call)
        stream = None if call.on_token is None else TokenStream(call.on_token, self._streamed)
        try:
            async with asyncio.timeout(call.deadline_s) as limit:
                work = self._turn(call, stream)
                result = await (supervised(work) if self._built.own else work)
        except (TimeoutError, DspexError):
            if limit.expired():
                raise _expired() from None
            raise
        if stream is not None:
            stream.complete(result.outputs)
        return result

    def run(self, call: ProgramCall) -> ProgramResult:
        """Runs one turn of a synchronous program in the calling thread, in a copy of its context.

        It has no tokens: DSPy sends them from synchronous code through an event loop that a pool thread does not have.
        Running out of time is the caller's to notice.

        Raises:
            DspexError: LMFailed and its kin, OutputInvalid, ProgramFailed, DeadlineExceeded: nothing of it is kept.
        """
        if self.is_async:
            raise Internal("This program is asynchronous: await arun() on the program loop.")
        _refuse_expired(call)
        return copy_context().run(self._turn_here, call)

    async def _turn(self, call: ProgramCall, stream: TokenStream | None) -> ProgramResult:
        name, usage = call.lm or self._lm, TurnUsage()
        lm, arguments = await self._model(name), self._arguments(call)
        with within(_current(call)), _settings(lm, usage, stream):
            try:
                prediction = await self._built.module.acall(**arguments)
            except asyncio.CancelledError as exc:
                if _is_cancelled():
                    raise
                raise failure(exc) from exc
            except (Exception, SystemExit) as exc:
                raise failure(exc) from exc
        return self._result(prediction, usage, name, call)

    def _turn_here(self, call: ProgramCall) -> ProgramResult:
        name, usage = call.lm or self._lm, TurnUsage()
        lm, arguments = self._models.get(name), self._arguments(call)
        with within(_current(call)), _settings(lm, usage, None):
            try:
                prediction = self._built.module(**arguments)
            except (Exception, SystemExit) as exc:
                raise failure(exc) from exc
        return self._result(prediction, usage, name, call)

    async def _model(self, name: str | None) -> dspy.LM:
        if name in self._ready:
            return self._models.get(name)
        # The first use of a model may import its client for seconds.
        lm = await asyncio.to_thread(self._models.get, name)
        self._ready.add(name)
        return lm

    def _arguments(self, call: ProgramCall) -> Json:
        arguments = self._built.inputs.convert(call.inputs)
        if self._built.history is not None:
            arguments = {**arguments, self._built.history: self._history(call)}
        return copy.deepcopy(arguments) if self._built.own else arguments

    def _history(self, call: ProgramCall) -> dspy.History:
        window = self.history_window
        turns: tuple[HistoryTurn, ...] = tuple(call.history)[-window:] if window else ()
        return dspy.History(messages=[{**turn.inputs, **turn.outputs} for turn in turns])

    def _result(self, prediction: Any, usage: TurnUsage, name: str | None, call: ProgramCall) -> ProgramResult:
        outputs = self._built.outputs.dump(prediction)
        return ProgramResult(outputs, usage.total(), self._models.shown(name), call.variables.changed)


def _current(call: ProgramCall) -> CurrentTurn:
    return CurrentTurn(call.turn_id, call.session_id, call.attempt, call.variables)


def _settings(lm: dspy.LM, usage: TurnUsage, stream: TokenStream | None) -> AbstractContextManager[Any]:
    """Everything that a run needs of DSPy's settings, whatever the process has configured."""
    settings: AbstractContextManager[Any] = dspy.context(
        lm=lm,
        adapter=_ADAPTER,
        callbacks=[],
        trace=None,
        disable_history=True,
        track_usage=True,
        usage_tracker=usage,
        send_stream=stream,
        stream_listeners=[],
        caller_predict=None,
        caller_modules=None,
        # Inputs are checked before; DSPy's warning would write their values to the log.
        warn_on_type_mismatch=False,
    )
    return settings


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _refuse_expired(call: ProgramCall) -> None:
    if call.deadline_s is not None and call.deadline_s <= 0:
        raise _expired()


def _expired() -> DeadlineExceeded:
    return DeadlineExceeded("Time ran out before the program was done. Try again with a longer timeout.")
