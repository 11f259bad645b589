"""What processes tell each other about links, monitors and ends (signals), what a process reads of it in its inbox
(messages), and what goes into `links` (events) and comes out (effects)."""

from __future__ import annotations

from dataclasses import dataclass

from supervisors.address import Address
from supervisors.exits import SHUTDOWN, Exit


@dataclass(frozen=True, slots=True)
class MonitorRef:
    """One monitor: `watcher` will be told once that `process` is gone. Two on the same process differ."""

    watcher: Address
    process: Address
    number: int


@dataclass(frozen=True, slots=True)
class Link:
    """The sender is linked to the receiver."""


@dataclass(frozen=True, slots=True)
class Unlink:
    """The sender has left the link; the receiver acknowledges the number."""

    number: int


@dataclass(frozen=True, slots=True)
class UnlinkAck:
    """The receiver's `Unlink` of that number was seen."""

    number: int


@dataclass(frozen=True, slots=True)
class LinkExit:
    """The sender is gone, and the link with it. A killed sender says `killed`."""

    reason: Exit


@dataclass(frozen=True, slots=True)
class ExitSignal:
    """The sender wants the receiver to end. `kill` cannot be trapped; its receiver ends with `killed`."""

    reason: Exit = SHUTDOWN
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Monitor:
    """The sender wants to know when the receiver is gone."""

    ref: MonitorRef


@dataclass(frozen=True, slots=True)
class Demonitor:
    """The sender no longer wants to know."""

    ref: MonitorRef


@dataclass(frozen=True, slots=True)
class DownSignal:
    """The sender is gone, as the monitor wanted to know."""

    ref: MonitorRef
    reason: Exit


Signal = Link | Unlink | UnlinkAck | LinkExit | ExitSignal | Monitor | Demonitor | DownSignal


@dataclass(frozen=True, slots=True)
class ExitMessage:
    """A trapped exit signal: for `handle_exit`. `linked`: it came through a link."""

    sender: Address
    reason: Exit
    linked: bool = True


@dataclass(frozen=True, slots=True)
class Down:
    """A monitored process is gone: for `handle_down`.

    Args:
        ref: The monitor, which is used up.
        process: Who is gone.
        reason: Why; `noproc` if it was gone before, `noconnection` if its node cannot be reached, and it may live.
    """

    ref: MonitorRef
    process: Address
    reason: Exit


Message = ExitMessage | Down


@dataclass(frozen=True, slots=True)
class LinkTo:
    """The process links itself; nothing if it is linked already, or to itself."""

    peer: Address


@dataclass(frozen=True, slots=True)
class UnlinkFrom:
    """The process leaves a link: no exit from it arrives from now on, not even one that waits in the inbox."""

    peer: Address


@dataclass(frozen=True, slots=True)
class StartMonitor:
    """The process watches another one. One that watches itself is never told."""

    ref: MonitorRef


@dataclass(frozen=True, slots=True)
class StopMonitor:
    """The process gives up a monitor; with `flush` also a down message of it that waits in the inbox."""

    ref: MonitorRef
    flush: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """The process sends another one an exit signal (OTP's `exit/2`)."""

    peer: Address
    signal: ExitSignal


@dataclass(frozen=True, slots=True)
class Arrived:
    """A signal came."""

    sender: Address
    signal: Signal


@dataclass(frozen=True, slots=True)
class Gone:
    """The transport saw that a peer is gone without a word from it: dead, never there, or out of reach."""

    peer: Address
    reason: Exit


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is over, whatever ended it. Nothing of it runs any more."""

    reason: Exit


Event = LinkTo | UnlinkFrom | StartMonitor | StopMonitor | Tell | Arrived | Gone | Ended


@dataclass(frozen=True, slots=True)
class Send:
    """Send a signal."""

    to: Address
    signal: Signal


@dataclass(frozen=True, slots=True)
class Watch:
    """Look out for a peer's end; `Gone` tells of it, at once if it is gone already."""

    peer: Address


@dataclass(frozen=True, slots=True)
class Unwatch:
    """Its end is of no interest any more."""

    peer: Address


@dataclass(frozen=True, slots=True)
class Release:
    """Release the names of the process; before anything after it is sent."""


@dataclass(frozen=True, slots=True)
class Die:
    """A signal ends the process, with this reason; when it has ended, `Ended` is to follow."""

    reason: Exit


Effect = Send | Watch | Unwatch | Release | Die
