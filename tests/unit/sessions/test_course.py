"""The course of a session is the law of time travel, from the rewinds alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.resources.course import Course, Rewind
from tests.support.time_travel import STEPS, TURN, Law


def walked(steps: list[int]) -> tuple[Course, Law]:
    """The course of a session that did this, and what the law says."""
    law, rewinds = Law(), list[Rewind]()
    for step in steps:
        if step == TURN:
            law.turn()
        else:
            rewinds.append(Rewind(law.last, step % (law.last + 1)))
            law.rewind(rewinds[-1].to)
    return Course(law.last, rewinds), law


def turns(ranges: list[tuple[int, int]]) -> list[int]:
    """The ranges, one by one."""
    return [turn for first, last in ranges for turn in range(first, last + 1)]


@given(STEPS)
def test_every_conversation_is_what_the_law_says(steps: list[int]) -> None:
    """Of every turn, left or not, and the present one."""
    course, law = walked(steps)
    assert course.at == law.at
    assert {turn: turns(course.conversation(turn)) for turn in law.after} == law.after


@given(STEPS, st.integers(0, 6))
def test_the_newest_turns_are_the_end_of_the_conversation(steps: list[int], newest: int) -> None:
    """As many as there are, where more are asked for."""
    course, law = walked(steps)
    for turn, conversation in law.after.items():
        assert turns(course.conversation(turn, newest)) == conversation[max(0, len(conversation) - newest) :]


@given(STEPS)
def test_what_is_left_is_what_the_present_conversation_has_not(steps: list[int]) -> None:
    """Each turn is one or the other."""
    course, law = walked(steps)
    every = range(1, law.last + 1)
    assert course.left(every) == set(every) - set(law.present)


@given(STEPS)
def test_a_later_rewind_changes_no_conversation(steps: list[int]) -> None:
    """The past is never edited."""
    before, _ = walked(steps)
    for to in range(before.last + 1):
        later = Course(before.last + 1, [*before.rewinds, Rewind(before.last, to)])
        for turn in range(before.last + 1):
            assert later.conversation(turn) == before.conversation(turn)


@given(STEPS, st.integers(0, 50), st.integers(0, 6))
def test_the_context_is_what_is_shown_of_removed_turns(steps: list[int], removed: int, window: int) -> None:
    """After any turn that is left, and where the session stands."""
    course, law = walked(steps)
    removed = removed % (law.last + 1)
    ends = [law.at, *range(removed + 1, law.last + 1)]
    shown = {turn for end in ends for turn in law.after[end][max(0, len(law.after[end]) - window) :]}
    assert replace(course, removed=removed).context(window) == {turn for turn in shown if turn <= removed}
