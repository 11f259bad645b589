"""`dspex predict`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dspex_actors.cli import output
from dspex_actors.cli.fields import parse_fields, parse_object
from dspex_actors.cli.options import AsJson, Timeout, Url
from dspex_actors.errors import OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dspex_actors.client.reply import Event, Reply


def predict(
    session: Annotated[str, typer.Argument(help="The session's id.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE...", help="The inputs: field=text, or field:=json for other types."),
    ] = None,
    json_inputs: Annotated[str | None, typer.Option(help="The inputs as a JSON object.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the inputs from standard input, a JSON object.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer while it is made.")] = False,
    key: Annotated[
        str | None, typer.Option(help="Idempotency-Key: the same one gives the recorded answer again.")
    ] = None,
    timeout: Timeout = 60.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Run a turn of a session."""
    from dspex_actors.cli.connection import connected

    inputs = _inputs(fields or [], json_inputs, stdin)
    with connected(url, as_json) as client:
        handle = client.session(session)
        if stream:
            reply = _streamed(handle.stream(inputs=inputs, idempotency_key=key, timeout_s=timeout), quiet=as_json)
        else:
            reply = handle.predict(inputs=inputs, idempotency_key=key, timeout_s=timeout)
    _show(reply, as_json, outputs=not stream or reply.replayed)


def _inputs(fields: list[str], json_inputs: str | None, stdin: bool) -> dict[str, Any]:
    if sum((bool(fields), json_inputs is not None, stdin)) > 1:
        raise typer.BadParameter("Give the inputs once: as field=value, with --json-inputs, or with --stdin.")
    if json_inputs is not None:
        return parse_object(json_inputs, "--json-inputs")
    return parse_object(sys.stdin.buffer.read(), "--stdin") if stdin else parse_fields(fields)


def _streamed(events: Iterable[Event], *, quiet: bool) -> Reply:
    """Print tokens as they come. A further attempt says so and starts again."""
    field, started = "", False
    for event in events:
        if event.name == "token" and not quiet:
            if event.data["field"] != field:
                field = event.data["field"]
                output.say(f"\n{field}: " if started else f"{field}: ", end="")
                started = True
            output.say(event.data["delta"], end="")
        elif event.name == "turn.started" and started:
            output.say("\n(starting again)", err=True)
            field, started = "", False
        elif (reply := event.reply) is not None:
            output.say("\n" if started else "", end="")
            return reply
        elif (error := event.error) is not None:
            output.say("\n" if started else "", end="")
            raise error
    raise OutcomeUnknown("The stream ended before the turn did. Ask again with the same --key.")


def _show(reply: Reply, as_json: bool, *, outputs: bool) -> None:
    if as_json:
        output.document({**asdict(reply), "outputs": vars(reply.outputs)})
        return
    if outputs:
        for name, value in vars(reply.outputs).items():
            output.say(f"{name}: {output.plain(value)}")
    replayed = ", replayed" if reply.replayed else ""
    output.say(f"(turn {reply.turn}, {reply.model}, {reply.latency_ms:.0f} ms{replayed})", err=True)
