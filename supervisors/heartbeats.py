"""Who is hung, who merely waits for a CPU, and which node is lost: decisions over beats and clocks that are given.

Pure: no clock, no I/O. `pulse` makes the beats and reads the facts, `hearts` watches the processes of one machine,
`node_watch` other nodes, with the help of a `node_agent` on each; `ray_heartbeats` and `ray_nodes` bring it to Ray.

A child that is silent for `interval_s * misses` seconds is judged by what the system says of its process:

| What is seen | Verdict |
|---|---|
| it is stopped (state T) | hung |
| it used that much CPU time without a beat | hung: C code that does not give the interpreter back |
| all its threads sleep, for `blocked_s` | hung: it waits for something while it holds the interpreter |
| a thread of it wants a CPU or a disk and does not get it | starved: it is left alone |
| there is no process | gone |
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Generic, Literal, TypeVar

from supervisors.errors import BadSpec

Verdict = Literal["alive", "suspect", "starved", "hung", "gone"]
NodeVerdict = Literal["unknown", "alive", "lost", "zombie"]
Key = TypeVar("Key", bound=Hashable)

_LATE = 2.0
"""A look that comes after this many intervals is late: what it finds may be the pause of the one who looks."""
_BURNT = 0.8
"""Share of the silence's CPU time that counts as burning: the system counts in ticks, and takes some itself."""


def _seconds(where: str, value: float, *, above: float = 0.0) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= above:
        raise BadSpec(f"{where}={value!r} is not accepted; give a number of seconds above {above:g}.")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a silent child is judged.

    Args:
        interval_s: Seconds between two beats.
        misses: How many beats must be missing.
        blocked_s: Seconds of silence after which a child of which nothing runs, and nothing wants to, is hung: it
            waits for something and holds the interpreter. None: it is never hung for that.

    Raises:
        BadSpec: A value is not accepted.
    """

    _: KW_ONLY
    interval_s: float = 0.25
    misses: int = 4
    blocked_s: float | None = 5.0

    def __post_init__(self) -> None:
        _seconds("interval_s", self.interval_s)
        if isinstance(self.misses, bool) or not isinstance(self.misses, int) or self.misses < 2:
            raise BadSpec(f"misses={self.misses!r} is not accepted; give a whole number from 2.")
        if self.blocked_s is not None:
            _seconds("blocked_s", self.blocked_s)

    @property
    def silence_s(self) -> float:
        """How long a child may be silent."""
        return self.interval_s * self.misses

    @property
    def burn_s(self) -> float:
        """How much CPU time without a beat is too much; it is counted from the second missing beat on."""
        return _BURNT * self.interval_s * max(self.misses - _LATE, 1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the system says of a process at one moment.

    Args:
        cpu_s: CPU time it has used since it began, in seconds, all threads together.
        stopped: It is in state T: a signal holds it.
        wants_cpu: A thread of it runs, waits for a CPU, or waits for a disk.
        gone: There is no such process any more, or only its remains.
    """

    cpu_s: float = 0.0
    stopped: bool = False
    wants_cpu: bool = False
    gone: bool = False


class Detector:
    """The state of one watched child: how long it has been silent, and what it did meanwhile."""

    __slots__ = ("_asleep_s", "_beats", "_burnt_s", "_cpu_s", "_facts", "_silent_s", "options")

    def __init__(self, options: Heartbeat, beats: int = 0) -> None:
        self.options = options
        self._beats = beats
        self._hear()

    def _hear(self) -> None:
        self._silent_s = self._asleep_s = self._burnt_s = 0.0
        self._cpu_s: float | None = None
        self._facts: Facts | None = None

    def hear(self, beats: int, passed_s: float) -> bool:
        """Take the number of beats so far and the seconds that count since the last look.

        Returns:
            Whether it is silent: then `learn` is due.
        """
        if beats != self._beats:
            self._beats = beats
            self._hear()
        else:
            self._silent_s += passed_s
        return self._silent_s >= self.options.interval_s * _LATE

    def learn(self, facts: Facts, passed_s: float) -> None:
        """Take what the system says of the silent process."""
        if self._cpu_s is not None and passed_s > 0:
            self._burnt_s += facts.cpu_s - self._cpu_s
            # Some thread wakes up now and then in any process: one look at which something runs is no proof of health.
            self._asleep_s = max(self._asleep_s + (-passed_s if facts.wants_cpu else passed_s), 0.0)
        self._cpu_s, self._facts = facts.cpu_s, facts

    @property
    def verdict(self) -> Verdict:
        """What is known now."""
        if self._facts is not None and self._facts.gone:
            return "gone"
        if self._facts is None or self._silent_s < self.options.interval_s * _LATE:
            return "alive"
        if self._silent_s < self.options.silence_s:
            return "suspect"
        return "hung" if self.why else "starved"

    @property
    def why(self) -> str:
        """Why it is hung, for people to read; empty if it is not."""
        if self._facts is None or self._silent_s < self.options.silence_s:
            return ""
        if self._facts.stopped:
            return "hung: stopped by a signal"
        if self._burnt_s >= self.options.burn_s:
            return f"hung: {self._burnt_s:.1f} s of CPU without a beat"
        if self.options.blocked_s is not None and self._asleep_s >= self.options.blocked_s:
            return f"hung: blocked for {self._silent_s:.1f} s"
        return ""


