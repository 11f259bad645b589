"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from dspex_actors.client import calls
from dspex_actors.client.attempts import Retry
from dspex_actors.client.driver import Driver
from dspex_actors.client.origin import origin
from dspex_actors.client.reply import Event, Json, Reply
from dspex_actors.client.retention import Retention
from dspex_actors.errors import AlreadyExists

DEFAULT_TIMEOUT_S = 60.0


class Programs:
    """`client.programs`. A program is the dictionary that the API shows."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def create(
        self,
        name: str,
        signature: str | None = None,
        module: str = "predict",
        params: Mapping[str, object] | None = None,
        instructions: str | None = None,
        lm: str | None = None,
        variables: Mapping[str, Json] | None = None,
    ) -> Json:
        """Create a program.

        Args:
            name: Its name.
            signature: A DSPy signature (`"question -> answer"`); a `python:` module may bring its own.
            module: `predict`, `chain_of_thought`, or `python:pkg.mod:Class`.
            params: What the module's constructor takes, and `history_window`.
            instructions: What the signature tells the model.
            lm: The model's name; the server's when not given.
            variables: Declarations of what its sessions have: `{"pace": {"type": "int", "default": 1}}`.

        Raises AlreadyExists, and InvalidRequest with a sentence that says why it cannot be built.
        """
        fields: Json = {"signature": signature, "module": module, "instructions": instructions, "lm": lm}
        fields |= {"name": name, "params": dict(params or {}), "variables": variables}
        return self._driver.run(calls.create("/v1/programs", **fields))

    def list(self) -> Iterator[Json]:
        """All programs, newest first, fetched as they are needed."""
        return self._driver.pages("/v1/programs")

    def get(self, name: str) -> Json:
        """One program. Raises NotFound."""
        return self._driver.run(calls.fetch(calls.program_path(name)))

    def update(self, name: str, *, if_match: str | None = None, **changes: object) -> Json:
        """Make a new version of a program: its live one with these changes (`signature=`, `params=`, …; None takes one
        away). It is not live before `promote`.

        Raises NotFound, InvalidRequest, PreconditionFailed (`if_match`, an ETag, is not the program's any more).
        """
        return self._driver.run(calls.change(calls.program_path(name), changes, if_match))

    def versions(self, name: str) -> Iterator[Json]:
        """A program's versions, newest first, fetched as they are needed. Raises NotFound."""
        return self._driver.pages(f"{calls.program_path(name)}/versions")

    def promote(self, name: str, version: int) -> Json:
        """Let a version be the live one, back as well as forward. Raises NotFound."""
        return self._driver.run(calls.promote(name, version))

    def delete(self, name: str) -> None:
        """Remove a program. Raises NotFound, InUse."""
        self._driver.run(calls.remove(calls.program_path(name)))


class Sessions:
    """`client.sessions`. A session is the dictionary that the API shows; `client.session(id)` runs its turns."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def create(
        self,
        program: str,
        id: str | None = None,  # noqa: A002
        lm: str | None = None,
        on_busy: str | None = None,
        version_policy: str | None = None,
        variables: Mapping[str, object] | None = None,
        declare: Mapping[str, Json] | None = None,
        isolation: str | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> Json:
        """Create a session of a program (`name` or `name@version`).

        `on_busy` says what a turn does that finds the session busy: `enqueue` (the default), `reject`, `interrupt`;
        `version_policy` which version it runs: `pin` (the default), `follow`, `follow_when_idle`. `variables` are first
        values by name, `declare` has declarations of more. `isolation="dedicated"` gives it a host alone, with `limits`
        of `memory_mb` and `cpus`. Raises NotFound, AlreadyExists, InvalidRequest, NoCapacity.
        """
        given = {"id": id, "lm": lm, "on_busy": on_busy, "version_policy": version_policy, "isolation": isolation}
        more = {"variables": variables, "declare": declare, "limits": limits}
        made = calls.create("/v1/sessions", program=program, **more, **given)
        return self._driver.run(made)

    def list(self) -> Iterator[Json]:
        """All sessions, newest first, fetched as they are needed."""
        return self._driver.pages("/v1/sessions")

    def get(self, id: str) -> Json:  # noqa: A002
        """One session. Raises NotFound."""
        return self._driver.run(calls.fetch(calls.session_path(id)))

    def update(self, id: str, *, if_match: int | None = None, **changes: object) -> Json:  # noqa: A002
        """Change what a session is bound to, in line with its turns: `program="qa@2"` (or `"qa"`, the live version),
        `lm=`, `on_busy=`, `version_policy=`.

        Raises NotFound, InvalidRequest, PreconditionFailed (`if_match`: the session's `changed` is another one).
        """
        tag = None if if_match is None else str(if_match)
        return self._driver.run(calls.change(calls.session_path(id), changes, tag))

    def restart(self, id: str) -> Json:  # noqa: A002
        """Let a session wake anew from its recorded turns, out of quarantine too. Raises NotFound, NoCapacity."""
        return self._driver.run(calls.restart(calls.session_path(id)))

    def delete(self, id: str) -> None:  # noqa: A002
        """Remove a session and all that is its. Raises NotFound."""
        self._driver.run(calls.remove(calls.session_path(id)))


class Session:
    """A handle of a session: its turns."""

    def __init__(self, driver: Driver, id: str) -> None:  # noqa: A002
        self.id = id
        self._driver = driver

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def predict(
        self,
        /,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
        expected_turn: int | None = None,
        cancel_on_disconnect: bool = False,
        inputs: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> Reply:
        """Run a turn with these inputs.

        Args:
            idempotency_key: The turn's id; a fresh one when not given. The same key gives the recorded reply again.
            timeout_s: The seconds for all of it; the client's when not given.
            expected_turn: The number that this turn must get.
            cancel_on_disconnect: Stop the turn when this client goes away; else it runs on and is recorded.
            inputs: Fields of the program whose names are options of this method, or simply all of them.
            **fields: The program's inputs. Any: values that JSON has, as the signature says.

        Raises:
            OutcomeUnknown: The answer was lost; the same key tells what became of the turn.
            DspexError: What went wrong; nothing of the turn is in the session then.
        """
        call = calls.predict(
            self.id, calls.merged(inputs, fields), key=idempotency_key, expected_turn=expected_turn,
            cancel_on_disconnect=cancel_on_disconnect, stream=False,
        )  # fmt: skip
        return self._driver.run(call, timeout_s)

    def stream(
        self,
        /,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
        expected_turn: int | None = None,
        cancel_on_disconnect: bool = False,
        inputs: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> Generator[Event]:
        """Run a turn and yield its events, the last `turn.completed` (`event.reply`) or `turn.failed` (`event.error`).

        Takes what `predict` takes. When the connection breaks, the stream goes on over another one after the last
        event; a further `turn.started` (a higher `attempt`) means that the tokens so far are void.

        Raises:
            OutcomeUnknown: The connection broke, and how the turn ended could not be learned before the deadline.
            DspexError: What was wrong before the first event.
        """
        call = calls.predict(
            self.id, calls.merged(inputs, fields), key=idempotency_key, expected_turn=expected_turn,
            cancel_on_disconnect=cancel_on_disconnect, stream=True,
        )  # fmt: skip
        return self._driver.stream(call, self.id, timeout_s)

    def resume(
        self, turn_id: str, last_event_id: str | None = None, *, timeout_s: float | None = None
    ) -> Generator[Event]:
        """The events of a turn that was sent before, from the one after `last_event_id` on, to its one end.

        Starts nothing and keeps nothing running: it only looks on. Events come as `stream` gives them; of a turn that
        has ended, its end alone.

        Raises:
            NotFound: No turn of that id runs, waits or is recorded; send it again with the same key.
            HostLost: The turn had begun, its host was lost, and nobody has sent it again; do so with the same key.
            OutcomeUnknown: It has not ended in this time.
        """
        return self._driver.watch(calls.watch(self.id, turn_id, last_event_id), turn_id, timeout_s)

    def rewind(self, to_turn: int, *, idempotency_key: str | None = None, timeout_s: float | None = None) -> Json:
        """Let the conversation be what it was after a turn (0: the beginning); also forward, to one left behind.

        Gives `session`, `turn_id`, `to_turn` and `next_turn`, the number that the next turn gets: numbers go on.

        Raises:
            NotFound: No such session or turn.
            OutcomeUnknown: The answer was lost; the same key tells what became of it.
        """
        return self._driver.run(calls.rewind(self.id, to_turn, idempotency_key), timeout_s)

    def fork(self, at_turn: int | None = None, id: str | None = None) -> Session:  # noqa: A002
        """A new session with this one's past as it was after a turn, by default as it is now.

        Raises:
            NotFound: No such session or turn.
            AlreadyExists: The id is taken.
        """
        made = self._driver.run(calls.fork(self.id, at_turn, id))
        return Session(self._driver, made["id"])

    def migrate(self, host: str | None = None, *, timeout_s: float | None = None) -> Json:
        """Move the session to a host (as the tree names it), by default another one, when its turn has ended.

        Gives `from`, `to` and `pause_ms`, how long it took no turns.

        Raises:
            NotFound: No such session or host.
            NoCapacity: No other host can take it.
            SessionBusy: Its turn has not ended in time; it stays.
        """
        return self._driver.run(calls.migrate(self.id, host), timeout_s)

    def variables(self) -> Json:
        """`variables` by name, each with its `value`, and the `seq` of the last change of any. Raises NotFound."""
        return self._driver.run(calls.fetch(f"{calls.session_path(self.id)}/variables"))

    def set_variable(
        self, name: str, value: object, *, if_match: int | None = None, idempotency_key: str | None = None
    ) -> Json:
        """Set a variable, in line with the turns; gives the `values` set, and the `seq` of the change.

        Raises:
            NotFound: No such session or variable.
            InvalidRequest: The value breaks its constraints.
            PreconditionFailed: The variables have changed since `if_match`, a `seq`.
        """
        return self._driver.run(calls.set_variable(self.id, name, value, if_match, idempotency_key))

    def set_variables(
        self, values: Mapping[str, object], *, if_match: int | None = None, idempotency_key: str | None = None
    ) -> Json:
        """Set these variables and let all others have their first values again. Raises as `set_variable`."""
        return self._driver.run(calls.set_variables(self.id, values, if_match, idempotency_key))

    def cancel(self, turn_id: str | None = None) -> Json:
        """Cancel that turn, waiting or running, or the one that runs: nothing of it is in the session then.

        Gives the ids of turns under `cancelled`, and under `too_late` of one that is being committed or has ended.
        Raises NotFound for a turn that the session does not know.
        """
        return self._driver.run(calls.cancel(calls.session_path(self.id), turn_id))

    def turns(self, include_failed: bool = False) -> Iterator[Json]:
        """The session's turns, oldest first, fetched as they are needed. Raises NotFound."""
        return self._driver.pages(f"{calls.session_path(self.id)}/turns", include="failed" if include_failed else None)

    def turn(self, number: int) -> Json:
        """A turn by its number. Raises NotFound."""
        return self._driver.run(calls.fetch(calls.turn_path(self.id, number)))

    def turn_by_id(self, turn_id: str) -> Json:
        """A turn by its id, also a failed one. Raises NotFound while none has ended under this id."""
        return self._driver.run(calls.fetch(calls.turn_path(self.id, turn_id)))


class Client:
    """A running server, in Python. Threads may share it; close it, or use it as a context manager.

    Every POST carries an `Idempotency-Key` and is repeated under the same key while that can help (see `Retry`).

    Args:
        base_url: The server's address; from `DSPEX_HOST` and `DSPEX_PORT` when not given.
        api_key: A key; else from `DSPEX_API_KEY`, or for a server of this machine from the file `api-key` in
            `DSPEX_HOME`.
        timeout_s: The seconds that a call has, all its attempts included.
        retry: How to repeat.
        transport: What httpx sends with; for tests.
        now: Monotonic seconds; for tests.
        sleep: Waits for seconds; for tests.

    Raises:
        InvalidRequest: The address, the key or the timeout cannot be one.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._driver = Driver(origin(base_url, api_key), timeout_s, retry or Retry(), transport, now, sleep)
        self.programs = Programs(self._driver)
        self.sessions = Sessions(self._driver)
        self.retention = Retention(self._driver)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._driver.origin.url

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()

    def session(self, id: str) -> Session:  # noqa: A002 - what the API calls it
        """A handle of the session; asks nothing, so the session need not exist yet."""
        return Session(self._driver, id)

    def open(
        self,
        program: str,
        id: str | None = None,  # noqa: A002
        lm: str | None = None,
        on_busy: str | None = None,
    ) -> Session:
        """The session of that id, made when there is none (with a fresh id where none is given).

        Raises:
            NotFound: No such program.
            AlreadyExists: The id belongs to a session of another program.
        """
        try:
            made = self.sessions.create(program, id, lm, on_busy)
        except AlreadyExists:
            if id is None or (made := self.sessions.get(id))["program"] != program.partition("@")[0]:
                raise
        return self.session(made["id"])

    def tree(self) -> Json:
        """The supervision tree."""
        return self._driver.run(calls.fetch("/v1/tree"))

    def drain_host(self, host: str, *, timeout_s: float | None = None) -> Json:
        """Let a host (as the tree names it) give away all it has, and end: its supervisor starts another one.

        Gives `status`, `moved` and `left`; what is left when the time is over goes on leaving.

        Raises:
            NotFound: No such host.
            NoCapacity: No other host could take what it has.
        """
        return self._driver.run(calls.drain(host), timeout_s)

    def info(self) -> Json:
        """Version, model, and whether the mock engine answers."""
        return self._driver.run(calls.fetch("/info"))

    def ready(self) -> bool:
        """Whether a server answers and every part of it can serve; asked once, without repeating."""
        return self._driver.probe(calls.READY)
