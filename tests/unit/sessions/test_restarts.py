"""The tree's own rules: what counts against the hosts' supervisor, and how a host that cannot start is spared."""

from __future__ import annotations

import heapq

import pytest

from dspex_actors.sessions.restarts import RESTART_PAUSE, hosts_supervisor, unexplained
from supervisors import Child, ChildSpec, Exit
from supervisors import messages as m
from supervisors.core import step
from supervisors.state import new_state


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("killed", True),
        ("crash", True),
        ("init_failed", True),
        ("normal", False),
        ("shutdown", False),
        ("node_lost", False),
    ],
)
def test_only_unexplained_ends_of_hosts_count(kind: str, counts: bool) -> None:
    """A node that is lost, a stop that was asked for, and a host that left say nothing against the host's code."""
    assert unexplained(Exit(kind)) is counts  # type: ignore[arg-type]


class Host:
    """A class to name; nothing makes one."""


def test_hosts_that_crash_as_they_start_never_use_up_the_intensity() -> None:
    """They wait longer each time; ten minutes of it, and the supervisor is still there for the day they can start."""
    slots = [ChildSpec(f"host-{n}", start=Host, backoff=RESTART_PAUSE) for n in range(3)]
    state, due, gave_up, order = new_state(hosts_supervisor(slots)), list[tuple[float, int, m.Event]](), False, 0
    heapq.heappush(due, (0.0, 0, m.Init()))
    while due and due[0][0] < 600 and not gave_up:
        now, _, event = heapq.heappop(due)
        for effect in step(state, event, now):
            order += 1
            match effect:
                case m.Start(key, instance):
                    child = Child(key, f"{key}#{instance}", "test", 1, "node", "", key)
                    heapq.heappush(due, (now + 1, order, m.Started(key, instance, child)))
                    heapq.heappush(due, (now + 4, order, m.Exited(key, instance, Exit("killed"))))
                case m.Retry(key, instance, after_s):
                    heapq.heappush(due, (now + after_s, order, m.TryAgain(key, instance)))
                case m.Leave():
                    gave_up = True
    assert not gave_up
    assert all(slot.restarts > 10 for slot in state.slots.values())
