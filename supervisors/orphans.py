"""Sweeping up processes whose supervisor is gone: those that nobody owns any more, and no others.

The processes that are to be swept carry a `Mark`: the cluster that it belongs to, who owns it, and the epoch of that
owner's incarnation. A process that is started with an environment carries it there (`Mark.environment`); one that
beats, as Ray's workers do, carries it in its pulse (`pulse.begin(mark=...)`), where whoever adopts it writes another. A
supervisor of Ray actors marks its children, and sweeps when it begins: what its former lives left there and it did not
adopt (`sweep_claimed`). What a marked process starts inherits the environment, and with it the mark; while the leader
of its group or one whom it descends from is owned it is, too: what an adopted process had started is adopted with it.

    world = World("my-cluster", {"root/hosts": Owner(epoch=8, living=frozenset({8}))}, leased=frozenset({host_pid}))
    killed = sweep(world)

A process is killed if its owner is gone *and* its epoch is stale. It is never killed if it belongs to another cluster,
holds a lease, was adopted, or is the sweeper or one of its ancestors. Names and patterns play no part, and a number
that the system has given to another process meanwhile is not signalled.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from supervisors.errors import BadSpec, NotBeating
from supervisors.pulse import Pulse

VARIABLE = "SUPERVISORS_MARK"
"""The environment's variable that carries a mark."""
STARTER = "SUPERVISORS_STARTER"
"""That which names the marked process whose environment it was first: `starter_of`."""
_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose a process is.

    Args:
        cluster: The cluster's id.
        owner: The supervisor's name, the same in all its incarnations.
        epoch: Which incarnation of it; later ones are higher.

    Raises:
        BadSpec: A value cannot be part of a mark.
    """

    cluster: str
    owner: str
    epoch: int

    def __post_init__(self) -> None:
        for where, value in (("cluster", self.cluster), ("owner", self.owner)):
            if not isinstance(value, str) or not value or any(character < " " for character in value):
                raise BadSpec(f"{where}={value!r} is not accepted; give a text without control characters.")
        if isinstance(self.epoch, bool) or not isinstance(self.epoch, int) or self.epoch < 0:
            raise BadSpec(f"epoch={self.epoch!r} is not accepted; give a whole number from 0.")

    def encode(self) -> bytes:
        """As bytes, for a pulse."""
        return _SEPARATOR.join((self.cluster, self.owner, str(self.epoch))).encode()

    def environment(self) -> dict[str, str]:
        """As an environment, for a process that is about to be started."""
        return {VARIABLE: self.encode().decode()}

    @classmethod
    def decode(cls, data: bytes) -> Mark | None:
        """What `encode` made; None if it did not make this."""
        try:
            cluster, owner, epoch = data.decode().split(_SEPARATOR)
            return cls(cluster, owner, int(epoch))
        except ValueError:  # BadSpec and a bad encoding are ones, too
            return None


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for ever: a number alone is given to others.

    Args:
        pid: Its number.
        started: When it started, in the system's ticks since boot.
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Marked:
    """A process that carries a mark.

    Args:
        identity: The process.
        mark: Its mark.
        leader: The leader of its process group; its own number if it leads one.
        parent: Who started it, or whoever was given it when that one ended.
        starter: The marked process that it, or whoever started it, was started by, if that one lives.
    """

    identity: Identity
    mark: Mark
    leader: int = 0
    parent: int = 0
    starter: int = 0


@dataclass(frozen=True, slots=True)
class Owner:
    """What is known of an owner.

    Args:
        epoch: Its newest incarnation's.
        living: The epochs of those incarnations that live.
    """

    epoch: int
    living: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class World:
    """What the sweeper knows.

    Args:
        cluster: The only cluster whose processes it may touch.
        owners: Every owner by name; processes of one that is not there are left alone, since nobody can say that
            their epoch is stale.
        leased: Processes that hold a live lease.
        adopted: Processes that another owner has taken over.
    """

    cluster: str
    owners: Mapping[str, Owner]
    leased: frozenset[Identity] = field(default_factory=frozenset)
    adopted: frozenset[Identity] = field(default_factory=frozenset)


def is_orphan(process: Marked, world: World) -> bool:
    """Whether it is to be killed."""
    mark, owner = process.mark, world.owners.get(process.mark.owner)
    if mark.cluster != world.cluster or owner is None:
        return False
    if process.identity in world.leased or process.identity in world.adopted:
        return False
    gone, stale = mark.epoch not in owner.living, mark.epoch < owner.epoch
    return gone and stale


def orphans(processes: Iterable[Marked], world: World, spared: frozenset[int] = frozenset()) -> list[Marked]:
    """Those to kill, without the numbers in `spared`: the sweeper and its ancestors."""
    by_pid = {each.identity.pid: each for each in processes}
    owned = {pid for pid, each in by_pid.items() if not is_orphan(each, world)}
    return [each for pid, each in by_pid.items() if pid not in spared and not _elders(each, by_pid) & owned]


def _elders(process: Marked, by_pid: Mapping[int, Marked]) -> set[int]:
    """The process, those whom it descends from, and the leaders of all their groups."""
    elders: set[int] = set()
    seen: set[int] = set()
    todo = [process]
    while todo:
        current = todo.pop()
        if current.identity.pid not in seen:
            seen.add(current.identity.pid)
            elders |= {current.identity.pid, current.leader}
            todo += [by_pid[pid] for pid in (current.parent, current.starter) if pid in by_pid]
    return elders


def starter_of(pid: int) -> str:
    """A process as `STARTER` has it. Raises ProcessLookupError."""
    identity = identity_of(pid)
    return f"{identity.pid} {identity.started}"


def identity_of(pid: int) -> Identity:
    """A process that exists now.

    Raises:
        ProcessLookupError: There is none.
    """
    return Identity(pid, int(_stat(pid)[19]))


def marked_processes() -> list[Marked]:
    """This user's processes that carry a mark, in the environment or in a pulse; the pulse's counts."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # One that ends while it is looked at is none.
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.getuid() and (marked := _marked(int(entry.name))):
                    found.append(marked)
    return found


