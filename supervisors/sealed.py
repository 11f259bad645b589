"""Values of registry entries on their way through the keeper, which need not know their classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from supervisors.entries import Add, Change, Meta, Operation, Put, SetMeta, Update
from supervisors.errors import BadSpec

_PLAIN: Final = (str, int, float, bytes, bool, type(None))

Dumps = Callable[[Any], bytes]
Loads = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A pickled value. Who finds an entry with one as its value is in a process that lacks the value's class."""

    data: bytes


def sealed(operation: Operation, dumps: Dumps) -> Operation:
    """The operation with its value sealed; what is plain stays as it is.

    Raises:
        BadSpec: The value cannot be pickled.
    """
    match operation:
        case Add(_, entry):
            return replace(operation, entry=replace(entry, value=_seal(entry.value, dumps)))
        case Update() | SetMeta():
            return replace(operation, value=_seal(operation.value, dumps))
        case _:
            return operation


def unsealed(change: Change, loads: Loads) -> Change:
    """The change with its value opened, if this process can."""
    match change:
        case Put(_, entry) if isinstance(entry.value, Sealed):
            return replace(change, entry=replace(entry, value=_unseal(entry.value, loads)))
        case Meta(_, _, Sealed() as value):
            return replace(change, value=_unseal(value, loads))
        case _:
            return change


def _seal(value: Any, dumps: Dumps) -> Any:
    if type(value) in _PLAIN:
        return value
    try:
        return Sealed(dumps(value))
    except Exception as error:
        raise BadSpec(f"value={value!r} cannot be pickled ({error}); give one that can.") from error


def _unseal(value: Sealed, loads: Loads) -> Any:
    try:
        return loads(value.data)
    except Exception:
        return value
