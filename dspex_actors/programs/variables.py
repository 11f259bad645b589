"""The variables of the session whose turn runs: read and set by the program, recorded with the turn or not at all."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from copy import deepcopy
from typing import Any, NoReturn

from dspex_actors.errors import InvalidRequest
from dspex_actors.resources.variables import Declared, Values, checked, current, merged


class TurnVariables(MutableMapping[str, Any]):
    """A mapping of all variables by name, as they were when the attempt began and as it has set them since.

    What is set is checked at once, and is in the session when the turn is: a turn that fails sets nothing. Values are
    JSON; one that was read and changed in place is set only by setting it.

    >>> from dspex_actors.resources.variables import Variable
    >>> variables = TurnVariables({"pace": Variable(type="int", default=1)}, {}, {})
    >>> variables["pace"] += 1
    >>> dict(variables), variables.changed
    ({'pace': 2}, {'pace': 2})
    """

    def __init__(self, declared: Declared, first: Values, given: Values) -> None:
        self._declared = declared
        self._first = first
        self._given = given
        self.changed: Values = {}

    @staticmethod
    def none() -> TurnVariables:
        """Those of a session that has none."""
        return _NONE

    def __getitem__(self, name: str) -> Any:
        """The present value. Raises KeyError for a name that is not declared."""
        # A copy: what the program does to it is no change of the session.
        return deepcopy(current({name: self._declared[name]}, self._first, {**self._given, **self.changed})[name])

    def __setitem__(self, name: str, value: Any) -> None:
        """Raises NotFound for a name that is not declared, InvalidRequest for a value that breaks its constraints."""
        changed = {**self.changed, **checked(self._declared, {name: value})}
        merged(self._given, changed)
        self.changed = changed

    def __delitem__(self, name: str) -> NoReturn:
        raise InvalidRequest(f"The variable {name} cannot be taken away; set it to another value.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)


_NONE = TurnVariables({}, {}, {})
