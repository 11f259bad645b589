"""`/v1/programs`."""

from __future__ import annotations

from dspex_actors.api.asgi import REPLAYED, Response, json_response
from dspex_actors.api.body import read_json, validated
from dspex_actors.api.call import Call
from dspex_actors.api.etags import etag, if_match
from dspex_actors.api.listing import page_of, page_response
from dspex_actors.resources.program import ProgramChange, ProgramSpec, PromoteSpec


async def create(call: Call) -> Response:
    """Create a program, version 1."""
    body = await read_json(call)
    spec = validated(ProgramSpec, body)
    made = await call.runtime.create_program(call.tenant, spec, call.idempotency("POST /v1/programs", body))
    location = ((b"location", f"/v1/programs/{made.value.spec.name}".encode()),)
    return json_response(made.value.public(), 201, location + (REPLAYED if made.replayed else ()))


async def index(call: Call) -> Response:
    """A page of programs, newest first."""
    listing = await call.runtime.list_programs(call.tenant, page_of(call.query))
    return page_response((program.public() for program in listing.items), listing.next_cursor)


async def show(call: Call) -> Response:
    """One program, as its live version."""
    program = await call.runtime.get_program(call.tenant, call.name("name", "program"))
    return json_response(program.public(), headers=etag(program.etag))


async def versions(call: Call) -> Response:
    """A page of a program's versions, newest first."""
    listing = await call.runtime.program_versions(call.tenant, call.name("name", "program"), page_of(call.query))
    return page_response((program.public() for program in listing.items), listing.next_cursor)


async def change(call: Call) -> Response:
    """Make a new version, which is not live yet."""
    name, body = call.name("name", "program"), await read_json(call)
    spec = validated(ProgramChange, body)
    key = call.idempotency("PATCH /v1/programs/{name}", {"program": name, **body})
    made = await call.runtime.change_program(call.tenant, name, spec, if_match(call), key)
    return json_response(made.value.public(), headers=REPLAYED if made.replayed else ())


async def promote(call: Call) -> Response:
    """Let a version be the live one, back as well as forward."""
    name, spec = call.name("name", "program"), validated(PromoteSpec, await read_json(call))
    program = await call.runtime.promote_program(call.tenant, name, spec.version, if_match(call))
    return json_response(program.public(), headers=etag(program.etag))


async def delete(call: Call) -> Response:
    """Remove a program that no session is bound to."""
    await call.runtime.delete_program(call.tenant, call.name("name", "program"))
    return Response(status=204)
