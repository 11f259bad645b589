"""`dspex session`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspex_actors.cli import output
from dspex_actors.cli.options import AsJson, Timeout, Url
from dspex_actors.errors import NotFound

if TYPE_CHECKING:
    from dspex_actors.client.client import Session

_HELP = "Sessions: create, list, show, variables, cancel, rewind, fork, migrate, restart, remove."
app = typer.Typer(name="session", help=_HELP, no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")]


class OnBusy(StrEnum):
    """What a turn does that finds its session busy."""

    ENQUEUE = "enqueue"
    REJECT = "reject"
    INTERRUPT = "interrupt"


class VersionPolicy(StrEnum):
    """Which version of its program a session runs."""

    PIN = "pin"
    FOLLOW = "follow"
    FOLLOW_WHEN_IDLE = "follow_when_idle"


class Isolation(StrEnum):
    """Whether a session shares a host."""

    SHARED = "shared"
    DEDICATED = "dedicated"


COLUMNS = ("id", "program", "version", "status", "turns", "lm", "host", "created_at")


@app.command()
def create(
    program: Annotated[str, typer.Argument(help="The program: name or name@version.")],
    id: Annotated[str | None, typer.Option(help="The session's id. [default: a fresh one]")] = None,  # noqa: A002
    lm: Annotated[str | None, typer.Option(help="The model's name. [default: the program's]")] = None,
    on_busy: Annotated[OnBusy, typer.Option(help="What a turn does that finds the session busy.")] = OnBusy.ENQUEUE,
    version_policy: Annotated[VersionPolicy, typer.Option(help="Which version it runs.")] = VersionPolicy.PIN,
    isolation: Annotated[Isolation, typer.Option(help="Whether it has a host of its own.")] = Isolation.SHARED,
    memory_mb: Annotated[int | None, typer.Option(min=16, help="Megabytes that its own host may take.")] = None,
    cpus: Annotated[float | None, typer.Option(min=0.1, help="Processors that its own host may take.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a session of a program."""
    from dspex_actors.cli.connection import connected

    asked = {"memory_mb": memory_mb, "cpus": cpus}
    limits = {name: value for name, value in asked.items() if value is not None}
    with connected(url, as_json) as client:
        made = client.sessions.create(
            program, id, lm, on_busy.value, version_policy.value, isolation=isolation.value, limits=limits or None
        )
    if as_json:
        output.document(made)
    else:
        output.say(f"Created the session {made['id']}. Next: dspex predict {made['id']} field=value")


@app.command()
def ls(url: Url = None, as_json: AsJson = False) -> None:
    """List sessions, newest first."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = list(client.sessions.list())
    if as_json:
        output.document(found)
    else:
        output.table(found, COLUMNS)


@app.command()
def show(
    session: Id,
    turns: Annotated[int, typer.Option(min=0, max=100, help="How many of the last turns to show.")] = 5,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show a session and its last turns."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = client.sessions.get(session)
        last = _last(client.session(session), found["turns"], turns)
    if as_json:
        output.document({**found, "last_turns": last})
        return
    output.record(found)
    for turn in last:
        left = "  (left)" if turn.get("left") else ""
        output.say(f"\nturn {turn['turn']}  {turn['completed_at']}  {turn['model']}{left}")
        output.record({f"  {name}": value for name, value in {**turn["inputs"], **turn["outputs"]}.items()})


@app.command()
def cancel(
    session: Id,
    turn_id: Annotated[str | None, typer.Option(help="The turn, by its key. [default: the one that runs]")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Cancel the running turn, or the one of that key, waiting or running."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = client.session(session).cancel(turn_id)
    if as_json:
        output.document(found)
        return
    for turn in found["cancelled"]:
        output.say(f"Cancelled the turn {turn}.")
    for turn in found["too_late"]:
        output.say(f"Too late: the turn {turn} is being committed or has ended.")
    if not found["cancelled"] and not found["too_late"]:
        output.say(f"No turn of the session {session} runs.")


@app.command()
def update(
    session: Id,
    version: Annotated[int | None, typer.Option(min=1, help="The program's version to run.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Run the program's live version.")] = False,
    lm: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    on_busy: Annotated[OnBusy | None, typer.Option(help="What a turn does that finds the session busy.")] = None,
    version_policy: Annotated[VersionPolicy | None, typer.Option(help="Which version it runs from now on.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let a session run another version of its program, another model, or by another policy."""
    from dspex_actors.cli.connection import connected

    asked = {"lm": lm, "on_busy": on_busy, "version_policy": version_policy}
    changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if live and version is not None:
        raise typer.BadParameter("--live and --version name two versions; give one of them.")
    with connected(url, as_json) as client:
        if live or version is not None:
            program = client.sessions.get(session)["program"]
            changes["program"] = program if version is None else f"{program}@{version}"
        found = client.sessions.update(session, **changes)
    if as_json:
        output.document(found)
    else:
        output.record(found)


