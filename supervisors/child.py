"""What a supervisor says of its children: values that can be sent and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Child:
    """A living instance of a child specification.

    Args:
        id: The specification's id.
        name: The name of this incarnation, unique for ever: under Ray, `ray.get_actor(name, namespace=namespace)`.
        namespace: Where the name is registered.
        pid: Its process.
        node: The id of the node it runs on.
        started_at: When its start succeeded, RFC 3339.
        key: Names it within its supervisor, also where ids need not differ.
        info: What its start returned beside the child, if anything.
    """

    id: str
    name: str
    namespace: str
    pid: int
    node: str
    started_at: str
    key: str = ""
    info: Any = None


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A row of `which_children`: `child` is the living instance, None, or `"restarting"`; `id` is None where children
    are started on demand."""

    id: str | None
    child: Child | Literal["restarting"] | None
    type: Literal["worker", "supervisor"]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What `count_children` answers; `active` leaves out those that are restarting."""

    specs: int
    active: int
    supervisors: int
    workers: int
