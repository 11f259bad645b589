"""Turn ids in three bytes each."""

from __future__ import annotations

from copy import copy
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.ids import new_ulid
from dspex_actors.sessions.turn_ids import TurnIds

IDS = st.lists(st.text("abcdef0123456789", min_size=1, max_size=6), max_size=30)


@given(IDS, IDS)
def test_ids_one_by_one_are_ids_at_once(first: list[str], second: list[str]) -> None:
    """Whatever the order, and how often each is added."""
    ids = TurnIds(first)
    for turn_id in second:
        ids.add(turn_id)
    together = TurnIds()
    together.update([*second, *first])
    assert ids == together == TurnIds({*first, *second})
    assert all(turn_id in ids for turn_id in (*first, *second))


@given(IDS)
def test_packed_ids_are_the_same_ids(given_ids: list[str]) -> None:
    """Three bytes each; what is unpacked is a copy."""
    ids = TurnIds(given_ids)
    again = TurnIds.unpacked(ids.packed())
    assert again == ids
    assert len(ids.packed()) == 3 * len(ids)
    again.add("g")
    assert len(copy(ids)) == len(ids) == len(again) - 1


def test_fresh_ids_are_known_to_be_fresh() -> None:
    """So that a fresh turn pays for no read; 1,000 ids are 3 KB."""
    ids = TurnIds(new_ulid() for _ in range(1_000))
    assert sum(new_ulid() in ids for _ in range(1_000)) <= 1
    assert len(ids.packed()) <= 3_000


@given(IDS)
def test_ids_of_older_snapshots_are_known(given_ids: list[str]) -> None:
    """Those had the four bytes of each, sorted as numbers, the lowest first."""
    wide = b"".join(number.to_bytes(4, "little") for number in sorted({crc32(each.encode()) for each in given_ids}))
    assert TurnIds.widened(wide) == TurnIds(given_ids)
