"""The handshake, and what ends a connection; over real sockets."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dspex_actors.sessions import link as link_module
from dspex_actors.sessions.frames import FRAME_BYTES, PROTOCOL_RANGE, Kind, Sender
from dspex_actors.sessions.link import Link
from tests.unit.sessions.hosting import until

KEY = b"k" * 32
NONCE = b"n" * 32


class End:
    """One end, and what it saw."""

    def __init__(self, role: str, host: str = "a", cluster: str = "c", key: bytes = KEY, binding: bytes = b"") -> None:
        self.frames: list[tuple[Any, ...]] = []
        self.ready = self.lost = 0
        self.link = Link(role, host, cluster, key, self._frame, self._ready, self._gone, binding)

    def _frame(self, _link: Link, *frame: Any) -> None:
        self.frames.append(frame)

    def _ready(self, _link: Link) -> None:
        self.ready += 1

    def _gone(self, _link: Link) -> None:
        self.lost += 1


@asynccontextmanager
async def listening(**host: Any) -> AsyncIterator[tuple[list[End], str]]:
    """A host's end for each connection, and where it listens."""
    ends: list[End] = []

    def accept() -> Link:
        ends.append(End("host", **host))
        return ends[-1].link

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "s")
        server = await asyncio.get_running_loop().create_unix_server(accept, path)
        yield ends, path
        server.close()
        for end in ends:
            end.link.close()
        await until(lambda: all(end.lost for end in ends))


async def connect(path: str, **router: Any) -> End:
    """A router's end."""
    end = End("router", **router)
    await asyncio.get_running_loop().create_unix_connection(lambda: end.link, path)
    return end


def test_two_ends_that_know_the_key_talk() -> None:
    """Both are ready once; frames pass both ways."""

    async def scenario() -> None:
        async with listening() as (ends, path):
            router = await connect(path)
            await until(lambda: router.ready == 1 and ends[0].ready == 1)
            router.link.send(Kind.TURN, 7, ["head"], b"body")
            ends[0].link.send(Kind.REPLY, 7, True, b"answer")
            await until(lambda: bool(router.frames and ends[0].frames))
            assert ends[0].frames == [(Kind.TURN, 7, ["head"], b"body")]
            assert router.frames == [(Kind.REPLY, 7, True, b"answer")]
            router.link.close()
            await until(lambda: (router.lost, ends[0].lost) == (1, 1))

    asyncio.run(scenario())


@pytest.mark.parametrize("other", [{"key": b"x" * 32}, {"cluster": "another"}, {"host": "b"}])
def test_a_stranger_is_dropped_and_hears_nothing(other: dict[str, Any]) -> None:
    """Another key, another store, another host's name."""

    async def scenario() -> None:
        async with listening() as (ends, path):
            router = await connect(path, **other)
            router.link.send(Kind.TURN, 1, None, b"secret")
            await until(lambda: router.lost == 1 and ends[0].lost == 1)
            assert (ends[0].frames, ends[0].ready, router.ready) == ([], 0, 0)

    asyncio.run(scenario())


def hello(**changes: Any) -> Callable[[Sender], None]:
    """A router's first hello, with changes."""
    head = {"v": PROTOCOL_RANGE, "role": "router", "cluster": "c", "nonce": NONCE, **changes}
    return lambda sender: sender.put(Kind.HELLO, 0, head)


def twice(sender: Sender) -> None:
    """A hello that proves nothing, after a good one."""
    hello()(sender)
    sender.put(Kind.HELLO, 0, {"mac": b"m" * 32})


def flood(sender: Sender) -> None:
    """A message that never ends."""
    sender.put(Kind.TURN, 1, None, b"x" * FRAME_BYTES * 4)


@pytest.mark.parametrize(
    "speak",
    [
        hello(v=(PROTOCOL_RANGE[1] + 1, PROTOCOL_RANGE[1] + 2)),
        hello(v=7),
        hello(v=["a", None]),
        hello(v=None),
        hello(nonce=b"short"),
        hello(nonce=None),
        lambda sender: sender.put(Kind.HELLO, 0, "not a map"),
        lambda sender: sender.put(Kind.TURN, 1, None, b"x"),
        twice,
    ],
)
def test_a_peer_that_greets_wrongly_is_dropped(speak: Callable[[Sender], None]) -> None:
    """Nothing of it is delivered, and nothing breaks."""

    async def scenario() -> None:
        broken: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
        async with listening() as (ends, path):
            reader, writer = await asyncio.open_unix_connection(path)
            sender = Sender(writer.write)
            speak(sender)
            sender.flush()
            await reader.read()
            writer.close()
            assert (ends[0].frames, ends[0].ready, broken) == ([], 0, [])

    asyncio.run(scenario())


def test_a_peer_that_never_says_hello_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message without end is dropped long before its limit, and before the handshake's deadline."""
    monkeypatch.setattr(link_module, "HELLO_S", 60.0)

    async def scenario() -> None:
        async with listening() as (ends, path):
            reader, writer = await asyncio.open_unix_connection(path)
            sent: list[bytes] = []
            sender = Sender(sent.append)
            flood(sender)
            sender.flush()
            writer.write(b"".join(sent)[: FRAME_BYTES * 3])
            await reader.read()
            writer.close()
            assert (ends[0].lost, ends[0].frames) == (1, [])

    asyncio.run(scenario())


def test_a_peer_that_says_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake has a deadline."""
    monkeypatch.setattr(link_module, "HELLO_S", 0.01)

    async def scenario() -> None:
        async with listening() as (ends, path):
            reader, writer = await asyncio.open_unix_connection(path)
            assert await reader.read() == b""
            writer.close()
            assert ends[0].ready == 0

    asyncio.run(scenario())


def test_pings_keep_a_connection_and_silence_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The router's end measures."""
    monkeypatch.setattr(link_module, "PING_S", 0.01)
    monkeypatch.setattr(link_module, "SILENCE_S", 0.05)

    async def scenario() -> None:
        async with listening() as (ends, path):
            router = await connect(path)
            await until(lambda: router.ready == 1)
            begin = asyncio.get_running_loop().time()
            await until(lambda: router.link._heard > begin + 0.15)
            assert router.lost == 0
            monkeypatch.setattr(ends[0].link, "send", lambda *_: None)
            await until(lambda: router.lost == 1)

    asyncio.run(scenario())


def test_an_end_that_was_held_up_itself_forgives_the_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other end sent meanwhile is still to be read."""

    async def scenario() -> None:
        async with listening() as (_, path):
            router = await connect(path)
            await until(lambda: router.ready == 1)
            now = asyncio.get_running_loop().time()
            monkeypatch.setattr(router.link, "_heard", now - link_module.SILENCE_S - 1)
            monkeypatch.setattr(router.link, "_pinged", now - link_module.SILENCE_S - 1)
            router.link._ping()
            await asyncio.sleep(0)
            assert router.link.ready

    asyncio.run(scenario())