class Ward(Generic[Key]):
    """A set of watched children; at most one of them is condemned at a time, until its end is confirmed.

    Each look has two steps: `hear` with the counters of all, which names the silent ones, then `judge` with the facts
    of those. A look that comes late accuses nobody: the time since the one before does not count.

    Args:
        tick_s: Seconds between two looks, as planned.
        confirm_s: Seconds after which a condemned child whose end is not confirmed no longer holds up the others.
    """

    def __init__(self, tick_s: float, confirm_s: float = 10.0) -> None:
        self._tick_s, self._confirm_s = tick_s, confirm_s
        self._detectors: dict[Key, Detector] = {}
        self._looked_s: float | None = None
        self._passed_s = 0.0
        self._condemned: Key | None = None
        self._condemned_s = 0.0
        self._spent: set[Key] = set()

    def __len__(self) -> int:
        return len(self._detectors)

    def admit(self, key: Key, options: Heartbeat, beats: int = 0) -> None:
        """Watch it from now on; `beats` is its counter now."""
        self._detectors[key] = Detector(options, beats)

    def dismiss(self, key: Key) -> None:
        """It is gone or nobody asks any more; if it was condemned, that is the confirmation."""
        self._detectors.pop(key, None)
        self._spent.discard(key)
        if self._condemned == key:
            self._condemned = None

    def hear(self, now_s: float, beats: Mapping[Key, int]) -> list[Key]:
        """Take everyone's counter; a child without one is as it was.

        Returns:
            The silent ones, whose facts `judge` needs.
        """
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._passed_s = 0.0 if passed_s > _LATE * self._tick_s else passed_s
        self._looked_s = now_s
        passed_s = self._passed_s
        return [key for key, count in beats.items() if self._detectors[key].hear(count, passed_s)]

    def judge(self, now_s: float, facts: Mapping[Key, Facts]) -> tuple[Key, str] | None:
        """Take the facts of the silent ones.

        Returns:
            The one to kill now, and why, if there is one: the longest watched first, and only when the end of the one
            before is confirmed. It is named once.
        """
        for key, fact in facts.items():
            self._detectors[key].learn(fact, self._passed_s)
        if self._condemned is not None and now_s - self._condemned_s < self._confirm_s:
            return None
        for key in facts:
            if key not in self._spent and self._detectors[key].verdict == "hung":
                self._condemned, self._condemned_s = key, now_s
                self._spent.add(key)
                return key, self._detectors[key].why
        return None

    def verdict(self, key: Key) -> Verdict:
        """What is known of one of them."""
        return self._detectors[key].verdict


@dataclass(frozen=True, slots=True)
class NodeBeat:
    """When a silent node is lost.

    Args:
        node_timeout_s: Seconds after which a node that is not heard is lost, whatever else is said of it.
        interval_s: Seconds between two beats of a node.

    Raises:
        BadSpec: A value is not accepted, or the timeout is not above twice the interval.
    """

    _: KW_ONLY
    node_timeout_s: float = 1.5
    interval_s: float = 0.25

    def __post_init__(self) -> None:
        _seconds("interval_s", self.interval_s)
        _seconds("node_timeout_s", self.node_timeout_s, above=2 * self.interval_s)


class NodeDetector:
    """One node: `unknown` until it is heard for the first time, then `alive`, `lost`, and `zombie` if it comes back.

    A zombie's children were given up when it was lost: their epoch is stale. It counts as alive again when someone has
    ended them and calls `readmit`.
    """

    __slots__ = ("_looked_s", "_options", "_silent_s", "verdict")

    def __init__(self, options: NodeBeat) -> None:
        self._options = options
        self._silent_s = 0.0
        self._looked_s: float | None = None
        self.verdict: NodeVerdict = "unknown"

    def beat(self) -> bool:
        """It was heard. Returns whether it has just come back from the dead."""
        self._silent_s = 0.0
        back = self.verdict == "lost"
        self.verdict = "zombie" if back or self.verdict == "zombie" else "alive"
        return back

    def look(self, now_s: float) -> bool:
        """Time has passed. Returns whether the node has just been lost.

        It is lost one interval early: the next look would come after `node_timeout_s`. A late look does not count.
        """
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        if passed_s <= _LATE * self._options.interval_s:
            self._silent_s += passed_s
        if self._silent_s <= self._options.node_timeout_s - self._options.interval_s:
            return False
        return self.verdict in ("alive", "zombie") and self.lose()

    def lose(self) -> bool:
        """Someone knows that it is gone. Returns whether that is news."""
        was, self.verdict = self.verdict, "lost"
        return was in ("alive", "unknown", "zombie")

    def forget(self) -> None:
        """Whoever beat for it ended while the node itself lives: it is `unknown` until it is heard again."""
        if self.verdict == "alive":
            self.verdict = "unknown"

    def readmit(self) -> None:
        """Its stale children are no more: it is a node like any other again."""
        if self.verdict == "zombie":
            self.verdict = "alive"
