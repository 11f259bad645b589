"""Who is loaded and killed: ours, and a Ray actor that Ray restarts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import orjson

from benchmarks.journal_check import Turns
from benchmarks.ours import Ours, ours_server
from benchmarks.peers.catalogue import restarted_actor, session_target
from benchmarks.server import Server
from benchmarks.wire import Target, fetch, http_request

OURS, PEER = "ours", "restarted-actor"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running server, its load, whom to kill now (None: not yet), and what a session holds."""

    server: Server
    target: Target
    victim: Callable[[], Awaitable[int | None]]
    turns_of: Callable[[str], Turns]


def ours_contestant(server: Server, sessions: int) -> Contestant:
    """Ours: the host is killed, and only while a standby is ready."""
    ours = Ours.prepare(server, sessions)

    async def victim() -> int | None:
        ready = [node for node in await ours.nodes() if node["status"] == "ready"]
        hosts = [node["pid"] for node in ready if node["kind"] == "host"]
        return hosts[0] if hosts and any(node["kind"] == "standby" for node in ready) else None

    def turns_of(session: str) -> Turns:
        return [(turn["turn"], turn["turn_id"]) for turn in ours.turns(session)]

    return Contestant(server, ours.target(), victim, turns_of)


def peer_contestant(server: Server, sessions: int) -> Contestant:
    """Ray's restart: the actor is killed as soon as it answers again."""
    base = f"http://127.0.0.1:{server.port}"

    async def victim() -> int | None:
        answer = await fetch("127.0.0.1", server.port, http_request("GET", "127.0.0.1", "/readyz"))
        return orjson.loads(answer.body)["pid"] if answer.status == 200 else None

    def turns_of(session: str) -> Turns:
        return list(enumerate(httpx.get(f"{base}/sessions/{session}/turns").raise_for_status().json(), start=1))

    return Contestant(server, session_target(server, sessions), victim, turns_of)


CONTESTANTS: dict[str, tuple[Callable[[], Server], Callable[[Server, int], Contestant]]] = {
    OURS: (ours_server, ours_contestant),
    PEER: (restarted_actor, peer_contestant),
}
