"""Ports: taken ones are named before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dspex_actors.cli.ports import check_free, free_block
from dspex_actors.errors import InUse, InvalidRequest


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_refused_by_its_number(taken: int) -> None:
    """With the setting that changes it."""
    with pytest.raises(InUse, match=f"Port {taken} on 127.0.0.1 is taken.*DSPEX_PORT"):
        check_free("127.0.0.1", taken)


def test_a_free_port_is_still_free_after_the_check() -> None:
    """The check lets go of it."""
    port = free_block(1, seed="a")
    check_free("127.0.0.1", port)
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    """It names the setting, not a stack trace."""
    with pytest.raises(InvalidRequest, match=r"Cannot listen on .*DSPEX_HOST"):
        check_free(host, 8000)


def test_a_block_avoids_ports_that_are_taken() -> None:
    """The same seed moves on when one of its ports is taken."""
    first = free_block(10, seed="instance")
    with socket.create_server(("127.0.0.1", first + 9)):
        assert free_block(10, seed="instance") != first


def test_instances_tend_to_different_blocks() -> None:
    """So that two that start at the same time do not race for the same ports."""
    assert len({free_block(101, seed=str(number)) for number in range(5)}) > 1
