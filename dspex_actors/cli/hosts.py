"""`dspex host`."""

from __future__ import annotations

from typing import Annotated

import typer

from dspex_actors.cli import output
from dspex_actors.cli.options import AsJson, Timeout, Url

app = typer.Typer(name="host", help="Hosts: drain.", no_args_is_help=True)


@app.callback()
def _hosts() -> None:
    """A command group, however many commands it has."""


@app.command()
def drain(
    host: Annotated[str, typer.Argument(help="The host, as `dspex tree` names it: host-1.")],
    timeout: Timeout = 60.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let a host give away all it has, and end; another one is started in its place."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        drained = client.drain_host(host, timeout_s=timeout)
    if as_json:
        output.document(drained)
    elif drained["status"] == "drained":
        output.say(f"Drained {host}: {drained['moved']} units moved, none left.")
    else:
        output.say(f"Draining {host}: {drained['left']} units are left, whose turns run; they leave when these end.")
