"""A storm: clients at work while the host is killed again and again, and a checker that trusts nobody.

Imports nothing from the product. What was acknowledged comes from the clients' own notes, what is recorded from the
database file.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.cluster.sessions.instance import Instance

REST_S = 5.0


@dataclass
class Notes:
    """What the clients saw."""

    acknowledged: list[tuple[str, str, int]] = field(default_factory=list)  # session, key, turn
    refused: list[tuple[int, str]] = field(default_factory=list)
    kills: list[int] = field(default_factory=list)


async def storm(instance: Instance, sessions: list[str], clients: int, seconds: float) -> Notes:
    """Load for so many seconds; the host dies whenever a standby is ready and 5 s have passed."""
    notes = Notes()
    until = time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {instance.key}"}
    async with aiohttp.ClientSession(instance.url, headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
        workers = [asyncio.create_task(_client(http, sessions, until, notes)) for _ in range(clients)]
        await _killer(instance, until, notes)
        await asyncio.gather(*workers)
    return notes


async def _client(http: aiohttp.ClientSession, sessions: list[str], until: float, notes: Notes) -> None:
    while time.monotonic() < until:
        session, key = random.choice(sessions), uuid.uuid4().hex
        body = {"inputs": {"question": key}}
        async with http.post(f"/v1/sessions/{session}/predict", json=body, headers={"Idempotency-Key": key}) as answer:
            if answer.status == 200:
                found = await answer.json()
                assert found["turn_id"] == key
                notes.acknowledged.append((session, key, found["turn"]))
            else:
                notes.refused.append((answer.status, await answer.text()))


async def _killer(instance: Instance, until: float, notes: Notes) -> None:
    last = time.monotonic()
    while time.monotonic() < until - REST_S:
        ready = await asyncio.to_thread(instance.nodes, "standby")
        hosts = await asyncio.to_thread(instance.nodes, "host")
        if ready and hosts and time.monotonic() - last >= REST_S:
            os.kill(hosts[0]["pid"], signal.SIGKILL)
            notes.kills.append(hosts[0]["pid"])
            last = time.monotonic()
        await asyncio.sleep(0.25)


def check_journal(database: Path, notes: Notes) -> list[str]:
    """What is wrong between the clients' notes and the journal; nothing, if all is well."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT s.id, j.turn_id, j.turn, j.seq FROM journal j JOIN session s ON s.uid = j.uid ORDER BY s.id, j.seq"
        ).fetchall()
    connection.close()
    recorded = Counter((session, turn_id, turn) for session, turn_id, turn, _ in rows)
    wrong = [f"acknowledged but recorded {recorded[each]} times: {each}" for each in notes.acknowledged
             if recorded[each] != 1]  # fmt: skip
    numbers: dict[str, list[tuple[int | None, int]]] = {}
    for session, _, turn, seq in rows:
        numbers.setdefault(session, []).append((turn, seq))
    for session, found in numbers.items():
        turns = [turn for turn, _ in found if turn is not None]  # a rewind has none
        if turns != list(range(1, len(turns) + 1)) or [seq for _, seq in found] != list(range(1, len(found) + 1)):
            wrong.append(f"numbers of {session} have gaps: {found}")
    return wrong
