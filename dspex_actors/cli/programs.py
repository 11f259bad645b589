"""`dspex program`."""

from __future__ import annotations

from typing import Annotated

import typer

from dspex_actors.cli import output
from dspex_actors.cli.options import AsJson, Url

app = typer.Typer(name="program", help="Programs: create, list, show, update, promote, remove.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The program's name.")]
COLUMNS = ("name", "version", "module", "signature", "lm", "created_at")


@app.command()
def create(
    name: Name,
    signature: Annotated[
        str | None, typer.Argument(help="A DSPy signature; a python: module may bring its own.")
    ] = None,
    module: Annotated[str, typer.Option(help="predict, chain_of_thought, or python:pkg.mod:Class.")] = "predict",
    instructions: Annotated[str | None, typer.Option(help="What the signature tells the model.")] = None,
    lm: Annotated[str | None, typer.Option(help="The model's name. [default: the server's]")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="name=json for the module's constructor; may be repeated.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a program."""
    from dspex_actors.cli.connection import connected
    from dspex_actors.cli.fields import parse_params

    params = parse_params(param or ())
    with connected(url, as_json) as client:
        made = client.programs.create(name, signature, module, params, instructions, lm)
    _show(made, as_json, f"Created the program {name}. Next: dspex session create {name}")


@app.command()
def ls(url: Url = None, as_json: AsJson = False) -> None:
    """List programs, newest first."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = list(client.programs.list())
    if as_json:
        output.document(found)
    else:
        output.table(found, COLUMNS)


@app.command()
def show(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Show a program."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = client.programs.get(name)
    _show(found, as_json, None)


@app.command()
def update(
    name: Name,
    changes: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="signature=…, lm=…, params:=json, …")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a new version: the live one with these changes. It is not live before it is promoted."""
    from dspex_actors.cli.connection import connected
    from dspex_actors.cli.fields import parse_fields

    with connected(url, as_json) as client:
        made = client.programs.update(name, **parse_fields(changes))
    _show(made, as_json, f"Made version {made['version']}. Next: dspex program promote {name} {made['version']}")


@app.command()
def versions(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """List a program's versions, newest first."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = list(client.programs.versions(name))
    if as_json:
        output.document(found)
    else:
        output.table(found, ("version", "live", *COLUMNS[2:]))


@app.command()
def promote(
    name: Name,
    version: Annotated[int, typer.Argument(min=1, help="The version to be live, an older one too.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let a version be the live one: new sessions get it, and those that follow."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = client.programs.promote(name, version)
    _show(found, as_json, f"Version {version} of {name} is live.")


@app.command()
def rm(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Remove a program that no session is bound to."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        client.programs.delete(name)
    _show({"removed": name}, as_json, f"Removed the program {name}.")


def _show(fields: dict[str, object], as_json: bool, sentence: str | None) -> None:
    if as_json:
        output.document(fields)
    elif sentence:
        output.say(sentence)
    else:
        output.record(fields)
