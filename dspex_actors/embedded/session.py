"""A session of `dx.local()`: its turns, its past, its variables."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from dspex_actors.embedded.watching import DEFAULT_TIMEOUT_S, TENANT, Resumable
from dspex_actors.errors import InvalidRequest, Problem
from dspex_actors.ids import body_hash, check_name, new_ulid
from dspex_actors.resources.session import ForkSpec, RewindSpec, SessionChange
from dspex_actors.resources.turn import TurnEvent, TurnRequest, rewind_request, variable_request
from dspex_actors.store import Page

Json = dict[str, Any]
Spec = TypeVar("Spec", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reply:
    """A committed turn: `outputs` has the signature's fields as attributes."""

    turn: int
    turn_id: str
    outputs: SimpleNamespace
    usage: Json
    model: str
    latency_ms: float
    attempts: int
    replayed: bool


class LocalSession(Resumable):
    """A session of `dx.local()`."""

    async def predict(
        self,
        *,
        idempotency_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        inputs: Json | None = None,
        **fields: Any,
    ) -> Reply:
        """Run a turn with these fields; `inputs` takes those whose names are taken here.

        Raises:
            DspexError: What went wrong; nothing of the turn is in the session then (but see `outcome_unknown`).
        """
        turn = turn_of({**(inputs or {}), **fields}, idempotency_key, timeout_s, stream=False)
        answer = await self._runtime.predict(TENANT, self.id, turn)
        found = orjson.loads(answer.body)
        return Reply(
            turn=found["turn"], turn_id=found["turn_id"], outputs=SimpleNamespace(**found["outputs"]),
            usage=found["usage"], model=found["model"], latency_ms=found["latency_ms"],
            attempts=found["attempts"], replayed=answer.replayed,
        )  # fmt: skip

    async def stream(
        self,
        *,
        idempotency_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        inputs: Json | None = None,
        **fields: Any,
    ) -> AsyncGenerator[TurnEvent]:
        """Run a turn and yield its events, the last `turn.completed` or `turn.failed`."""
        turn = turn_of({**(inputs or {}), **fields}, idempotency_key, timeout_s, stream=True)
        async for event in self._runtime.stream(TENANT, self.id, turn):
            yield event

    async def rewind(
        self, to_turn: int, *, idempotency_key: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> Json:
        """Let the conversation be what it was after a turn (0: the beginning); also forward, to one left behind.

        Raises:
            NotFound: No such turn.
            InvalidRequest: `to_turn` is no number of a turn.
        """
        spec = checked(RewindSpec, to_turn=to_turn)
        key = None if idempotency_key is None else check_name(idempotency_key, "idempotency_key")
        answer = await self._runtime.predict(TENANT, self.id, rewind_request(spec.to_turn, key, timeout_s))
        rewound: Json = orjson.loads(answer.body)
        return rewound

    async def fork(self, at_turn: int | None = None, id: str | None = None) -> LocalSession:  # noqa: A002
        """A new session with this one's past as it was after a turn, by default as it is now.

        Raises:
            NotFound: No such turn.
            AlreadyExists: The id is taken.
            InvalidRequest: `at_turn` is no number of a turn, or the id no name.
        """
        spec = checked(ForkSpec, at_turn=at_turn, id=id)
        made = await self._runtime.fork_session(TENANT, self.id, spec, None)
        return LocalSession(self._runtime, made.value["id"])

    async def cancel(self, turn_id: str | None = None) -> Json:
        """Cancel that turn, waiting or running, or the one that runs: `{"session", "cancelled", "too_late"}`.

        Raises:
            NotFound: The session has no turn of that id.
        """
        if turn_id is not None:
            check_name(turn_id, "turn_id")
        return (await self._runtime.cancel_turn(TENANT, self.id, turn_id, "")).value

    async def variables(self) -> Json:
        """Every variable's value, by name."""
        found = await self._runtime.variables(TENANT, self.id)
        return {name: each["value"] for name, each in found["variables"].items()}

    async def set(
        self, *, idempotency_key: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S, **values: Any
    ) -> Json:
        """Set variables, in line with the turns: `await session.set(pace=2)`; all of them or none.

        Raises:
            NotFound: A name that is not declared.
            InvalidRequest: A value that breaks its constraints.
        """
        key = None if idempotency_key is None else check_name(idempotency_key, "idempotency_key")
        _dumped(values)
        answer = await self._runtime.predict(TENANT, self.id, variable_request(values, False, None, key, timeout_s))
        found: Json = orjson.loads(answer.body)
        return found

    async def update(self, **changes: Any) -> Json:
        """Change what the session is bound to, in line with the turns: `program="qa@2"` (or `"qa"`, the live version),
        `lm=`, `on_busy=`, `version_policy=`. Gives the session.

        Raises:
            NotFound: No such version.
            InvalidRequest: Something that a session cannot be bound to.
        """
        spec = checked(SessionChange, **changes)
        return (await self._runtime.change_session(TENANT, self.id, spec, None, None)).value

    async def turns(self) -> list[Json]:
        """All turns of the session, oldest first."""
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = await self._runtime.turns(TENANT, self.id, Page(200, cursor, descending=False), False)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found


def checked(model: type[Spec], refusal: str = "", /, **fields: Any) -> Spec:
    """The fields as a resource. Raises InvalidRequest with all that is wrong."""
    try:
        return model(**fields)
    except ValidationError as error:
        problems: list[Problem] = [
            {"loc": list(each["loc"]), "msg": each["msg"], "type": each["type"]} for each in error.errors()
        ]
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
        raise InvalidRequest(refusal or f"{said}.", errors=problems) from error


def turn_of(inputs: Json, key: str | None, timeout_s: float, *, stream: bool) -> TurnRequest:
    """A turn as it goes to the runtime. Raises InvalidRequest for what JSON does not have."""
    body = _dumped(inputs)
    turn_id = check_name(key, "idempotency_key") if key is not None else new_ulid()
    return TurnRequest(
        turn_id, key is not None, body_hash("turn", inputs), body, timeout_s, stream=stream, request_id=turn_id
    )


def _dumped(values: Json) -> bytes:
    try:
        return orjson.dumps(values)
    except TypeError as error:
        raise InvalidRequest(f"Only values that JSON has can be given: {error}.") from error
