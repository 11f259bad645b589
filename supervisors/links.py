"""The links and monitors of one process: a pure reducer with OTP's rules, `(state, event) -> effects`.

Links are symmetric, at most one between two processes; an exit goes through them. Monitors are one-way and stack; each
ends in exactly one down message, unless it is given up. A link is left with a number that the other side acknowledges:
until then a link signal that crossed it on the way is void, so that both sides agree in the end (OTP's link protocol).
Signals between one sender and one receiver must arrive in their order; between others, in any.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from supervisors import signals as sig
from supervisors.address import Address
from supervisors.exits import KILLED, Exit

NOPROC = Exit("noproc")
Refs = dict[sig.MonitorRef, None]


@dataclass(slots=True)
class LinkState:
    """What one process knows of others.

    Args:
        me: Its own address.
        trap_exit: Exit signals arrive in the inbox and do not end it.
        links: Who is linked with it.
        unlinking: Links it has left, with the number that is not yet acknowledged.
        monitors: Its own monitors, by whom they watch.
        watchers: Others' monitors on it, by whose they are.
        watched: Whose end the transport looks out for.
        inbox: What the process has not read yet.
        dying: A signal has ended it, and it has not finished.
        ended: Why it is over, if it is.
    """

    me: Address
    trap_exit: bool = False
    links: dict[Address, None] = field(default_factory=dict)
    unlinking: dict[Address, int] = field(default_factory=dict)
    monitors: dict[Address, Refs] = field(default_factory=dict)
    watchers: dict[Address, Refs] = field(default_factory=dict)
    watched: set[Address] = field(default_factory=set)
    inbox: deque[sig.Message] = field(default_factory=deque)
    dying: bool = False
    ended: Exit | None = None
    unlinks: int = 0


def step(state: LinkState, event: sig.Event) -> list[sig.Effect]:
    """What follows from an event. Changes `state`."""
    if state.ended is not None:
        return _after_the_end(event)
    match event:
        case sig.LinkTo(peer):
            effects = _link(state, peer)
        case sig.UnlinkFrom(peer):
            effects = _unlink(state, peer)
        case sig.StartMonitor(ref):
            effects = _monitor(state, ref)
        case sig.StopMonitor(ref, flush):
            effects = _demonitor(state, ref, flush)
        case sig.Tell(peer, signal):
            effects = [sig.Send(peer, signal)]
        case sig.Arrived(sender, signal):
            effects = _arrived(state, sender, signal)
        case sig.Gone(peer, reason):
            effects = _gone(state, peer, reason)
        case sig.Ended(reason):
            effects = _end(state, reason)
    return effects


def is_monitoring(state: LinkState, ref: sig.MonitorRef) -> bool:
    """Whether that monitor has not been used up or given up."""
    return ref in state.monitors.get(ref.process, {})


def _after_the_end(event: sig.Event) -> list[sig.Effect]:
    match event:
        case sig.Arrived(sender, sig.Link()):
            return [sig.Send(sender, sig.LinkExit(NOPROC))]
        case sig.Arrived(sender, sig.Monitor(ref)):
            return [sig.Send(sender, sig.DownSignal(ref, NOPROC))]
        case _:
            return []


def _link(state: LinkState, peer: Address) -> list[sig.Effect]:
    if peer == state.me or peer in state.links:
        return []
    state.unlinking.pop(peer, None)
    state.links[peer] = None
    return [*_watching(state, peer), sig.Send(peer, sig.Link())]


def _unlink(state: LinkState, peer: Address) -> list[sig.Effect]:
    _drop(state, lambda message: isinstance(message, sig.ExitMessage) and message.linked and message.sender == peer)
    if peer not in state.links:
        return []
    del state.links[peer]
    state.unlinks += 1
    state.unlinking[peer] = state.unlinks
    return [sig.Send(peer, sig.Unlink(state.unlinks))]


def _monitor(state: LinkState, ref: sig.MonitorRef) -> list[sig.Effect]:
    if ref.process == state.me:
        return []
    state.monitors.setdefault(ref.process, {})[ref] = None
    return [*_watching(state, ref.process), sig.Send(ref.process, sig.Monitor(ref))]


def _demonitor(state: LinkState, ref: sig.MonitorRef, flush: bool) -> list[sig.Effect]:
    if flush:
        _drop(state, lambda message: isinstance(message, sig.Down) and message.ref == ref)
    if not _take(state.monitors, ref.process, ref):
        return []
    return [sig.Send(ref.process, sig.Demonitor(ref)), *_watching(state, ref.process)]


def _arrived(state: LinkState, sender: Address, signal: sig.Signal) -> list[sig.Effect]:
    match signal:
        case sig.ExitSignal(reason, kill):
            return _exit_arrives(state, sig.ExitMessage(sender, reason, linked=False), kill)
        case sig.LinkExit(reason):
            return _link_breaks(state, sender, reason)
        case sig.DownSignal(ref, reason):
            _down(state, ref, reason)
        case sig.Link() if sender not in state.unlinking:
            state.links[sender] = None
        case sig.Unlink(number):
            state.links.pop(sender, None)
            return [sig.Send(sender, sig.UnlinkAck(number)), *_watching(state, sender)]
        case sig.UnlinkAck(number) if state.unlinking.get(sender) == number:
            del state.unlinking[sender]
        case sig.Monitor(ref):
            state.watchers.setdefault(sender, {})[ref] = None
        case sig.Demonitor(ref):
            _take(state.watchers, sender, ref)
    return _watching(state, sender)


def _link_breaks(state: LinkState, peer: Address, reason: Exit) -> list[sig.Effect]:
    state.unlinking.pop(peer, None)
    if peer not in state.links:
        return _watching(state, peer)
    del state.links[peer]
    return _watching(state, peer) + _exit_arrives(state, sig.ExitMessage(peer, reason), kill=False)


def _exit_arrives(state: LinkState, message: sig.ExitMessage, kill: bool) -> list[sig.Effect]:
    """OTP's table: the receiver ends, reads it, or does not notice."""
    if kill:
        return _die(state, KILLED)
    if state.trap_exit:
        _read(state, message)
        return []
    if message.reason.kind == "normal" and message.sender != state.me:
        return []
    return _die(state, message.reason)


