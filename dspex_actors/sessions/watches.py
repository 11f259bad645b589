"""The router's watchers: which link each one's question went over, and what comes back."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import orjson

from dspex_actors.errors import from_problem
from dspex_actors.sessions.answers import unknown
from dspex_actors.sessions.frames import Kind
from dspex_actors.sessions.link import Link
from dspex_actors.sessions.watching import Sight, Watch, WatchWait


class Watches:
    """Watchers by the number of the stream that they look through. Each look ends with its link."""

    def __init__(self) -> None:
        self._looking: dict[int, tuple[Link, WatchWait]] = {}

    def __len__(self) -> int:
        return len(self._looking)

    async def look(self, link: Link, number: int, watch: Watch, wait: WatchWait) -> Sight:
        """Ask a host for the turn, and pass on what it says until it has nothing more to say."""
        told = wait.look(lambda: link.send(Kind.CREDIT, number, 1))
        self._looking[number] = (link, wait)
        try:
            link.send(Kind.WATCH, number, astuple(watch), lane=watch.uid)
            return await told
        finally:
            del self._looking[number]
            if not told.done() or told.cancelled():
                link.send(Kind.CANCEL, number, lane=watch.uid)

    def frame(self, link: Link, kind: Kind, number: int, head: Any, body: bytes) -> bool:
        """Take in a frame; whether it is for a watcher."""
        looks_through, wait = self._looking.get(number, (None, None))
        if wait is None or looks_through is not link:
            return False
        match kind:
            case Kind.STATUS:
                wait.started(head)
            case Kind.TOKEN:
                wait.piece(body.decode(), *head)
            case Kind.REPLY:
                wait.reply(body, head)
            case Kind.FAIL:
                wait.fail(from_problem(orjson.loads(body)))
            case Kind.MOVED:
                wait.tell(Sight.ASK_AGAIN)
            case Kind.WATCH:
                wait.tell(Sight(head))
        return True

    def gone(self, link: Link) -> None:
        """The link is over: whoever looks through it has to ask again."""
        for looks_through, wait in self._looking.values():
            if looks_through is link:
                wait.tell(Sight.ASK_AGAIN)

    def close(self) -> None:
        """Nobody will say any more."""
        for _, wait in self._looking.values():
            wait.refuse(unknown(wait.turn_id))
