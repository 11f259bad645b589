"""DSPex Actors as a server under test: `dspex serve` with a home of its own, one program, many sessions."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.server import ROOT, Server, ServerError
from benchmarks.wire import Answer, Target, fetch, http_request
from dspex_actors.ids import new_ulid

NAME = "DSPex Actors"
PROGRAM = "benchmark-qa"
SIGNATURE = "question: str -> answer: str"
DURABILITY = "every turn committed (SQLite WAL, synchronous=FULL) before its answer"
_PAGE = 200


def ours_server(disk: Path | None = None, env: Mapping[str, str] | None = None) -> Server:
    """`dspex serve` on a free port with a temporary home; no configuration of the caller reaches it.

    Args:
        disk: Where to put the home instead of the folder for temporary files.
        env: More settings, as variables.
    """
    home = Path(tempfile.mkdtemp(prefix="dxb-", dir=disk))
    return Server(
        NAME,
        ["-c", "from dspex_actors.cli.main import main; main()", "serve"],
        env={
            "PYTHONPATH": str(ROOT),
            "DSPEX_HOME": "{folder}/home",
            "DSPEX_HOST": "127.0.0.1",
            "DSPEX_PORT": "{port}",
            **(env or {}),
        },
        stop_signal=signal.SIGTERM,
        folder=home,
        cwd=home,
    )


@dataclass(frozen=True, slots=True)
class Ours:
    """A running server, its key, and the sessions that are loaded in turn, so that no two connections meet in one."""

    server: Server
    key: str
    sessions: tuple[str, ...]

    @classmethod
    def prepare(
        cls, server: Server, sessions: int, signature: str = SIGNATURE, spec: Mapping[str, Any] | None = None
    ) -> Ours:
        """Create the program (`spec`: what it is, if not that signature) and the sessions. Raises
        httpx.HTTPStatusError when that is refused."""
        ours = cls(server, (server.folder / "home" / "api-key").read_text().strip(), ())
        with ours.client() as client:
            _created(client.post("/v1/programs", json={"name": PROGRAM, **(spec or {"signature": signature})}))
            ids = [f"bench-{number}" for number in range(sessions)]
            for name in ids:
                _created(client.post("/v1/sessions", json={"program": PROGRAM, "id": name}))
            _wait_for_standby(client)
        return cls(server, ours.key, tuple(ids))

    def only(self, first: int, last: int) -> Ours:
        """The same with a part of the sessions."""
        return Ours(self.server, self.key, self.sessions[first:last])

    async def post(self, path: str) -> Answer:
        """An operation without a body; status 0 when there was no answer within a minute."""
        request = http_request("POST", "127.0.0.1", path, headers=self._headers())
        return await fetch("127.0.0.1", self.server.port, request, timeout_s=60.0)

    def client(self) -> httpx.Client:
        """A client for what is not measured."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}", headers=self._headers(), timeout=30)

    def target(self) -> Target:
        """Predictions over the sessions in turn, each with an `Idempotency-Key` that was never used."""
        prefix = new_ulid()

        def request(number: int) -> bytes:
            path = f"/v1/sessions/{self.sessions[number % len(self.sessions)]}/predict"
            headers = {**self._headers(), "Idempotency-Key": f"{prefix}-{number}"}
            body = orjson.dumps({"inputs": {"question": f"What is {number} + 1?"}})
            return http_request("POST", "127.0.0.1", path, body, headers)

        return Target("127.0.0.1", self.server.port, request)

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node of the supervision tree; none while it does not answer."""
        request = http_request("GET", "127.0.0.1", "/v1/tree", headers=self._headers())
        answer = await fetch("127.0.0.1", self.server.port, request)
        return list(_flat(orjson.loads(answer.body))) if answer.status == 200 else []

    def turns(self, session: str) -> list[dict[str, Any]]:
        """All of a session's turns, page by page."""
        turns: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": _PAGE}
        with self.client() as client:
            while True:
                page = client.get(f"/v1/sessions/{session}/turns", params=query).raise_for_status().json()
                turns += page["items"]
                if page["next_cursor"] is None:
                    return turns
                query["cursor"] = page["next_cursor"]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def _wait_for_standby(client: httpx.Client) -> None:
    """Until the last process of the instance has started: it would share the cores with what is measured."""
    deadline = time.monotonic() + 60
    while not any(node["kind"] == "standby" and node["status"] == "ready" for node in _all_nodes(client)):
        if time.monotonic() > deadline:
            raise ServerError("No standby became ready within 60 s.")
        time.sleep(0.2)


def _all_nodes(client: httpx.Client) -> Iterator[dict[str, Any]]:
    return _flat(client.get("/v1/tree").raise_for_status().json())


def _created(answer: httpx.Response) -> None:
    answer.raise_for_status()


def _flat(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("children", ()):
        yield from _flat(child)
