"""A runtime in memory: echoes its inputs, and does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from dspex_actors.errors import (
    AlreadyExists,
    IdempotencyMismatch,
    InUse,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from dspex_actors.resources.key import Principal
from dspex_actors.resources.program import Program, ProgramChange, ProgramSpec
from dspex_actors.resources.retention import Held, Retention
from dspex_actors.resources.session import ForkSpec, SessionChange, SessionSpec
from dspex_actors.resources.turn import TurnAnswer, TurnEvent, TurnRequest, rewind_request
from dspex_actors.store.port import Idempotency, Listing, Made, Page

T = TypeVar("T")
ADMIN, WRITER, READER = "admin-key", "write-key", "read-key"
COMPLETED = TurnEvent("1.2", "turn.completed", b'{"turn":1}')


class FakeRuntime:
    """What the API is tested against.

    `error` is raised by every turn, `gate` holds turns back until it is set; `gone` is set when a turn's caller went.
    """

    def __init__(self) -> None:
        self.keys = {
            ADMIN: Principal("k-admin", "default", ("admin",)),
            WRITER: Principal("k-write", "default", ("write",)),
            READER: Principal("k-read", "default", ("read",)),
        }
        self.programs: dict[str, Program] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.turns_of: dict[str, list[dict[str, Any]]] = {}
        self.hashes: dict[str, bytes] = {}
        self.made: dict[Idempotency, Any] = {}
        self.asked: list[TurnRequest] = []
        self.events: Sequence[TurnEvent] = (TurnEvent("1.1", "turn.started", b'{"attempt":1}'), COMPLETED)
        self.error: Exception | None = None
        self.late_error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.started, self.gone = asyncio.Event(), asyncio.Event()
        self.parts: list[str] = []
        self.kept: Retention | None = None
        self.watched: list[tuple[str, tuple[int, int], float]] = []
        self.cancelled: list[tuple[str | None, str]] = []

    async def authenticate(self, secret: str) -> Principal:
        """The principal of a known key."""
        if secret not in self.keys:
            raise Unauthenticated("This key is unknown.")
        return self.keys[secret]

    async def migrate_session(
        self, tenant: str, session_id: str, host: str | None, patience_s: float
    ) -> dict[str, Any]:
        """There are hosts `a` and `b`."""
        await self.get_session(tenant, session_id)
        if host not in (None, "a", "b"):
            raise NotFound(f"There is no host {host!r}.")
        return {"session": session_id, "from": "a", "to": host or "b", "pause_ms": 1.5}

    async def drain_host(self, host: str, timeout_s: float) -> dict[str, Any]:
        """There are hosts `a` and `b`."""
        if host not in ("a", "b"):
            raise NotFound(f"There is no host {host!r}.")
        return {"host": host, "status": "drained", "moved": 512, "left": 0}

    def _once(self, idempotency: Idempotency | None, value: T) -> Made[T]:
        if idempotency is not None:
            self.made[idempotency] = value
        return Made(value)

    def _before(self, idempotency: Idempotency | None) -> Any:
        if idempotency is None:
            return None
        for made, value in self.made.items():
            if (made.principal, made.route, made.key) == (idempotency.principal, idempotency.route, idempotency.key):
                if made.body_hash != idempotency.body_hash:
                    raise IdempotencyMismatch("This key was used with another body. Use a fresh one.")
                return value
        return None

    async def create_program(self, tenant: str, spec: ProgramSpec, idempotency: Idempotency | None) -> Made[Program]:
        """Store it."""
        if before := self._before(idempotency):
            return Made(before, replayed=True)
        if spec.name in self.programs:
            raise AlreadyExists("This name is taken.")
        self.programs[spec.name] = Program(f"u-{spec.name}", tenant, 1, spec, len(self.programs) * 1_000_000)
        return self._once(idempotency, self.programs[spec.name])

    async def list_programs(self, tenant: str, page: Page) -> Listing[Program]:
        """A page."""
        return _page(list(self.programs.values()), page)

    async def get_program(self, tenant: str, name: str) -> Program:
        """By name."""
        return _found(self.programs, name)

    async def program_versions(self, tenant: str, name: str, page: Page) -> Listing[Program]:
        """The one there is, or two."""
        found = _found(self.programs, name)
        return _page([replace(found, version=number) for number in range(1, found.newest + 1)], page)

    async def change_program(
        self, tenant: str, name: str, change: ProgramChange, if_match: str | None, idempotency: Idempotency | None
    ) -> Made[Program]:
        """Another number."""
        if before := self._before(idempotency):
            return Made(before, replayed=True)
        found = _found(self.programs, name)
        if if_match not in (None, found.etag):
            raise PreconditionFailed("It was changed. Read it again.")
        self.programs[name] = replace(found, newest=found.newest + 1)
        made = replace(found, version=found.newest + 1, newest=found.newest + 1, live=False, spec=change.of(found.spec))
        return self._once(idempotency, made)

    async def promote_program(self, tenant: str, name: str, version: int, if_match: str | None) -> Program:
        """The number is another."""
        found = _found(self.programs, name)
        if version > found.newest:
            raise NotFound("There is no such version.")
        if if_match not in (None, found.etag):
            raise PreconditionFailed("It was changed. Read it again.")
        self.programs[name] = replace(found, version=version)
        return self.programs[name]

    async def delete_program(self, tenant: str, name: str) -> None:
        """Unless a session uses it."""
        _found(self.programs, name)
        if any(session["program"] == name for session in self.sessions.values()):
            raise InUse("Sessions are bound to it. Delete them first.")
        del self.programs[name]

    async def create_session(
        self, tenant: str, spec: SessionSpec, idempotency: Idempotency | None
    ) -> Made[dict[str, Any]]:
        """Bind it."""
        if before := self._before(idempotency):
            return Made(before, replayed=True)
        program = _found(self.programs, spec.program)
        session_id = spec.id or f"s{len(self.sessions) + 1}"
        if session_id in self.sessions:
            raise AlreadyExists("This id is taken.")
        shown = {
            "id": session_id,
            "program": program.spec.name,
            "version": 1,
            "status": "passive",
            "turns": 0,
            "restarts": 0,
            "on_busy": spec.on_busy,
            "version_policy": spec.version_policy,
            "changed": 0,
            "variables": {},
        }
        self.sessions[session_id], self.turns_of[session_id] = shown, []
        return self._once(idempotency, shown)

    async def fork_session(
        self, tenant: str, session_id: str, spec: ForkSpec, idempotency: Idempotency | None
    ) -> Made[dict[str, Any]]:
        """A session with the same turns, up to the one asked for."""
        if before := self._before(idempotency):
            return Made(before, replayed=True)
        turns = _found(self.turns_of, session_id)
        at = len(turns) if spec.at_turn is None else spec.at_turn
        if at > len(turns):
            raise NotFound("There is no such turn.")
        if (new := spec.id or f"s{len(self.sessions) + 1}") in self.sessions:
            raise AlreadyExists("This id is taken.")
        shown = {**self.sessions[session_id], "id": new, "turns": at, "forked_from": {"id": session_id, "turn": at}}
        self.sessions[new], self.turns_of[new] = shown, turns[:at]
        return self._once(idempotency, shown)

    async def list_sessions(self, tenant: str, page: Page) -> Listing[dict[str, Any]]:
        """A page."""
        return _page(list(self.sessions.values()), page)

    async def get_session(self, tenant: str, session_id: str) -> dict[str, Any]:
        """By id."""
        return _found(self.sessions, session_id)

    async def variables(self, tenant: str, session_id: str) -> dict[str, Any]:
        """What was set."""
        session = _found(self.sessions, session_id)
        return {"session": session_id, "variables": session["variables"], "seq": session["changed"]}

    async def change_session(
        self, tenant: str, session_id: str, change: SessionChange, if_match: int | None, key: str | None,
        timeout_s: float = 60.0,
    ) -> Made[dict[str, Any]]:  # fmt: skip
        """What is named is another."""
        session = _found(self.sessions, session_id)
        if if_match not in (None, session["changed"]):
            raise PreconditionFailed("It was changed. Read it again.")
        session.update({**change.asked(), "program": session["program"]}, changed=session["changed"] + 1)
        return Made(session)

    async def restart_session(self, tenant: str, session_id: str) -> dict[str, Any]:
        """Counts."""
        session = _found(self.sessions, session_id)
        session["restarts"] += 1
        return session

    async def cancel_turn(self, tenant: str, session_id: str, turn_id: str | None, key: str) -> Made[dict[str, Any]]:
        """The one that is named is always running."""
        _found(self.sessions, session_id)
        made = {"session": session_id, "cancelled": [] if turn_id is None else [turn_id], "too_late": []}
        self.cancelled.append((turn_id, key))
        return Made(made)

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """And its turns."""
        _found(self.sessions, session_id)
        del self.sessions[session_id], self.turns_of[session_id]

    async def predict(self, tenant: str, session_id: str, turn: TurnRequest) -> TurnAnswer:
        """Echo the inputs."""
        self.asked.append(turn)
        turns = _found(self.turns_of, session_id)
        try:
            await self._wait()
        except asyncio.CancelledError:
            self.gone.set()
            raise
        if self.hashes.setdefault(turn.turn_id, turn.body_hash) != turn.body_hash:
            raise IdempotencyMismatch("This key was used with another body. Use a fresh one.")
        for known in turns:
            if known["turn_id"] == turn.turn_id:
                return TurnAnswer(orjson.dumps(known), replayed=True)
        inputs = orjson.loads(turn.inputs)
        if turn.kind == "rewind":
            to_turn = inputs["to_turn"]
            if to_turn > len(turns):
                raise NotFound("There is no such turn.")
            moved = {"session": session_id, "turn_id": turn.turn_id, "to_turn": to_turn, "next_turn": len(turns) + 1}
            return TurnAnswer(orjson.dumps(moved))
        if turn.kind == "variable":
            return self._set(session_id, turn, inputs)
        turns.append({"turn": len(turns) + 1, "turn_id": turn.turn_id, "status": "completed", "inputs": inputs})
        self.sessions[session_id]["turns"] = len(turns)
        turns[-1]["outputs"] = inputs
        return TurnAnswer(orjson.dumps(turns[-1]))

    def _set(self, session_id: str, turn: TurnRequest, inputs: dict[str, Any]) -> TurnAnswer:
        session = self.sessions[session_id]
        if inputs["if_match"] not in (None, session["changed"]):
            raise PreconditionFailed("They were changed. Read them again.")
        session["changed"] += 1
        session["variables"] = {**({} if inputs["replace"] else session["variables"]), **inputs["values"]}
        done = {"session": session_id, "turn_id": turn.turn_id, "values": inputs["values"], "seq": session["changed"]}
        return TurnAnswer(orjson.dumps(done))

    async def retention(self, tenant: str) -> Held:
        """What was said, or the default."""
        return Held(Retention(), True) if self.kept is None else Held(self.kept, False)

    async def put_retention(self, tenant: str, made: Retention | None, if_match: str | None) -> Held:
        """As said."""
        if if_match is not None and if_match != (await self.retention(tenant)).retention.etag:
            raise PreconditionFailed("It changed meanwhile.")
        self.kept = made
        return await self.retention(tenant)

    async def _wait(self) -> None:
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def stream(self, tenant: str, session_id: str, turn: TurnRequest) -> AsyncGenerator[TurnEvent]:
        """The events that the test set; the gate is before the last of them."""
        self.asked.append(turn)
        _found(self.turns_of, session_id)
        if self.error is not None:
            raise self.error
        try:
            for event in self.events[:-1]:
                yield event
            await self._wait()
            if self.late_error is not None:
                raise self.late_error
            for event in self.events[-1:]:
                yield event
        finally:
            self.gone.set()

    async def watch(
        self, tenant: str, session_id: str, turn_id: str, last_event: tuple[int, int], timeout_s: float
    ) -> AsyncGenerator[TurnEvent]:
        """As `stream`, of the turn `t` alone."""
        self.watched.append((turn_id, last_event, timeout_s))
        if turn_id != "t":
            raise NotFound("There is no such turn.")
        async for event in self.stream(tenant, session_id, rewind_request(0, None, timeout_s)):
            yield event

    async def turns(self, tenant: str, session_id: str, page: Page, include_failed: bool) -> Listing[dict[str, Any]]:
        """A page; a failed one when asked for."""
        failed = [{"turn_id": "f", "status": "failed"}] if include_failed else []
        return _page([*_found(self.turns_of, session_id), *failed], page)

    async def turn(self, tenant: str, session_id: str, number: int) -> dict[str, Any]:
        """By number."""
        return _found({turn["turn"]: turn for turn in _found(self.turns_of, session_id)}, number)

    async def turn_by_id(self, tenant: str, session_id: str, turn_id: str) -> dict[str, Any]:
        """By key."""
        return _found({turn["turn_id"]: turn for turn in _found(self.turns_of, session_id)}, turn_id)

    async def tree(self) -> dict[str, Any]:
        """A root alone."""
        return {"id": "root", "kind": "supervisor", "status": "ready", "restarts": 0, "children": []}

    async def unready(self) -> list[str]:
        """What the test set."""
        return self.parts

    def info(self) -> dict[str, Any]:
        """A little."""
        return {"version": "0.1.0", "mock": True}


def _found(things: dict[Any, T], name: object) -> T:
    if name not in things:
        raise NotFound("There is no such thing. List what there is.")
    return things[name]


def _page(items: Sequence[T], page: Page) -> Listing[T]:
    ordered = list(reversed(items)) if page.descending else list(items)
    if page.cursor is not None and not page.cursor.isdigit():
        raise InvalidRequest("cursor takes what next_cursor said.")
    start = int(page.cursor or 0)
    end = start + page.limit
    return Listing(ordered[start:end], str(end) if end < len(ordered) else None)
