"""What names a process, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One incarnation of a process: whoever comes after it under the same name has another address.

    Args:
        name: Its registered name, empty if it has none.
        namespace: Where the name is registered.
        incarnation: Under Ray the actor's id, empty if nobody was found under the name; `local` for an object of one
            process, whose name alone is unique for ever.
    """

    name: str
    namespace: str
    incarnation: str

    def __str__(self) -> str:
        return self.name or self.incarnation
