"""Streams between nodes: who is let in, and that turns go on there as on a Unix socket; over real sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from dspex_actors.errors import InvalidRequest
from dspex_actors.resources.turn import TurnEvent
from dspex_actors.sessions.frames import PIECE_BYTES, PROTOCOL_RANGE, Kind, Sender
from dspex_actors.sessions.placement import Table
from dspex_actors.sessions.server import CREDITS
from dspex_actors.sessions.tls import TlsAddress, listen_at, make_identity, trusting
from dspex_actors.sessions.ways import binding_to, connect
from tests.protocol.sessions.test_link import End
from tests.protocol.sessions.wiring import Node, Wires, serving, text, wires
from tests.unit.sessions.hosting import request, until

HERE = "127.0.0.1"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """On the kind of loop that hosts and API replicas have: its TLS is its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario)


def remote_of(node: Node) -> TlsAddress:
    """Where it listens for other nodes."""
    assert node.remote is not None
    return node.remote


def router_of(wired: Wires, node: Node, **router: Any) -> End:
    """A router's end that knows all that it must, but for what a test takes away."""
    known = {"cluster": wired.store.store_id, "key": wired.store.stream_key, "binding": binding_to(remote_of(node))}
    return End("router", "a", **known | router)


async def is_let_in(end: End, way: TlsAddress) -> bool:
    """Whether its handshake comes to an end."""
    await connect(end.link, way)
    await until(lambda: bool(end.ready or end.lost))
    end.link.close()
    await until(lambda: bool(end.lost))
    return bool(end.ready)


def test_a_turn_goes_to_a_host_on_another_node_over_tls_1_3() -> None:
    """To one on its own node by the socket."""

    async def scenario() -> None:
        async with serving(tls=True) as (wired, _, alice):
            assert (await wired.predict(alice, "t1", timeout_s=30.0))["turn"] == 1
            transport: Any = wired.router._links["a"]._transport
            assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            wired.nodes["a"].remote = None
            wired.router.update(Table(wired.router.table.version + 1, {}, {}))
            wired.publish()
            assert (await wired.predict(alice, "t2"))["turn"] == 2
            assert wired.router._links["a"]._transport.get_extra_info("ssl_object") is None  # type: ignore[union-attr]

    run(scenario())


def test_a_host_on_another_node_that_does_not_listen_there_is_not_asked() -> None:
    """Its socket's path may be somebody else's here."""

    async def scenario() -> None:
        async with wires() as wired:
            node = await wired.start("a")
            wired.router.update(Table(9, {"a": str(node.address)}, {}, nodes={"a": "another"}))
            await wired.router._tasks["a"]
            assert not wired.router._is_up("a")
            assert not node.server._links

    run(scenario())


def test_a_host_with_another_certificate_hears_nothing() -> None:
    """Whoever has its address: a router trusts the one certificate that placement told it."""

    async def scenario() -> None:
        async with serving(tls=True) as (wired, node, _):
            forged = replace(remote_of(node), certificate=make_identity().certificate)
            end = router_of(wired, node)
            try:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await connect(end.link, forged)
                assert (end.ready, end.link._transport) == (0, None)
            finally:
                end.link.close()

    run(scenario())


@pytest.mark.parametrize("other", [{"key": b"x" * 32}, {"cluster": "another"}, {"binding": b""}, {"binding": b"b"}])
def test_a_stranger_is_not_let_in_over_tls(other: dict[str, Any]) -> None:
    """Another key, a router of another store, a handshake that comes from another connection."""

    async def scenario() -> None:
        async with serving(tls=True) as (wired, node, _):
            assert await is_let_in(router_of(wired, node), remote_of(node))
            assert not await is_let_in(router_of(wired, node, **other), remote_of(node))
            await until(lambda: len(node.server._links) == 1)  # the router's own

    run(scenario())


def test_who_speaks_without_tls_is_dropped_and_leaves_nothing() -> None:
    """However good its hello is."""

    async def scenario() -> None:
        async with serving(tls=True) as (wired, node, _):
            reader, writer = await asyncio.open_connection(HERE, remote_of(node).port)
            sender = Sender(writer.write)
            head = {"v": PROTOCOL_RANGE, "role": "router", "cluster": wired.store.store_id, "nonce": b"n" * 32}
            sender.put(Kind.HELLO, 0, head)
            sender.flush()
            assert b"host" not in await reader.read()
            writer.close()
            gc.collect()
            assert (len(node.server._links), len(node.server._strangers)) == (1, 0)

    run(scenario())


def test_an_older_tls_is_refused() -> None:
    """1.2, though the certificate is the right one."""

    async def scenario() -> None:
        async with serving(tls=True) as (_, node, _):
            old = trusting(remote_of(node).certificate)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(HERE, remote_of(node).port, ssl=old)

    run(scenario())


def test_over_tls_a_lost_host_hands_its_turns_to_the_next() -> None:
    """In order, each once; a cut connection is made again before."""

    async def scenario() -> None:
        async with wires("a", "b", tls=True) as wired:
            alice, lost = wired.session("alice", "a"), wired.nodes["a"]
            wired.settle()
            turns = [wired.begin(alice, f"t{number}", gate="g") for number in range(1, 6)]
            await until(lambda: lost.waiters() == 5)
            await wired.cut("a")
            wired.nodes["b"].program.gate("g").open()
            await wired.fail_over("a", "b")
            assert [(await turn)["turn"] for turn in turns] == [1, 2, 3, 4, 5]
            lost.program.gate("g").open()
            assert wired.journal(alice) == [(number, f"t{number}") for number in range(1, 6)]

    run(scenario())


def test_over_tls_large_turns_arrive_whole() -> None:
    """Many pieces both ways, several at a time."""

    async def scenario() -> None:
        async with serving(tls=True) as (wired, node, alice):
            sizes = [PIECE_BYTES * 40, PIECE_BYTES * 7 + 1, 1]
            turns = [wired.begin(alice, f"t{size}", q="x" * size) for size in sizes]
            assert [(await turn)["turn"] for turn in turns] == [1, 2, 3]
            assert [len(call.inputs["q"]) for call in node.program.calls] == sizes

    run(scenario())


def test_over_tls_a_turn_does_not_wait_for_a_slow_reader() -> None:
    """It gets merged deltas; the text is whole."""

    async def scenario() -> None:
        async with serving(tls=True) as (wired, node, alice):
            events: list[TurnEvent] = []
            async for event in wired.router.stream(alice, request("t1", stream=True, tokens=5000)):
                if not events:
                    await until(lambda: wired.journal(alice) == [(1, "t1")] and not node.waiters())
                events.append(event)
            assert text(events) == "".join(f"{number} " for number in range(5000))
            assert len(events) <= CREDITS + 4

    run(scenario())


def test_a_host_takes_the_first_port_of_its_range_that_is_free() -> None:
    """At its node's address only; with none left it says which setting to widen."""
    with listen_at(HERE, range(1)) as taken, socket.socket() as free:
        free.bind((HERE, 0))
        ports = [taken.getsockname()[1], free.getsockname()[1]]
        free.close()
        with listen_at(HERE, ports) as chosen:
            assert chosen.getsockname() == (HERE, ports[1])
        with pytest.raises(InvalidRequest, match="DSPEX_STREAM_PORTS"):
            listen_at(HERE, ports[:1])


@pytest.mark.parametrize("ip", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_that_the_node_does_not_have_is_refused(ip: str) -> None:
    """The sentence says where it came from."""
    with pytest.raises(InvalidRequest, match="--node-ip-address"):
        listen_at(ip, range(1))