def sweep(world: World, *, timeout_s: float = 10.0) -> list[Marked]:
    """Kill the orphans of this machine, each with its process group, until none is left.

    Returns:
        Who was killed, without the rest of their groups.

    Raises:
        TimeoutError: Some were still there after `timeout_s`; the text names their numbers.
    """
    deadline_s = time.monotonic() + timeout_s
    killed: dict[Identity, Marked] = {}
    family = _own_family()
    while found := orphans(processes := marked_processes(), world, family):
        doomed = {each.identity for each in found}
        others = {each.identity for each in processes} - doomed | world.leased | world.adopted
        for process in found:
            killed[process.identity] = process
            for member in _group(process.identity):
                if member not in others and member.pid not in family:
                    _kill(member, deadline_s)
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"processes {sorted(each.identity.pid for each in found)} cannot be killed")
    return list(killed.values())


@dataclass(frozen=True, slots=True)
class Claim:
    """What an owner that has begun says of the processes of one machine.

    Args:
        mark: What it marks its own with; of this cluster's and this owner's others, earlier epochs are over.
        adopted: The numbers of those processes of earlier epochs that it has taken over.
    """

    mark: Mark
    adopted: frozenset[int] = frozenset()


def sweep_claimed(claim: Claim) -> list[Marked]:
    """Kill what earlier incarnations of an owner have left on this machine. See `sweep`."""
    adopted = set()
    for pid in claim.adopted:
        with contextlib.suppress(ProcessLookupError):
            adopted.add(identity_of(pid))
    mark = claim.mark
    owners = {mark.owner: Owner(mark.epoch, frozenset({mark.epoch}))}
    return sweep(World(mark.cluster, owners, adopted=frozenset(adopted)))


def _marked(pid: int) -> Marked | None:
    identity = identity_of(pid)
    environment = _environment(pid)
    mark = _pulse_mark(pid) or Mark.decode(environment.get(VARIABLE, b""))
    fields = _stat(pid)
    if mark is None or int(fields[19]) != identity.started:
        return None
    return Marked(identity, mark, int(fields[2]), int(fields[1]), _living_starter(environment.get(STARTER, b"")))


def _living_starter(named: bytes) -> int:
    """Its number, if it is still the one that was named."""
    pid = int(named.split(b" ")[0] or 0) if named.replace(b" ", b"").isdigit() else 0
    with contextlib.suppress(OSError):
        return pid if pid and starter_of(pid).encode() == named else 0
    return 0


def _pulse_mark(pid: int) -> Mark | None:
    try:
        pulse = Pulse(pid)
    except NotBeating:
        return None
    try:
        return Mark.decode(pulse.mark)
    finally:
        pulse.close()


def _environment(pid: int) -> dict[str, bytes]:
    """Those variables of a process that this module knows, as it was started with them."""
    found = {}
    for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        name, _, value = line.partition(b"=")
        if name.startswith(b"SUPERVISORS_"):
            found[name.decode()] = value
    return found


def _own_family() -> frozenset[int]:
    family, pid = set(), os.getpid()
    while pid > 0:
        family.add(pid)
        pid = int(_stat(pid)[1])
    return frozenset(family)


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) from the state on: 0 state, 1 parent, 2 group, 19 start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(f"there is no process {pid}") from None


def _group(leader: Identity) -> list[Identity]:
    """The process, then those of the group that it leads: looked for before its end."""
    members = [leader]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != leader.pid:
            with contextlib.suppress(OSError):
                fields = _stat(int(entry.name))
                if int(fields[2]) == leader.pid and entry.stat().st_uid == os.getuid():
                    members.append(Identity(int(entry.name), int(fields[19])))
    return members


def _kill(identity: Identity, deadline_s: float) -> None:
    """SIGKILL this very process and wait for its end."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return
    try:
        # The descriptor holds the number; only now can the comparison not be overtaken.
        if identity_of(identity.pid) == identity:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _wait(descriptor, deadline_s)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _wait(descriptor: int, deadline_s: float) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(max(deadline_s - time.monotonic(), 0.0) * 1000)
