"""The attempts that run for a host's sessions: begun, streamed, ended, and begun again where they cannot go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from dspex_actors.clock import Clock
from dspex_actors.programs.call import ProgramCall
from dspex_actors.sessions.activation import Activation, TokenLog
from dspex_actors.sessions.events import Event, Release, Start
from dspex_actors.sessions.inbox import Inbox
from dspex_actors.sessions.pacing import Pace
from dspex_actors.sessions.run import Outcome, Run, ended
from dspex_actors.sessions.runner import Limits, Runner
from dspex_actors.sessions.watching import listeners
from dspex_actors.sessions.wear import Wear


class Attempts:
    """Used on the host's loop.

    Args:
        inbox: Where what happens in other threads comes in.
        clock: The time for records.
        active: The sessions in memory.
        handle: Lets something happen to one of them.
        wear: Hears of programs that had to be stopped.
        limits: How long programs may keep others waiting.
        when: Calls back as soon as something may begin.
    """

    def __init__(
        self,
        inbox: Inbox[Callable[[], None]],
        clock: Clock,
        active: Callable[[], Iterable[Activation]],
        handle: Callable[[Activation, Event], None],
        wear: Wear,
        limits: Limits,
        when: Callable[[Callable[[], None]], None],
    ) -> None:
        self._inbox, self._clock = inbox, clock
        self._active, self._handle = active, handle
        self._wear, self._when = wear, when
        self._loop, self._pace, self._closing = asyncio.get_running_loop(), Pace(), False
        self._runner = Runner(limits, wear, lambda runs: inbox.put(lambda: self._again(runs)))

    def start(self, activation: Activation, effect: Start) -> None:
        """Begin an attempt of the session's current turn."""
        session, program = activation.session, activation.program
        assert session is not None
        assert session.current is not None
        assert program is not None
        activation.log = TokenLog(effect.attempt)
        streaming = [waiter for waiter in (*session.current.waiters, *session.current.watchers) if waiter.streams]
        for waiter in streaming:
            waiter.started(effect.attempt)
        token = effect.token

        def on_token(name: str, delta: str) -> None:
            self._inbox.put(lambda: self._stream(activation, token, name, delta))

        def done(outcome: Outcome) -> None:
            self._inbox.put(lambda: self._finished(activation, token, outcome))

        call = ProgramCall(
            inputs=effect.inputs, history=effect.history,
            lm=session.record.lm, turn_id=effect.turn_id, session_id=session.record.id, attempt=effect.attempt,
            on_token=on_token if streaming else None, deadline_s=None, variables=effect.variables,
        )  # fmt: skip
        self._wear.turn()
        run = activation.runs[token] = Run(program, call, done)
        rest_s = self._pace.rest_s(activation.uid, effect.waited, self._loop.time())
        if rest_s:
            self._loop.call_later(rest_s, self._begin, run)
        else:
            self._begin(run)

    def _begin(self, run: Run) -> None:
        self._when(lambda: None if self._closing else self._runner.start(run))

    def abort(self, activation: Activation, token: int) -> None:
        """Stop an attempt, as far as it can be stopped."""
        if token in activation.runs:
            self._runner.abort(activation.runs[token])

    def abandon(self, activation: Activation) -> None:
        """Stop all of them."""
        for run in activation.runs.values():
            self._runner.abort(run)

    def close(self) -> None:
        """Run nothing more; attempts that still run are abandoned. Blocks."""
        self._closing = True
        self._runner.close()

    def _stream(self, activation: Activation, token: int, name: str, delta: str) -> None:
        session, tokens = activation.session, activation.log
        assert session is not None
        if tokens is None or session.current is None or session.current.token != token:
            return
        n = len(tokens.tokens) + 2
        tokens.tokens.append((n, name, delta))
        for waiter in listeners(session.current):
            waiter.token(n, name, delta)

    def _finished(self, activation: Activation, token: int, outcome: Outcome) -> None:
        activation.runs.pop(token, None)
        self._handle(activation, ended(token, outcome, self._clock.now_us()))

    def _again(self, lost: Iterable[Run]) -> None:
        """These cannot go on where they ran: their routers send them again, and the sessions begin anew."""
        gone = {id(run) for run in lost}
        for activation in list(self._active()):
            if any(id(run) in gone for run in activation.runs.values()):
                self._handle(activation, Release())
