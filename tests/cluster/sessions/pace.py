"""Steady turns in many sessions while something is done to the hosts. Imports nothing from the product."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from tests.cluster.sessions.instance import Instance
from tests.cluster.sessions.storm import Notes, check_journal

SESSIONS = 40
EVERY_S = 0.4


class Pace:
    """One client for each session; each asks its next turn, with a key, at a fixed pace or when the last one ended."""

    def __init__(self, instance: Instance, prefix: str) -> None:
        self.notes = Notes()
        self.sessions = [f"{prefix}-{number}" for number in range(SESSIONS)]
        self._instance = instance
        self._stop = threading.Event()

    def check(self) -> None:
        """Nobody was refused, and each session's turns are recorded once, in the order of asking, without gaps."""
        assert self.notes.refused == []
        for session in self.sessions:
            turns = [(key, turn) for each, key, turn in self.notes.acknowledged if each == session]
            assert turns == [(f"{session}.{number}", number) for number in range(1, len(turns) + 1)]
            assert turns
        assert check_journal(self._instance.home / "dspex.sqlite3", self.notes) == []

    def run(self) -> None:
        """Ask until told to stop."""
        asyncio.run(self._ask_all())

    def stop(self) -> None:
        """No further turns."""
        self._stop.set()

    async def _ask_all(self) -> None:
        headers = {"Authorization": f"Bearer {self._instance.key}"}
        pool = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._instance.url, headers=headers, connector=pool) as http:
            await asyncio.gather(*(self._ask(http, each, number) for number, each in enumerate(self.sessions)))

    async def _ask(self, http: aiohttp.ClientSession, session: str, place: int) -> None:
        loop, turn = asyncio.get_running_loop(), 0
        due = loop.time() + EVERY_S * place / SESSIONS
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due, turn = max(due + EVERY_S, loop.time()), turn + 1
            body, key = {"inputs": {"question": str(turn)}}, f"{session}.{turn}"
            path = f"/v1/sessions/{session}/predict"
            async with http.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
                if answer.status != 200:
                    self.notes.refused.append((answer.status, await answer.text()))
                    return
                self.notes.acknowledged.append((session, key, (await answer.json())["turn"]))


@contextmanager
def paced(instance: Instance, prefix: str) -> Iterator[Pace]:
    """So many sessions at their pace while the block runs; checked when it has ended."""
    pace = Pace(instance, prefix)
    for session in pace.sessions:
        assert instance.call("POST", "/v1/sessions", {"program": "qa", "id": session})[0] == 201
    thread = threading.Thread(target=pace.run)
    thread.start()
    try:
        yield pace
    finally:
        pace.stop()
        thread.join(60)
    pace.check()
