"""Turn ids in three bytes each."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_actors.ids import new_ulid
from dspex_actors.sessions import turn_ids
from dspex_actors.sessions.turn_ids import PAGED, TurnIds

IDS = st.lists(st.text("abcdef0123456789", min_size=1, max_size=6), max_size=30)


@pytest.fixture(params=[PAGED, 0, 9], ids=["few", "paged", "paged from nine on"], autouse=True, scope="module")
def pages(request: pytest.FixtureRequest) -> Iterator[None]:
    """However they are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turn_ids, "PAGED", request.param)
        yield


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


def test_many_ids_take_two_bytes_each() -> None:
    """And what is packed is what it would be otherwise."""
    many = [f"t{number}" for number in range(20_000)]
    ids = TurnIds(many[:10])
    for turn_id in many:
        ids.add(turn_id)
    assert ids == TurnIds(many)
    assert ids.packed() == b"".join(sorted({crc32(each.encode()).to_bytes(4)[:3] for each in many}))
    assert len(ids._sums) == 2 * len(ids)


def test_a_page_may_have_more_ids_than_two_bytes_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """After sixteen million turns or so."""
    monkeypatch.setattr(turn_ids, "_sum", bytes.fromhex)
    ids = TurnIds.unpacked(b"".join(b"\x07" + number.to_bytes(2) for number in range(0x10000) if number != 9))
    assert "070009" not in ids
    ids.add("070009")
    assert "070009" in ids
    assert "070009" in TurnIds.unpacked(ids.packed())
    assert len(ids) == 0x10000
