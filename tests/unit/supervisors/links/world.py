"""Processes that exchange signals: order holds between two, deaths are seen at any time, nothing else is promised."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from supervisors import signals as sig
from supervisors.address import Address
from supervisors.exits import KILLED, Exit
from supervisors.links import NOPROC, LinkState, step

BOOM = Exit("crash", "ValueError: boom")


def address(name: str) -> Address:
    """Of a process of this world."""
    return Address(name, "world", "1")


class World:
    """A process for each letter. `gone` holds what the transport will tell, and to whom."""

    def __init__(self, names: Sequence[str]) -> None:
        self.states = {name: LinkState(address(name)) for name in names}
        self.ways: dict[tuple[str, str], deque[sig.Signal]] = {}
        self.gone: deque[tuple[str, str, Exit]] = deque()
        self.vanished: set[str] = set()
        self.released: list[str] = []
        self.downs: list[sig.Down] = []
        self.refs: list[sig.MonitorRef] = []

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        return self.states[name].ended is None and name not in self.vanished

    def link(self, a: str, b: str) -> None:
        self.take(a, sig.LinkTo(address(b)))

    def unlink(self, a: str, b: str) -> None:
        self.take(a, sig.UnlinkFrom(address(b)))

    def monitor(self, a: str, b: str) -> sig.MonitorRef:
        ref = sig.MonitorRef(address(a), address(b), len(self.refs))
        self.refs.append(ref)
        self.take(a, sig.StartMonitor(ref))
        return ref

    def end(self, name: str, reason: Exit = BOOM) -> None:
        """It ends, and says so."""
        self.take(name, sig.Ended(reason))

    def vanish(self, name: str) -> None:
        """It is gone without a word; what it has sent is on its way."""
        self.vanished.add(name)
        for watcher, state in self.states.items():
            if address(name) in state.watched:
                self.gone.append((watcher, name, KILLED))

    def take(self, name: str, event: sig.Event) -> None:
        """Feed an event and carry its effects out."""
        if name not in self.vanished:
            for effect in step(self.states[name], event):
                self._carry_out(name, effect)

    def _carry_out(self, name: str, effect: sig.Effect) -> None:
        match effect:
            case sig.Send(to, signal):
                self.ways.setdefault((name, to.name), deque()).append(signal)
            case sig.Watch(peer) if not self.alive(peer.name):
                self.gone.append((name, peer.name, NOPROC))
            case sig.Release():
                self.released.append(name)
            case sig.Die(reason):
                self.end(name, reason)

    def deliver(self, number: int) -> None:
        """One of the things that can arrive now does."""
        ways = [way for way, signals in self.ways.items() if signals]
        if number % (len(ways) + 1) < len(ways):
            sender, to = ways[number % (len(ways) + 1)]
            self.take(to, sig.Arrived(address(sender), self.ways[sender, to].popleft()))
        elif self.gone:
            watcher, peer, reason = self.gone.popleft()
            self.take(watcher, sig.Gone(address(peer), reason))

    def settle(self) -> None:
        """Until nothing is on its way, and everybody has read the inbox."""
        while self.gone or any(self.ways.values()):
            for number in range(len(self.ways) + 1):
                self.deliver(number)
        for state in self.states.values():
            self.downs += [message for message in state.inbox if isinstance(message, sig.Down)]
            if state.ended is None:
                state.inbox = deque(message for message in state.inbox if not isinstance(message, sig.Down))

    def exits(self, name: str) -> list[sig.ExitMessage]:
        """The trapped exits that wait for a process."""
        return [message for message in self.states[name].inbox if isinstance(message, sig.ExitMessage)]

    def linked(self, a: str, b: str) -> bool:
        """As `a` sees it."""
        return address(b) in self.states[a].links
