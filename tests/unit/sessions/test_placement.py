"""What placement starts from, and whom it chooses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.errors import NoCapacity, NotFound
from dspex_actors.ids import SHARDS
from dspex_actors.sessions.placement import HostInfo, Table, choose, first_owners, in_turns, readable_by_all
from dspex_actors.sessions.planner import HostView
from dspex_actors.sessions.tls import TlsAddress

NAMES = [f"host-{number}" for number in range(6)]


@given(st.lists(st.sampled_from(NAMES), unique=True, min_size=1), st.integers(0, 8))
def test_the_first_owners_have_all_shards_evenly(hosts: list[str], wanted: int) -> None:
    """The first `wanted` hosts, at least one."""
    owned = Counter(first_owners(hosts, wanted).values())
    assert sum(owned.values()) == SHARDS
    assert list(owned) == hosts[: max(1, wanted)]
    assert max(owned.values()) - min(owned.values()) <= 1


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.integers(1, 12))
def test_the_first_owners_and_those_who_are_left_are_on_as_many_nodes_as_can_be(nodes: list[str], wanted: int) -> None:
    """So that the loss of one takes neither all owners nor all standbys, if that can be."""
    hosts = {f"host-{number}": node for number, node in enumerate(nodes)}
    names = in_turns(HostView(name, node) for name, node in hosts.items())
    assert sorted(names) == sorted(hosts)
    assert len({hosts[name] for name in names[:wanted]}) == min(len(set(nodes)), wanted, len(nodes))
    if len(set(nodes)) > 1 and max(Counter(nodes).values()) - min(Counter(nodes).values()) <= 1:
        assert len({hosts[name] for name in names[wanted:]}) == min(len(set(nodes)), max(0, len(nodes) - wanted))


def test_a_router_takes_the_socket_of_a_host_on_its_node_and_tls_to_others() -> None:
    """Where a host does not listen for other nodes there is no way; a table without nodes is of one node."""
    remote = TlsAddress("192.0.2.1", 7, b"")
    table = Table(1, {"a": "/a", "b": "/b"}, {}, nodes={"a": "n1", "b": "n1"}, remotes={"a": remote})
    assert [table.way(host, node) for host in "ab" for node in ("n1", "n2")] == ["/a", remote, "/b", None]
    assert Table(1, {"a": "/a"}, {}).way("a", "") == "/a"


def test_the_host_with_the_least_to_do_is_chosen_but_not_the_one_to_leave() -> None:
    """Nor one that is draining."""
    hosts = [HostView("a", load=1), HostView("b", load=5), HostView("c", load=3), HostView("d", draining=True)]
    assert choose(None, "a", hosts) == "c"


def test_a_host_that_is_there_for_some_sessions_only_is_chosen_by_name_alone() -> None:
    """Though it has the least to do."""
    hosts = [HostView("a", load=9), HostView("b", dedicated=True), HostView("c", load=5)]
    assert (choose(None, "a", hosts), choose("b", "a", hosts)) == ("c", "b")
    with pytest.raises(NoCapacity):
        choose(None, "a", hosts[:2])


def test_the_host_that_is_asked_for_is_chosen() -> None:
    """Also the one that it is on: nothing moves then."""
    assert choose("a", "a", [HostView("a"), HostView("b")]) == "a"


def test_a_host_that_is_not_there_is_named_with_those_that_are() -> None:
    """So that the next call can be right."""
    with pytest.raises(NotFound, match="these live: a, b"):
        choose("z", "a", [HostView("a"), HostView("b")])


@pytest.mark.parametrize("host", [None, "b"])
def test_where_no_other_host_can_take_it_there_is_no_capacity(host: str | None) -> None:
    """A draining one cannot."""
    with pytest.raises(NoCapacity):
        choose(host, "a", [HostView("a"), HostView("b", draining=True)])


def test_a_form_of_the_state_is_written_when_the_last_host_reads_it() -> None:
    """Standbys included; without hosts nobody reads any."""
    old = HostInfo("a", "/a", 1, 0.0, "n", 1)
    new = replace(old, name="b", state_version=2)
    assert [readable_by_all(hosts) for hosts in ([], [new], [new, old], [new, new])] == [0, 2, 1, 2]
