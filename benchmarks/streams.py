"""What TLS between nodes costs a turn: the stream of a router and a host on a Unix socket, and over TLS on loopback.

The host's end is a process of its own that answers each turn at once with as many bytes. Rounds of the two ways
alternate. On loopback the network itself costs nothing: what is left is the encryption and TCP.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.latency import percentile
from benchmarks.machine import as_line, describe
from dspex_actors.sessions.frames import Kind
from dspex_actors.sessions.link import Link
from dspex_actors.sessions.tls import TlsAddress, binding_of, listen_at, make_identity
from dspex_actors.sessions.ways import Way, binding_to, connect

KEY = b"k" * 32
TURN = b"x" * 500
LARGE = b"x" * 4_000_000
AT_ONCE = 64


async def echo(folder: str, tell: Connection) -> None:
    """The host's end of both ways, until the process is ended."""
    loop, identity, sock = asyncio.get_running_loop(), make_identity(), listen_at("127.0.0.1", range(1))

    def answer(link: Link, _: Kind, stream: int, __: Any, body: bytes) -> None:
        link.send(Kind.REPLY, stream, None, body)

    def end(binding: bytes) -> Callable[[], Link]:
        return lambda: Link("host", "h", "c", KEY, answer, lambda _: None, lambda _: None, binding)

    path = str(Path(folder) / "s")
    await loop.create_unix_server(end(b""), path)
    await loop.create_server(end(binding_of(identity.certificate)), sock=sock, ssl=identity.context)
    tell.send((path, TlsAddress("127.0.0.1", sock.getsockname()[1], identity.certificate)))
    await asyncio.Event().wait()


@dataclass
class Contender:
    """A way, and what was measured on it."""

    name: str
    way: Way
    connect_ms: list[float] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)
    turns_per_s: list[float] = field(default_factory=list)
    megabytes_per_s: list[float] = field(default_factory=list)


class Asker:
    """The router's end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._numbers = 0

    async def connect(self, way: Way) -> None:
        """Connect, with the handshake."""
        ready = self._loop.create_future()
        self.link = Link(
            "router", "h", "c", KEY, self._heard, lambda _: ready.set_result(None), lambda _: None, binding_to(way)
        )
        await connect(self.link, way)
        await ready

    def _heard(self, _: Link, __: Kind, stream: int, ___: Any, ____: bytes) -> None:
        self._waiting.pop(stream).set_result(None)

    async def ask(self, body: bytes) -> None:
        """A turn and its answer."""
        self._numbers += 1
        answer = self._waiting[self._numbers] = self._loop.create_future()
        self.link.send(Kind.TURN, self._numbers, None, body)
        await answer

    async def ask_many(self, number: int, body: bytes, at_once: int) -> float:
        """So many turns, some of them at a time; how many seconds they took."""

        async def some() -> None:
            for _ in range(number // at_once):
                await self.ask(body)

        began = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(at_once)))
        return time.perf_counter() - began


async def measure(found: list[Contender], rounds: int, turns: int) -> None:
    """All of it, the ways in turns."""
    for each in found * rounds:
        asker = Asker()
        began = time.perf_counter()
        await asker.connect(each.way)
        each.connect_ms.append((time.perf_counter() - began) * 1_000)
        await asker.ask_many(turns, TURN, 1)  # both ends warm
        each.alone_ms += [await asker.ask_many(1, TURN, 1) * 1_000 for _ in range(turns)]
        each.turns_per_s.append(turns / await asker.ask_many(turns, TURN, AT_ONCE))
        each.megabytes_per_s.append(2 * 10 * len(LARGE) / 1e6 / await asker.ask_many(10, LARGE, 1))
        asker.link.close()


def table(found: list[Contender]) -> str:
    """Medians over the rounds, and the 99th percentile of one turn alone."""
    lines = [
        "| Stream | connect ms | a turn and its answer, p50 ms | p99 ms | turns/s, 64 at once | MB/s, bodies of 4 MB |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        connected, alone, rate, volume = (
            percentile(values, 0.5)
            for values in (each.connect_ms, each.alone_ms, each.turns_per_s, each.megabytes_per_s)
        )
        late = percentile(each.alone_ms, 0.99)
        lines.append(f"| {each.name} | {connected:.1f} | {alone:.3f} | {late:.3f} | {rate:,.0f} | {volume:,.0f} |")
    return "\n".join(lines)


def _echo(folder: str, tell: Connection) -> None:
    uvloop.run(echo(folder, tell))


def main() -> None:
    """Print the table, and what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turns", type=int, default=3200, help="turns of each kind and round")
    options = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    hear, tell = processes.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        host = processes.Process(target=_echo, args=(folder, tell), daemon=True)
        host.start()
        path, address = hear.recv()
        found = [Contender("Unix socket", path), Contender("TLS 1.3, loopback", address)]
        uvloop.run(measure(found, options.rounds, options.turns))
        host.terminate()
        host.join()
    print(as_line(describe()))
    print(table(found))


if __name__ == "__main__":
    main()
