"""A real host over a real store, with programs that do what a test's inputs say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson

from dspex_actors.errors import DspexError, InvalidRequest, ProgramFailed
from dspex_actors.ids import body_hash
from dspex_actors.programs.call import ProgramCall, ProgramResult
from dspex_actors.resources.program import Program, ProgramSpec
from dspex_actors.resources.session import OnBusy, SessionRecord, SessionSpec
from dspex_actors.resources.turn import TurnRequest
from dspex_actors.resources.variables import Variable
from dspex_actors.sessions.activation import Ask
from dspex_actors.sessions.host import Host
from dspex_actors.sessions.waiting import NO_EVENT
from dspex_actors.store.opening import open_store
from dspex_actors.store.port import Page, Store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

TENANT = "default"
WAIT_S = 3.0
UNTIL_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; fail when it does not within 10 s."""
    async with asyncio.timeout(UNTIL_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


class Gate:
    """What a program waits at until the test opens it, from whatever thread."""

    def __init__(self) -> None:
        self._open: Future[None] = Future()
        self.reached = 0

    def open(self) -> None:
        """Let everybody through, now and later."""
        if not self._open.done():
            self._open.set_result(None)

    async def wait(self) -> None:
        """Wait on a loop."""
        self.reached += 1
        await asyncio.shield(asyncio.wrap_future(self._open))

    async def wait_stubbornly(self) -> None:
        """Wait on a loop, whoever cancels."""
        self.reached += 1
        while not self._open.done():
            try:
                await asyncio.shield(asyncio.wrap_future(self._open))
            except asyncio.CancelledError:
                continue

    def block(self) -> None:
        """Wait in a thread."""
        self.reached += 1
        self._open.result(WAIT_S)


@dataclass
class Scripted:
    """A program whose inputs say what it does: `{"do": …}`; it answers with what it was asked and what it saw."""

    is_async: bool = True
    history_window: int = 20
    variables: dict[str, Variable] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)
    calls: list[ProgramCall] = field(default_factory=list)

    def gate(self, name: str) -> Gate:
        """The gate of that name."""
        return self.gates.setdefault(name, Gate())

    def validate(self, inputs: dict[str, Any]) -> None:
        """Refuses `{"do": "refuse"}`, and breaks at `{"do": "break"}`."""
        if inputs.get("do") == "refuse":
            raise InvalidRequest("These inputs do not fit.")
        if inputs.get("do") == "break":
            raise ArithmeticError("validation broke")

    async def arun(self, call: ProgramCall) -> ProgramResult:
        """Run on the program loop."""
        self.calls.append(call)
        do, gate = call.inputs.get("do"), call.inputs.get("gate")
        for number in range(call.inputs.get("tokens", 0)):
            if number == call.inputs.get("pause"):
                await self.gate("pause").wait()
            if call.on_token is not None:
                call.on_token("answer", "\ud83d" if do == "half" else call.inputs.get("delta", f"{number} "))
        if gate is not None:
            await (self.gate(gate).wait_stubbornly() if do == "ignore" else self.gate(gate).wait())
        return self._end(call)

    def run(self, call: ProgramCall) -> ProgramResult:
        """Run in a thread."""
        self.calls.append(call)
        if (gate := call.inputs.get("gate")) is not None:
            self.gate(gate).block()
        return self._end(call)

    def _end(self, call: ProgramCall) -> ProgramResult:
        match call.inputs.get("do"):
            case "raise":
                raise ProgramFailed("It raised ValueError.")
            case "bug":
                raise ValueError("a secret")
            case "exit":
                raise SystemExit(3)
        call.variables.update(call.inputs.get("set", {}))
        outputs = {"answer": call.inputs.get("q"), "seen": [past.inputs.get("q") for past in call.history]}
        if call.variables:
            outputs["variables"] = dict(call.variables)
        return ProgramResult(outputs, {"calls": 1}, "mock", call.variables.changed)


@dataclass
class ScriptedPrograms:
    """The catalogue: one program for all."""

    program: Scripted

    def known(self, _uid: str) -> None:
        """None are kept: every activation asks the store."""

    def load(self, _program: Program) -> Scripted:
        """The one program."""
        return self.program

    def check(self, _spec: ProgramSpec) -> None:
        """Everything can be built."""


