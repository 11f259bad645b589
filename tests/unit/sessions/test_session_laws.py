"""Whatever happens, in whatever order: what always holds for a session."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.resources.journal import Verdict
from dspex_actors.resources.session import OnBusy
from dspex_actors.sessions.events import Cancel, Expire, Leave, Release, Stalled
from dspex_actors.sessions.session import ABANDONED_LIMIT
from tests.unit.sessions.core import Bench, busy_bench

POLICIES = st.sampled_from(get_args(OnBusy))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("arrive", "resent", "retry", "ran", "late", "raised", "committed", "moved", "expire", "leave"),
                *("stall", "cancel"),
                *("rewind", "looked", "late look", "whole turn", "whole rewind"),
            ]
        ),
        st.integers(0, 30),
    ),
    max_size=60,
)


def play(steps: list[tuple[str, int]], on_busy: OnBusy) -> Bench:
    """Feed the steps that make sense at their moment, to a session that shows its last three turns."""
    bench = busy_bench(on_busy, shown=3)
    for number, (step, choice) in enumerate(steps):
        if bench.stopped:
            break
        _step(bench, step, choice, f"w{number}")
    return bench


def _step(bench: Bench, step: str, choice: int, name: str) -> None:
    names = list(bench.listeners)
    current = bench.session.current
    running = current is not None and current.entry is None
    rewinds = current is not None and current.kind == "rewind"
    writing = current is not None and current.entry is not None
    free = current is None and len(bench.session.abandoned) < ABANDONED_LIMIT
    match step:
        case "arrive":
            bench.arrive(name, cancel_on_disconnect=choice % 3 == 0)
        case "whole turn" if free:
            bench.turn(name)
        case "whole rewind" if free:
            bench.rewound(name, choice % (bench.session.state.turn + 1))
        case "resent":
            bench.arrive(name, resent=True)
        case "cancel" if names:
            bench.tell(Cancel(names[choice % len(names)], 0))
        case "retry" if names:
            bench.arrive(name, names[choice % len(names)])
        case "rewind":
            bench.rewind(name, choice % (bench.session.state.turn + 2))
        case "looked" if running and rewinds:
            bench.looked()
        case "late look" if bench.looks:
            bench.looked(choice % len(bench.looks))
        case "ran" if running and not rewinds:
            bench.ran()
        case "late" if bench.starts:
            bench.ran(token=bench.starts[choice % len(bench.starts)].token)
        case "raised" if current is not None and running:
            bench.raised(current.token)
        case "committed" if writing:
            bench.committed()
        case "moved" if writing and choice == 0:
            bench.committed(Verdict.MOVED)
        case "expire" if names:
            bench.tell(Expire(bench.listener(names[choice % len(names)]), 0))
        case "leave" if names:
            bench.tell(Leave(bench.listener(names[choice % len(names)]), 0))
        case "stall" if writing:
            bench.tell(Stalled(0))


@given(STEPS, POLICIES)
def test_nobody_is_answered_twice(steps: list[tuple[str, int]], on_busy: OnBusy) -> None:
    """One reply a waiter, and one for all of them in the end."""
    bench = play(steps, on_busy)
    if not bench.stopped:
        bench.tell(Release())
    assert all(len(answers) == 1 for answers in bench.replies.values())
    assert set(bench.replies) == set(bench.listeners)


@given(STEPS, POLICIES)
def test_the_state_is_the_replay_of_the_journal(steps: list[tuple[str, int]], on_busy: OnBusy) -> None:
    """Fold and full replay are the same, always; and what they say is the law of time travel."""
    bench = play(steps, on_busy)
    assert bench.session.state == bench.replayed()
    turns = {entry.turn: entry.turn_id for entry in bench.journal}
    assert [past.inputs["q"] for past in bench.session.state.history] == [turns[n] for n in bench.law().present[-3:]]


@given(STEPS, POLICIES)
def test_turns_are_numbered_without_gaps_and_recorded_once(steps: list[tuple[str, int]], on_busy: OnBusy) -> None:
    """1, 2, 3 … and no id twice."""
    bench = play(steps, on_busy)
    turns = [entry.turn for entry in bench.journal if entry.kind == "turn"]
    assert turns == list(range(1, len(turns) + 1))
    assert [entry.seq for entry in bench.journal] == list(range(1, len(bench.journal) + 1))
    assert len({entry.turn_id for entry in bench.journal}) == len(bench.journal)


@given(STEPS, POLICIES)
def test_the_same_events_give_the_same_effects(steps: list[tuple[str, int]], on_busy: OnBusy) -> None:
    """The core has no clock, no randomness and no hidden state."""
    once, twice = play(steps, on_busy), play(steps, on_busy)
    assert once.starts == twice.starts
    assert once.commits == twice.commits
    assert {name: str(answers) for name, answers in once.replies.items()} == {
        name: str(answers) for name, answers in twice.replies.items()
    }


@given(STEPS, POLICIES)
def test_what_was_refused_or_cancelled_is_not_recorded(steps: list[tuple[str, int]], on_busy: OnBusy) -> None:
    """Unless its key came again: a definite error left nothing in the state."""
    bench = play([step for step in steps if step[0] not in ("retry", "stall")], on_busy)
    definite = {name for name, (answer, *_) in bench.replies.items() if getattr(answer, "code", "moved") != "moved"}
    assert definite & {entry.turn_id for entry in bench.journal} == set()
