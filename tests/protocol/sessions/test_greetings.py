"""Who has heard a handshake, but does not know the key: its words are worth nothing; over real sockets."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dspex_actors.sessions import link as link_module
from dspex_actors.sessions.frames import PROTOCOL_RANGE, Kind, Receiver, Sender
from tests.protocol.sessions.test_link import NONCE, connect, listening
from tests.protocol.sessions.wiring import serving
from tests.unit.sessions.hosting import request, until

GREETING = {"v": PROTOCOL_RANGE, "role": "router", "cluster": "c", "nonce": NONCE}


@asynccontextmanager
async def greeted(path: str) -> AsyncIterator[tuple[asyncio.StreamReader, Sender, dict[str, Any]]]:
    """A first hello without a key, and what the host says to it."""
    reader, writer = await asyncio.open_unix_connection(path)
    sender = Sender(writer.write)
    sender.put(Kind.HELLO, 0, GREETING)
    sender.flush()
    ((_, _, head, _),) = Receiver().feed(await reader.read(1 << 16))
    yield reader, sender, head
    writer.close()


def test_a_proof_of_the_host_is_none_of_the_router() -> None:
    """Its own words sent back to it: they are tied to the role of who says them."""

    async def scenario() -> None:
        async with listening() as (ends, path):
            async with greeted(path) as (reader, sender, head):
                sender.put(Kind.HELLO, 0, {"mac": head["mac"]})
                sender.flush()
                await reader.read()
            assert (ends[0].ready, ends[0].lost) == (0, 1)

    asyncio.run(scenario())


def test_a_proof_is_worth_nothing_on_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has recorded a good handshake and says the same again: the host's nonce is another one."""

    async def scenario() -> None:
        async with listening() as (ends, path):
            with monkeypatch.context() as patch:
                patch.setattr("dspex_actors.sessions.link.secrets.token_bytes", lambda _: NONCE)
                known = await connect(path)
                patch.undo()
            await until(lambda: known.ready == 1)
            async with greeted(path) as (reader, sender, _):
                sender.put(Kind.HELLO, 0, {"mac": known.link._mac(b"router")})
                sender.flush()
                await reader.read()
            assert ([end.ready for end in ends], ends[1].lost) == ([1, 0], 1)

    asyncio.run(scenario())


def test_a_ping_follows_the_last_by_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a connection is given up only when many of them found no answer."""

    async def scenario() -> None:
        async with listening() as (_, path):
            router = await connect(path)
            await until(lambda: router.ready == 1)
            timer = router.link._timer
            assert timer is not None
            assert 0 < timer.when() - router.link._pinged - 0.25 < 0.2
            assert link_module.SILENCE_S >= 10 * 0.25

    asyncio.run(scenario())


def test_the_socket_is_for_its_user_alone() -> None:
    """Nobody else on the node may even connect."""

    async def scenario() -> None:
        async with serving() as (_, node, _):
            assert stat.S_IMODE(node.address.stat().st_mode) == 0o600

    asyncio.run(scenario())


def test_a_turn_that_is_sent_again_has_only_the_time_that_is_left() -> None:
    """Its link was cut: the host hears of a shorter deadline than before."""

    async def scenario() -> None:
        async with serving() as (wired, node, alice):
            told, take = list[float](), node.host.ask
            node.host.ask = lambda ask, waiter: (told.append(ask.turn.timeout_s), take(ask, waiter))  # type: ignore[assignment, method-assign, func-returns-value]
            turn = asyncio.ensure_future(wired.router.predict(alice, request("t1", timeout_s=30.0, gate="g")))
            await until(lambda: node.program.gate("g").reached == 1)
            await wired.cut("a")
            node.program.gate("g").open()
            await turn
            assert 30.0 > told[0] > told[1] > 0

    asyncio.run(scenario())
