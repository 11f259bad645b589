"""`dspex config`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dspex_actors.cli import output
from dspex_actors.cli.options import (
    ApiReplicas,
    AsJson,
    DedicatedCgroup,
    DedicatedCpus,
    DedicatedLimit,
    DedicatedMemory,
    Home,
    Host,
    HostMaxAge,
    HostMaxMemory,
    HostMaxTurns,
    Hosts,
    Lm,
    LmApiBase,
    Port,
    ProgramCpu,
    ProgramLoop,
    ProgramPackages,
    RetentionDays,
    RetentionEvery,
    RetentionFailed,
    RetentionTurns,
    SessionIdle,
    SessionsInMemory,
    SnapshotBytes,
    SnapshotEntries,
    Standby,
    StoreUrl,
    StreamPorts,
    TestMode,
)


def config(
    home: Home = None,
    host: Host = None,
    port: Port = None,
    store_url: StoreUrl = None,
    hosts: Hosts = None,
    standby: Standby = None,
    api_replicas: ApiReplicas = None,
    stream_ports: StreamPorts = None,
    session_idle_s: SessionIdle = None,
    sessions_in_memory: SessionsInMemory = None,
    program_loop_s: ProgramLoop = None,
    program_cpu_s: ProgramCpu = None,
    host_max_memory_mb: HostMaxMemory = None,
    host_max_turns: HostMaxTurns = None,
    host_max_age_s: HostMaxAge = None,
    dedicated_limit: DedicatedLimit = None,
    dedicated_memory_mb: DedicatedMemory = None,
    dedicated_cpus: DedicatedCpus = None,
    dedicated_cgroup: DedicatedCgroup = None,
    lm: Lm = None,
    lm_api_base: LmApiBase = None,
    program_packages: ProgramPackages = None,
    snapshot_entries: SnapshotEntries = None,
    snapshot_bytes: SnapshotBytes = None,
    retention_days: RetentionDays = None,
    retention_turns: RetentionTurns = None,
    retention_failed_days: RetentionFailed = None,
    retention_every_s: RetentionEvery = None,
    test_mode: TestMode = None,
    as_json: AsJson = False,
) -> None:
    """Show each setting, its value and where it came from."""
    flags: dict[str, Any] = {name: value for name, value in locals().items() if name != "as_json"}
    from dspex_actors.cli.settings import explained

    shown = [asdict(setting) for setting in explained(flags)]
    if as_json:
        output.document({each["name"]: {"value": each["value"], "source": each["source"]} for each in shown})
    else:
        output.table(shown, ("name", "value", "source"))
