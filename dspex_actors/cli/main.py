"""`dspex`: the commands and how they are found. What is heavy is imported by the command that needs it."""

from __future__ import annotations

from typing import Any

import typer

from dspex_actors.cli import hosts, output, programs, retention, sessions
from dspex_actors.cli.configuration import config
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
from dspex_actors.cli.predict import predict
from dspex_actors.cli.tree import tree

app = typer.Typer(
    name="dspex",
    help="DSPy programs as supervised, durable sessions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def serve(
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
) -> None:
    """Start everything and serve until Ctrl-C. Secrets: DSPEX_API_KEY, DSPEX_LM_API_KEY, DSPEX_STORE_PASSWORD."""
    flags: dict[str, Any] = dict(locals())
    from dspex_actors.cli.settings import load

    settings = load(flags)
    from dspex_actors.cli.serve import run_serve

    raise typer.Exit(run_serve(settings))


app.add_typer(programs.app)
app.add_typer(sessions.app)
app.add_typer(hosts.app)
app.add_typer(retention.app)
app.command()(predict)
app.command()(tree)
app.command()(config)


@app.command()
def version(as_json: AsJson = False) -> None:
    """Show the version."""
    from importlib.metadata import version as installed

    number = installed("dspex-actors")
    if as_json:
        output.document({"name": "dspex-actors", "version": number})
    else:
        output.say(f"dspex-actors {number}")


def main() -> None:
    """The `dspex` command: exit 0 fine, 1 failed, 2 wrong usage."""
    app()


if __name__ == "__main__":
    main()
