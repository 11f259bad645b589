"""What the runtime asks the store and the programs when a resource is shown or changed. Blocks: runs off the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dspex_actors.errors import StoreUnavailable
from dspex_actors.resources.program import ProgramChange, ProgramSpec
from dspex_actors.resources.session import SessionRecord, SessionSpec
from dspex_actors.resources.snapshot import STATE_VERSION
from dspex_actors.resources.variables import current
from dspex_actors.sessions.reading import recollect
from dspex_actors.store.port import Store

if TYPE_CHECKING:
    from dspex_actors.programs.catalogue import Programs

Json = dict[str, Any]

WITH_VARIABLES = 2
"""The first version of the state that has variables and rebinding."""


def shown_variables(store: Store, record: SessionRecord) -> Json:
    """All variables of a session: value, whether it was set, declaration; `seq` numbers the entry that changed them
    last. Raises NotFound."""
    program = store.load_program(record.program_uid)
    found, own = recollect(store, record, 0).found, record.own
    declared = own.over(program.spec.variables)
    values = current(declared, own.values, found.variables)
    shown = {
        name: {"value": values[name], "set": name in found.variables, **variable.public()}
        for name, variable in declared.items()
    }
    return {"session": record.id, "variables": shown, "seq": found.variables_at}


def check_program(store: Store, programs: Programs, tenant: str, name: str, change: ProgramChange) -> None:
    """Nothing, when the live version with this change can be built. Raises NotFound, InvalidRequest, UnknownType."""
    made = change.of(store.get_program(tenant, name).spec)
    check_new(store, made)
    programs.check(made)


def check_new(store: Store, made: ProgramSpec | SessionSpec | None) -> None:
    """Nothing, when every host knows what this needs. Raises StoreUnavailable while an upgrade is under way.

    Args:
        store: Where hosts' common version is written.
        made: What is to be made; None for a change of what a session is bound to.
    """
    if isinstance(made, ProgramSpec) and not made.variables:
        return
    if isinstance(made, SessionSpec) and not made.declare and made.version_policy == "pin":
        return
    if store.state_version() < min(WITH_VARIABLES, STATE_VERSION):
        raise StoreUnavailable("Hosts of an older program still serve, and do not know this. Try again when they left.")