def _die(state: LinkState, reason: Exit) -> list[sig.Effect]:
    if state.dying:
        return []
    state.dying = True
    state.inbox.clear()
    return [sig.Die(reason)]


def _down(state: LinkState, ref: sig.MonitorRef, reason: Exit) -> None:
    if _take(state.monitors, ref.process, ref):
        _read(state, sig.Down(ref, ref.process, reason))


def _gone(state: LinkState, peer: Address, reason: Exit) -> list[sig.Effect]:
    state.watchers.pop(peer, None)
    for ref in list(state.monitors.get(peer, ())):
        _down(state, ref, reason)
    return _link_breaks(state, peer, reason)


def _end(state: LinkState, reason: Exit) -> list[sig.Effect]:
    state.ended = reason
    state.inbox.clear()
    downs = [sig.Send(peer, sig.DownSignal(ref, reason)) for peer, refs in state.watchers.items() for ref in refs]
    exits = [sig.Send(peer, sig.LinkExit(reason)) for peer in state.links]
    given_up = [sig.Send(peer, sig.Demonitor(ref)) for peer, refs in state.monitors.items() for ref in refs]
    left = [sig.Unwatch(peer) for peer in sorted(state.watched)]
    for table in (state.watchers, state.links, state.monitors, state.unlinking, state.watched):
        table.clear()
    return [sig.Release(), *downs, *exits, *given_up, *left]


def _read(state: LinkState, message: sig.Message) -> None:
    if not state.dying:
        state.inbox.append(message)


def _watching(state: LinkState, peer: Address) -> list[sig.Effect]:
    """Look out for those with whom there is something, and for no others."""
    near = any(peer in table for table in (state.links, state.unlinking, state.monitors, state.watchers))
    if near and peer not in state.watched:
        state.watched.add(peer)
        return [sig.Watch(peer)]
    if not near and peer in state.watched:
        state.watched.remove(peer)
        return [sig.Unwatch(peer)]
    return []


def _take(table: dict[Address, Refs], peer: Address, ref: sig.MonitorRef) -> bool:
    refs = table.get(peer, {})
    if ref not in refs:
        return False
    del refs[ref]
    if not refs:
        del table[peer]
    return True


def _drop(state: LinkState, unwanted: Callable[[sig.Message], bool]) -> None:
    kept = [message for message in state.inbox if not unwanted(message)]
    state.inbox.clear()
    state.inbox.extend(kept)
