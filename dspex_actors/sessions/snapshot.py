"""The forms that a state has had in snapshots, each read by every later program.

A new form is a new number: `UPGRADES` gets a function from the one before, and `_WRITERS` keeps writing the older ones,
because the version that is written rises only when every host can read it (`state_version_written` in the store).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from dspex_actors.errors import StoreUnavailable
from dspex_actors.programs.call import HistoryTurn
from dspex_actors.resources.course import Rewind
from dspex_actors.resources.snapshot import STATE_VERSION, Snapshot
from dspex_actors.sessions.recollection import Recollection
from dspex_actors.sessions.turn_ids import TurnIds

Json = dict[str, Any]


def _with_variables(body: Json) -> Json:
    """Sessions of version 1 had none."""
    return {**body, "variables": {}, "variables_at": 0}


def _same(body: Json) -> Json:
    """Version 3 has another form of turn ids only (`NARROW_IDS`)."""
    return body


UPGRADES: Mapping[int, Callable[[Json], Json]] = {1: _with_variables, 2: _same}
"""From each version to the next; pure."""


NARROW_IDS = 3
"""The version from which on turn ids have three bytes each. Nobody can make the four of before from them."""


class DamagedSnapshot(ValueError):
    """Its checksum does not fit: nothing in it is believed."""


def encode(found: Recollection, uid: str, window: int, version: int, now_us: int) -> Snapshot | None:
    """A snapshot of what was read, with the last `window` turns of the conversation.

    Args:
        found: What the journal adds up to; the turns to show must be at hand.
        uid: The session.
        window: Turns of the conversation to keep.
        version: The form to write: the one that every host reads.
        now_us: The time, microseconds UTC.

    Returns:
        None where that form has no place for something that the state has: its journal is right without a snapshot.
    """
    body = _WRITERS[min(version, STATE_VERSION)](found, window)
    if body is None or (version < NARROW_IDS and len(found.turn_ids)):
        return None
    made = Snapshot(uid, found.seq, min(version, STATE_VERSION), orjson.dumps(body), found.turn_ids.packed(), now_us)
    return made.sealed()


def decode(snapshot: Snapshot) -> Recollection:
    """What a snapshot says.

    Raises:
        DamagedSnapshot: It is not what was written.
        StoreUnavailable: A newer program wrote it, in a form that this one does not know.
    """
    if not snapshot.intact:
        raise DamagedSnapshot(f"snapshot {snapshot.seq} of {snapshot.uid}")
    if snapshot.state_version > STATE_VERSION:
        raise StoreUnavailable(
            f"The state of this session has version {snapshot.state_version}; this program knows up to "
            f"{STATE_VERSION}. Run the newer program that wrote it."
        )
    unpack = TurnIds.unpacked if snapshot.state_version >= NARROW_IDS else TurnIds.widened
    body: Json = orjson.loads(snapshot.body)
    for version in range(snapshot.state_version, STATE_VERSION):
        body = UPGRADES[version](body)
    return Recollection(
        seq=snapshot.seq,
        turn=body["turn"],
        rewinds=[Rewind(*pair) for pair in body["rewinds"]],
        turns={number: HistoryTurn(inputs, outputs) for number, inputs, outputs in body["turns"]},
        turn_ids=unpack(snapshot.turn_ids),
        variables=body["variables"],
        variables_at=body["variables_at"],
    )


def _version_1(found: Recollection, window: int) -> Json | None:
    return None if found.variables_at else _turns(found, window)


def _version_2(found: Recollection, window: int) -> Json:
    return {**_turns(found, window), "variables": found.variables, "variables_at": found.variables_at}


def _turns(found: Recollection, window: int) -> Json:
    shown = [(number, found.shown(number)) for number in found.at_hand(window)]
    return {
        "turn": found.turn,
        "rewinds": [list(rewind) for rewind in found.rewinds],
        "turns": [[number, past.inputs, past.outputs] for number, past in shown],
    }


_WRITERS: Mapping[int, Callable[[Recollection, int], Json | None]] = {1: _version_1, 2: _version_2, 3: _version_2}
