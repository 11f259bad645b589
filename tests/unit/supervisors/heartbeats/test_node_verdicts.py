"""Which node is lost, and what it is when it comes back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.errors import BadSpec
from supervisors.heartbeats import NodeBeat, NodeDetector

OPTIONS = NodeBeat(node_timeout_s=1.5, interval_s=0.25)


def heard(options: NodeBeat = OPTIONS) -> NodeDetector:
    """A node that has beaten once, at 0."""
    node = NodeDetector(options)
    node.look(0.0)
    node.beat()
    return node


def looks(node: NodeDetector, *at_s: float) -> list[float]:
    """When it was called lost."""
    return [now_s for now_s in at_s if node.look(now_s)]


def test_a_silent_node_is_lost_within_the_timeout_and_once() -> None:
    """One interval before it is over: the next look would be too late."""
    node = heard()
    assert looks(node, *(step * 0.25 for step in range(1, 40))) == [1.5]
    assert node.verdict == "lost"


def test_a_node_that_was_never_heard_is_not_lost() -> None:
    """It is starting; Ray knows of it, nobody else does."""
    node = NodeDetector(OPTIONS)
    assert looks(node, *(step * 0.25 for step in range(1, 40))) == []
    assert node.verdict == "unknown"


def test_a_watcher_that_was_late_blames_no_node() -> None:
    """It was itself stopped for a minute."""
    node = heard()
    assert looks(node, 0.25, 0.5, 60.5, 60.75) == []
    assert looks(node, 61.0, 61.25, 61.5, 61.75) == [61.5]


def test_a_node_that_comes_back_is_a_zombie_until_it_is_readmitted() -> None:
    """Its children were given up; more beats do not change that."""
    node = heard()
    node.lose()
    assert [node.beat(), node.beat(), node.beat()] == [True, False, False]
    verdicts = [node.verdict]
    node.readmit()
    assert [*verdicts, node.verdict] == ["zombie", "alive"]


def test_a_zombie_can_be_lost_again() -> None:
    """And comes back as one."""
    node = heard()
    node.lose()
    node.beat()
    assert looks(node, *(step * 0.25 for step in range(1, 10))) == [1.5]
    assert node.beat()


def test_losing_a_lost_node_is_no_news() -> None:
    """Beats stop and Ray says so, too: one loss."""
    node = heard()
    assert [node.lose(), node.lose()] == [True, False]


def test_a_living_node_needs_no_readmission() -> None:
    """Nor does a lost one get any."""
    node = heard()
    node.readmit()
    verdicts = [node.verdict]
    node.lose()
    node.readmit()
    assert [*verdicts, node.verdict] == ["alive", "lost"]


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.5)), max_size=100))
def test_losses_and_returns_take_turns(steps: list[tuple[bool, float]]) -> None:
    """Never two losses without a return between, never two returns without a loss."""
    node, now_s, news = heard(), 0.0, ["back"]
    for beats, after_s in steps:
        now_s += after_s
        if beats and node.beat():
            news.append("back")
        if node.look(now_s):
            news.append("lost")
    assert all(one != other for one, other in pairwise(news))


@given(st.lists(st.floats(0.01, 0.49), max_size=60), st.integers(0, 59))
def test_a_node_is_never_lost_before_its_silence_nor_after_the_timeout(gaps: list[float], beat_at: int) -> None:
    """Silent for the timeout less an interval, give or take the gap between two looks, if none comes late."""
    node, now_s, last_s = heard(), 0.0, 0.0
    for index, gap in enumerate(gaps):
        now_s += gap
        if index == beat_at % len(gaps):
            node.beat()
            last_s = now_s
        if node.look(now_s):
            assert 1.25 - 0.5 <= now_s - last_s <= 1.25 + 0.5 + 1e-9
            return
    assert now_s - last_s <= 1.25 + 0.5 + 1e-9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"node_timeout_s": 0.5}, "node_timeout_s=0.5 is not accepted; give a number of seconds above 0.5"),
        ({"node_timeout_s": float("inf")}, "node_timeout_s=inf is not accepted"),
        ({"interval_s": -1.0}, "interval_s=-1.0 is not accepted; give a number of seconds above 0"),
    ],
)
def test_a_bad_option_is_refused_by_name(options: dict[str, float], sentence: str) -> None:
    """Before any node is watched."""
    with pytest.raises(BadSpec, match=sentence):
        NodeBeat(**options)
