"""The supervision tree of one instance: its specification, and how it is shown."""

from __future__ import annotations

import asyncio
from typing import Any

from dspex_actors.config import Settings
from dspex_actors.sessions.ray_host import HostActor
from dspex_actors.sessions.ray_nodes import ray_options, refuse_elsewhere
from dspex_actors.sessions.ray_placement import PlacementActor
from dspex_actors.sessions.ray_seek import NAMESPACE, placement_handle
from dspex_actors.sessions.restarts import RESTART_PAUSE, hosts_supervisor
from supervisors import AlreadyStarted, ChildSpec, Heartbeat, Supervisor

ROOT = "root"
PLACEMENTS = ("placement", "placement-2")
HOST_CPUS = 0.5
"""What a host asks of Ray: enough for the cluster autoscaler to see it."""
HEARTBEAT = Heartbeat()
"""One that is stopped, or whose C code keeps the interpreter for a second, is killed, and its sessions fail over."""

Json = dict[str, Any]


def children(settings: Settings) -> tuple[ChildSpec, ...]:
    """Placement, another one that stands by for it on a cluster, and the supervisor of the hosts.

    The placements are alike, and settle among themselves which one leads. Hosts and standbys are alike too; placement
    decides who owns units. A store that is a file serves one node, where starting placement again takes no longer than
    another one would need to notice.
    """
    slots = tuple(host_slot(settings, number) for number in range(1, settings.hosts + settings.standby + 1))
    placements = tuple(
        ChildSpec(
            id_,
            start=PlacementActor,
            args=(settings.plain(),),
            name="placement",
            kind="placement",
            pass_name=True,
            options=ray_options(settings, 0),
            anti_affinity=True,
            heartbeat=HEARTBEAT,
        )
        for id_ in (PLACEMENTS[:1] if settings.has_one_node else PLACEMENTS)
    )
    hosts = ChildSpec("hosts", start=hosts_supervisor(slots), options=ray_options(settings, 0), heartbeat=HEARTBEAT)
    return *placements, hosts


def host_slot(settings: Settings, number: int) -> ChildSpec:
    """A host of the hosts' supervisor."""
    return ChildSpec(
        f"host-{number}",
        start=HostActor,
        args=(settings.plain(),),
        name="host",
        kind="host",
        pass_name=True,
        options=ray_options(settings, HOST_CPUS),
        anti_affinity=True,
        backoff=RESTART_PAUSE,
        heartbeat=HEARTBEAT,
    )


async def ensure_tree(settings: Settings) -> None:
    """Start the tree in the connected Ray, unless it runs. Raises InvalidRequest on a node that may not be its own."""
    refuse_elsewhere(settings)
    try:
        await Supervisor.start(
            name=ROOT, namespace=NAMESPACE, detached=True, max_restarts=10, max_seconds=10,
            children=children(settings), options=ray_options(settings, 0),
        )  # fmt: skip
    except AlreadyStarted:
        await Supervisor.find(ROOT, NAMESPACE)


async def show_tree() -> Json:
    """The tree with what placement knows of each host."""
    root = await Supervisor.find(ROOT, NAMESPACE)
    tree: Json = dict(await root.tree(timeout_s=2.0))
    try:
        loads: dict[str, Json] = await (await placement_handle()).loads.remote()
    except Exception:  # placement restarts: the tree itself is still worth showing
        loads = {}
    return with_loads(tree, loads)


async def drain_hosts(timeout_s: float) -> None:
    """Let hosts refuse new turns, and wait for those that run, at most so long. Raises LookupError and TimeoutError."""
    placement = await placement_handle()
    async with asyncio.timeout(timeout_s + 1):
        await placement.drain.remote(timeout_s)


async def stop_tree() -> None:
    """Stop everything, children first."""
    root = await Supervisor.find(ROOT, NAMESPACE)
    await root.stop()


def with_loads(node: Json, loads: dict[str, Json]) -> Json:
    """The tree, each host with its load. One that placement does not know yet is `starting`, whatever its process does;
    one that has no shard and no session is a `standby`, and a placement that does not lead a `placement-standby`."""
    shown = {**node, "children": [with_loads(child, loads) for child in node["children"]]}
    if node["kind"] == "placement" and loads and node["name"] not in loads:
        return {**shown, "kind": "placement-standby"}
    if node["kind"] != "host":
        return shown
    load = loads.get(str(node["name"]))
    if load is None:
        return {**shown, "status": "starting" if node["status"] == "ready" else node["status"]}
    shown["kind"] = "host" if load.get("shards") or load.get("sessions") else "standby"
    return {**shown, **{key: value for key, value in load.items() if key != "pid"}}
