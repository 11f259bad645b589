"""The forms of a state: each is read by every later program, and none is guessed at."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.journal import Entry
from dspex_actors.resources.snapshot import STATE_VERSION, Snapshot
from dspex_actors.sessions import snapshot as codec
from dspex_actors.sessions.recollection import Recollection
from dspex_actors.sessions.snapshot import DamagedSnapshot, decode, encode
from dspex_actors.sessions.turn_ids import TurnIds
from tests.support.time_travel import STEPS, TURN


def recollected(steps: list[int]) -> Recollection:
    """What a journal of these steps comes to, with all its turns at hand."""
    found, last = Recollection(), 0
    for seq, step in enumerate(steps, start=1):
        is_turn = step == TURN
        delta = {"inputs": {"q": seq}, "outputs": {}} if is_turn else {"to_turn": step % (last + 1), "last_turn": last}
        last += is_turn
        kind, turn = ("turn", last) if is_turn else ("rewind", None)
        found.add([Entry("u", seq, kind, turn, f"id-{seq}", b"", orjson.dumps(delta), 0)])
    return found


def written(steps: list[int]) -> Snapshot:
    """As it goes into the store."""
    made = encode(recollected(steps), "u", 3, STATE_VERSION, 9)
    assert made is not None
    return made


@given(STEPS)
def test_a_snapshot_says_what_the_journal_says(steps: list[int]) -> None:
    """Everything but the turns that are not shown."""
    found, again = recollected(steps), decode(written(steps))
    assert again.state(3) == found.state(3)
    assert (again.rewinds, list(again.turns)) == (found.rewinds, found.conversation(3))


@pytest.mark.parametrize(
    "change",
    [{"seq": 2}, {"uid": "v"}, {"body": b"{}"}, {"turn_ids": b"1234"}, {"state_version": 9}, {"checksum": b""}],
)
def test_a_snapshot_that_is_not_what_was_written_is_damaged(change: dict[str, object]) -> None:
    """Whatever of it changed: also the version, which is believed only when all is sound."""
    with pytest.raises(DamagedSnapshot):
        decode(replace(written([TURN]), **change))  # type: ignore[arg-type]


def test_no_byte_can_change_sides() -> None:
    """The end of one part and the beginning of the other are told apart."""
    one = replace(written([]), body=b"ab", turn_ids=b"cd").sealed()
    assert one.intact
    assert not replace(one, body=b"abc", turn_ids=b"d").intact


def test_a_newer_form_is_refused() -> None:
    """With what to do."""
    newer = replace(written([TURN]), state_version=STATE_VERSION + 1).sealed()
    with pytest.raises(StoreUnavailable, match=r"Run the newer program"):
        decode(newer)


def test_an_older_form_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through every version in between, by functions that know two of them each."""
    upgrades = {
        1: lambda body: {"turn": body["number"] + 1, "rewinds": []},
        2: lambda body: {**body, "turns": [], "turn": body["turn"] * 10, "variables": {}, "variables_at": 0},
    }
    monkeypatch.setattr(codec, "UPGRADES", upgrades)
    assert STATE_VERSION == 3
    old = Snapshot("u", 7, 1, b'{"number": 4}', b"", 0).sealed()
    assert (decode(old).seq, decode(old).turn) == (7, 50)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_form_is_written_where_it_has_place_for_everything(version: int) -> None:
    """While a host is there that reads no other one: of turn ids it wants the four bytes that nobody has any more."""
    found = recollected([TURN, TURN, 1])
    assert encode(found, "u", 3, version, 9) is None
    found.turn_ids = TurnIds()
    older = encode(found, "u", 3, version, 9)
    assert older is not None
    assert (older.state_version, decode(older).state(3)) == (version, found.state(3))
    found.variables, found.variables_at = {"a": 1}, 2
    assert (encode(found, "u", 3, version, 9) is None) == (version == 1)


def test_there_is_a_way_from_every_form_and_a_writer_of_each() -> None:
    """So that a version is never without its functions."""
    assert sorted(codec.UPGRADES) == list(range(1, STATE_VERSION))
    assert sorted(codec._WRITERS) == list(range(1, STATE_VERSION + 1))