class Heard:
    """Somebody who waits, and remembers all that was said."""

    def __init__(self, streams: bool = False) -> None:
        self.streams = streams
        self.events: list[tuple[Any, ...]] = []
        self.answers: list[bytes | DspexError] = []
        self.replayed: bool | None = None

    def started(self, attempt: int) -> None: ...

    def token(self, n: int, field: str, delta: str) -> None:
        self.events.append((n, field, delta))

    def reply(self, body: bytes, replayed: bool) -> None:
        self.replayed = replayed
        self.answers.append(body)

    def fail(self, error: DspexError) -> None:
        self.answers.append(error)

    async def outcome(self) -> bytes | DspexError:
        """The one answer."""
        await until(lambda: bool(self.answers))
        (answer,) = self.answers
        return answer

    async def answer(self) -> dict[str, Any]:
        """The one answer, which is no error."""
        body = await self.outcome()
        assert isinstance(body, bytes), body
        found: dict[str, Any] = orjson.loads(body)
        return found

    async def error(self) -> str:
        """The code of the one answer, which is an error."""
        error = await self.outcome()
        assert isinstance(error, DspexError), error
        return error.code


class Streamer(Heard):
    """A listener that also notes when an attempt starts."""

    def __init__(self) -> None:
        super().__init__(streams=True)

    def started(self, attempt: int) -> None:
        self.events.append(("started", attempt))


def request(turn_id: str, *, timeout_s: float = WAIT_S, stream: bool = False, **inputs: Any) -> TurnRequest:
    """A turn; `q` is its id unless told otherwise. `expected_turn`, `cancel_on_disconnect` and `last_event` are the
    turn's own."""
    expected, cancel = inputs.pop("expected_turn", None), inputs.pop("cancel_on_disconnect", False)
    last_event = inputs.pop("last_event", NO_EVENT)
    inputs = {"q": turn_id, **inputs}
    hashed = body_hash("turn", inputs)
    return TurnRequest(
        turn_id, True, hashed, orjson.dumps(inputs), timeout_s, expected, cancel, stream, last_event=last_event
    )


class Bench:
    """One host that owns its sessions' units."""

    def __init__(self, store: Store, program: Scripted, **kwargs: Any) -> None:
        self.store = store
        self.program = program
        self.host = Host("host-a", store, cast("Programs", ScriptedPrograms(program)), **kwargs)
        self.epochs: dict[str, int] = {}
        self._closed = False

    async def close(self) -> None:
        """Close the host, once."""
        if not self._closed:
            self._closed = True
            await self.host.close()

    def session(self, session_id: str = "alice", on_busy: OnBusy = "enqueue") -> SessionRecord:
        """A new session, whose unit the host owns."""
        record = make_session(self.store, session_id, on_busy)
        self.store.seed_leases({record.unit: self.host.name})
        self.renew(record)
        return record

    def renew(self, record: SessionRecord) -> None:
        """Tell the host what the store says about the unit."""
        leases = [lease for lease in self.store.leases() if lease.unit == record.unit]
        self.epochs[record.unit] = leases[0].epoch
        self.host.own(leases)

    def ask(self, record: SessionRecord, turn_id: str, waiter: Heard | None = None, **turn: Any) -> Heard:
        """Send a turn; gives who waits for it."""
        waiter = waiter or Heard()
        sent = request(turn_id, stream=waiter.streams, **turn)
        epoch = self.epochs.get(record.unit, 1)
        self.host.ask(Ask(record.uid, record.unit, epoch, 1, sent), waiter)
        return waiter

    def journal(self, record: SessionRecord) -> list[tuple[int | None, str | None]]:
        """Numbers and ids of the session's turns."""
        return [(entry.turn, entry.turn_id) for entry in self.store.entries(record.uid)]


def make_session(store: Store, session_id: str, on_busy: OnBusy = "enqueue") -> SessionRecord:
    """A session of the program `qa`, which is made when it is missing."""
    if not store.list_programs(TENANT, Page(limit=1)).items:
        store.create_program(TENANT, ProgramSpec(name="qa", signature="question -> answer"))
    return store.create_session(TENANT, SessionSpec(program="qa", id=session_id, on_busy=on_busy)).value


@asynccontextmanager
async def hosting(program: Scripted | None = None, url: str = "sqlite://", **kwargs: Any) -> AsyncIterator[Bench]:
    """A host, closed at the end with every gate open."""
    store = open_store(url)
    bench = Bench(store, program or Scripted(), **kwargs)
    try:
        yield bench
    finally:
        for gate in bench.program.gates.values():
            gate.open()
        await bench.close()
        store.close()
