"""No acknowledged turn is lost, and nobody sees an error, while hosts are killed."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.cluster.sessions.instance import Instance
from tests.cluster.sessions.storm import Notes, check_journal, storm

SECONDS = float(os.environ.get("STORM_SECONDS", "60"))
CLIENTS = 64
SESSIONS = 200


@pytest.mark.timeout(300)
def test_hosts_die_under_load_and_nothing_is_lost_or_refused(instance: Instance) -> None:
    """64 clients on 200 sessions: all 200, every acknowledged turn recorded once, numbers without gaps."""
    sessions = [f"storm-{number}" for number in range(SESSIONS)]
    for session in sessions:
        assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": session})[0] == 201
    instance.wait_nodes("standby")
    notes = asyncio.run(storm(instance, sessions, CLIENTS, SECONDS))
    assert notes.refused == []
    assert len(notes.kills) >= 2
    assert len(notes.acknowledged) > CLIENTS
    assert check_journal(instance.home / "dspex.sqlite3", notes) == []


def test_the_checker_of_the_storm_can_fail(instance: Instance) -> None:
    """An acknowledged turn that is nowhere is found out."""
    made_up = Notes(acknowledged=[("storm-0", "never-sent", 1)])
    assert len(check_journal(instance.home / "dspex.sqlite3", made_up)) == 1
