"""How many hosts the hosts' supervisor keeps: one more for each dedicated session."""

from __future__ import annotations

import asyncio
import logging

from dspex_actors.config import Settings
from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    Child,
    ChildNotFound,
    ChildSpec,
    Restarting,
    Running,
    Supervisor,
    SupervisorDown,
)

log = logging.getLogger(__name__)

NAMESPACE = "dspex"
ASK_S = 10.0


class Slots:
    """The children of the hosts' supervisor. Raises what that raises, SupervisorError; ask again later."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._line = asyncio.Lock()

    async def fit(self, extra: int) -> int:
        """Start as many hosts as are missing; gives how many there are too many, negative for too few."""
        wanted = self._settings.hosts + self._settings.standby + extra
        async with self._line:
            hosts = await _hosts()
            taken = await _taken(hosts)
            free = (number for number in range(1, wanted + len(taken) + 1) if f"host-{number}" not in taken)
            for _ in range(wanted - len(taken)):
                try:
                    await hosts.start_child(_slot(self._settings, next(free)), timeout_s=ASK_S)
                except (AlreadyPresent, AlreadyStarted):
                    continue
            return len(taken) - wanted

    async def remove(self, name: str) -> bool:
        """Let the host of that name end, and no other one come in its place; whether it was there."""
        async with self._line:
            hosts = await _hosts()
            for row in await hosts.which_children(timeout_s=ASK_S):
                if row.id is not None and isinstance(row.child, Child) and row.child.name == name:
                    await hosts.terminate_child(row.id, timeout_s=ASK_S)
                    await hosts.delete_child(row.id, timeout_s=ASK_S)
                    return True
            return False


def _slot(settings: Settings, number: int) -> ChildSpec:
    from dspex_actors.sessions.tree import host_slot

    return host_slot(settings, number)


async def _taken(hosts: Supervisor) -> set[str | None]:
    """The slots that have a host, or get one again; those that a removal has left half done are removed."""
    rows = await hosts.which_children(timeout_s=ASK_S)
    taken = {row.id for row in rows}
    for id_ in [row.id for row in rows if row.id is not None and row.child is None]:
        try:
            await hosts.delete_child(id_, timeout_s=ASK_S)
        except (Running, Restarting):  # it was about to start
            continue
        except ChildNotFound:
            log.debug("slot %s is gone already", id_)
        taken.discard(id_)
    return taken


async def _hosts() -> Supervisor:
    root = await Supervisor.find("root", NAMESPACE)
    row = await root.which_child("hosts", timeout_s=ASK_S)
    if not isinstance(row.child, Child):
        raise SupervisorDown("hosts", "it is being started")
    return await Supervisor.of(row.child)
