"""A conversation is the same, folded or not."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.programs.call import HistoryTurn
from dspex_actors.sessions.conversation import Conversation

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
fields = st.dictionaries(st.sampled_from(("question", "answer")), values)
turns = st.builds(HistoryTurn, fields, fields)
steps = st.lists(st.one_of(st.just("fold"), st.just("clear"), st.lists(turns, max_size=3)), max_size=8)


@given(st.integers(0, 4), steps)
def test_whenever_it_is_folded_it_says_what_a_plain_one_says(window: int, work: list[str | list[HistoryTurn]]) -> None:
    """Any steps, any values that JSON has."""
    folded, plain = Conversation(window), deque[HistoryTurn](maxlen=window)
    for step in work:
        match step:
            case "fold":
                folded.fold()
            case "clear":
                folded.clear()
                plain.clear()
            case list(new):
                folded.extend(new)
                plain.extend(new)
        assert (list(folded), len(folded)) == (list(plain), len(plain))


def test_two_that_say_the_same_are_equal_folded_or_not() -> None:
    """And others are not."""
    said = HistoryTurn({"question": "a"}, {"answer": "b"})
    one, other = Conversation(3, [said]), Conversation(3, [said])
    other.fold()
    assert one == other
    assert one != Conversation(3)
    assert one != Conversation(4, [said])
