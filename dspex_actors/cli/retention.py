"""`dspex retention`."""

from __future__ import annotations

from typing import Annotated

import typer

from dspex_actors.cli import output
from dspex_actors.cli.options import AsJson, Url

app = typer.Typer(
    name="retention", help="How long the past of sessions is kept: show, set, reset.", no_args_is_help=True
)


@app.command()
def show(url: Url = None, as_json: AsJson = False) -> None:
    """Show how long the past of sessions is kept."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = client.retention.get()
    _show(found, as_json)


@app.command("set")
def set_(
    journal_days: Annotated[float | None, typer.Option(help="Days that turns are kept. [default: all]")] = None,
    journal_turns: Annotated[int | None, typer.Option(help="Turns that each session keeps. [default: all]")] = None,
    failed_days: Annotated[
        float | None, typer.Option(help="Days that failed attempts are kept. [default: all]")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Say how long the past of sessions is kept; what is older is removed soon, and for good."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        held = client.retention.set(journal_days=journal_days, journal_turns=journal_turns, failed_days=failed_days)
    _show(held, as_json)


@app.command()
def reset(url: Url = None, as_json: AsJson = False) -> None:
    """Let the server's default hold."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        client.retention.reset()
        held = client.retention.get()
    _show(held, as_json)


def _show(held: dict[str, object], as_json: bool) -> None:
    if as_json:
        output.document(held)
    else:
        output.record(held)
