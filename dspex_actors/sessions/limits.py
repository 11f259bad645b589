"""What a host allows: how much memory sessions take, how long programs keep others waiting, how worn it may be."""

from __future__ import annotations

from dataclasses import dataclass, field

from dspex_actors.config import Settings
from dspex_actors.sessions.memory_room import Room
from dspex_actors.sessions.runner import Limits
from dspex_actors.sessions.snapshots import Policy
from dspex_actors.sessions.wear import WearLimits


@dataclass(frozen=True, slots=True)
class HostLimits:
    """The limits of one host."""

    room: Room = field(default_factory=Room)
    programs: Limits = field(default_factory=Limits)
    wear: WearLimits = field(default_factory=WearLimits)
    snapshots: Policy = field(default_factory=Policy)


def limits_of(settings: Settings) -> HostLimits:
    """The limits that an operator has set."""
    mb = settings.host_max_memory_mb
    return HostLimits(
        Room(settings.session_idle_s, settings.sessions_in_memory),
        Limits(settings.program_loop_s, settings.program_cpu_s),
        WearLimits(None if mb is None else mb * 1_000_000, settings.host_max_turns, settings.host_max_age_s),
        Policy(settings.snapshot_entries, settings.snapshot_bytes),
    )