@app.command()
def get(
    session: Id,
    name: Annotated[str | None, typer.Argument(help="One variable. [default: all of them]")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show the variables of a session, or the value of one of them."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        found = client.session(session).variables()
        if name is not None and name not in found["variables"]:
            there = ", ".join(found["variables"]) or "none"
            raise NotFound(f"There is no variable {name!r}; the session has {there}.")
    shown = found if name is None else found["variables"][name]
    if as_json:
        output.document(shown)
    elif name is None:
        output.record({key: each["value"] for key, each in found["variables"].items()})
    else:
        output.say(json.dumps(shown["value"], ensure_ascii=False))


@app.command("set")
def set_(
    session: Id,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="name=text, or name:=json.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Set variables of a session, in line with its turns."""
    from dspex_actors.cli.connection import connected
    from dspex_actors.cli.fields import parse_fields

    with connected(url, as_json) as client:
        handle = client.session(session)
        found = [handle.set_variable(name, value) for name, value in parse_fields(values).items()]
    if as_json:
        output.document(found)
    for each in [] if as_json else found:
        output.record(each["values"])


@app.command()
def restart(session: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Let a session wake anew from its recorded turns, out of quarantine too."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        restarted = client.sessions.restart(session)
    if as_json:
        output.document(restarted)
    else:
        output.say(f"Restarted the session {session}.")


@app.command()
def rewind(
    session: Id,
    turn: Annotated[int, typer.Argument(min=0, help="The turn to go to, also one left behind; 0 is the beginning.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Let the conversation be what it was after a turn."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        rewound = client.session(session).rewind(turn)
    if as_json:
        output.document(rewound)
    else:
        output.say(f"The session {session} stands at turn {turn}; its next turn is number {rewound['next_turn']}.")


@app.command()
def migrate(
    session: Id,
    host: Annotated[
        str | None, typer.Option(help="The host to go to, as `dspex tree` names it. [default: another]")
    ] = None,
    timeout: Timeout = 60.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Move a session to another host, when its turn has ended."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        moved = client.session(session).migrate(host, timeout_s=timeout)
    if as_json:
        output.document(moved)
    else:
        output.say(f"Moved the session {session} from {moved['from']} to {moved['to']}: {moved['pause_ms']:.1f} ms.")


@app.command()
def fork(
    session: Id,
    at_turn: Annotated[int | None, typer.Option(min=0, help="The turn to fork at. [default: the present one]")] = None,
    id: Annotated[str | None, typer.Option(help="The new session's id. [default: a fresh one]")] = None,  # noqa: A002
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Create a session with the past of this one."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        made = client.sessions.get(client.session(session).fork(at_turn, id).id)
    if as_json:
        output.document(made)
    else:
        at = made["forked_from"]["turn"]
        output.say(f"Created the session {made['id']}, at turn {at}. Next: dspex predict {made['id']} field=value")


@app.command()
def rm(session: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Remove a session and all that is its."""
    from dspex_actors.cli.connection import connected

    with connected(url, as_json) as client:
        client.sessions.delete(session)
    if as_json:
        output.document({"removed": session})
    else:
        output.say(f"Removed the session {session}.")


def _last(session: Session, newest: int, count: int) -> list[dict[str, Any]]:
    """The last turns, oldest first; lists begin at the first turn, so each is asked for by its number."""
    found = []
    for number in range(max(1, newest - count + 1), newest + 1):
        try:
            found.append(session.turn(number))
        except NotFound:
            continue
    return found
