"""A row of the table of routes, and the tree that finds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from dspex_actors.api.call import Handler
from dspex_actors.api.problems import MethodNotAllowed
from dspex_actors.errors import DspexError
from dspex_actors.resources.key import Scope


@dataclass(frozen=True, slots=True)
class Route:
    """One call: what it takes, what it answers, what it needs.

    `scope` is what a key must hold, None for the two calls that need no key. `request` and `answer` name schemas.
    `open_login` marks the one call that checks its own key.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope | None = "read"
    query: tuple[str, ...] = ()
    request: str | None = None
    answer: str | None = None
    status: int = 200
    errors: tuple[type[DspexError], ...] = ()
    media_types: tuple[str, ...] = ("application/json",)
    open_login: bool = False
    params: tuple[str, ...] = field(init=False)
    """The names of the path's parameters."""

    def __post_init__(self) -> None:
        names = tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
        object.__setattr__(self, "params", names)

    @property
    def public(self) -> bool:
        """Whether a request without a key gets as far as the handler."""
        return self.scope is None or self.open_login


@dataclass(slots=True)
class Place:
    """What is at one address: its routes by method, and the addresses below it."""

    routes: dict[str, Route] = field(default_factory=dict)
    below: dict[str, Place] = field(default_factory=dict)
    param: Place | None = None

    def route(self, method: str) -> Route:
        """The route of a method; HEAD is GET without the body. Raises MethodNotAllowed."""
        found = self.routes.get("GET" if method == "HEAD" else method)
        if found is None:
            raise MethodNotAllowed(self.allowed)
        return found

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that are taken here."""
        return tuple(sorted({*self.routes, *(["HEAD"] if "GET" in self.routes else [])}))

    @property
    def public(self) -> bool:
        """Whether everything here is open to requests without a key."""
        return all(route.public for route in self.routes.values())


def tree_of(routes: Iterable[Route]) -> Place:
    """The routes as a tree of path segments."""
    root = Place()
    for route in routes:
        place = root
        for part in route.path.split("/")[1:]:
            if part.startswith("{"):
                place.param = place.param or Place()
                place = place.param
            else:
                place = place.below.setdefault(part, Place())
        place.routes[route.method] = route
    return root


def find(root: Place, raw_path: str) -> tuple[Place, list[str]] | None:
    """What is at an address as the client wrote it, with the decoded values of its parameters; None for nothing.

    Segments are cut before they are decoded, so that an encoded slash belongs to a name.
    """
    place, values = root, []
    for part in raw_path.split("/")[1:]:
        known = place.below.get(part)
        if known is None:
            known = place.param
            if known is None:
                return None
            values.append(unquote(part) if "%" in part else part)
        place = known
    return (place, values) if place.routes else None
