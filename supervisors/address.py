"""What names a process, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

LOCAL: Final = "local"
"""The node of children that are objects of this process, and how their incarnations begin."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One incarnation of a process: whoever comes after it under the same name has another address.

    Args:
        name: Its registered name, empty if it has none.
        namespace: Where the name is registered.
        incarnation: Under Ray the actor's id, empty if nobody was found under the name; `local` for an object of one
            process, whose name alone is unique for ever, and `local#…` for a supervisor there that nobody supervises.
    """

    name: str
    namespace: str
    incarnation: str

    @property
    def is_local(self) -> bool:
        """Whether it names an object of one process."""
        return self.incarnation.startswith(LOCAL)

    def __str__(self) -> str:
        return self.name or self.incarnation


def standing_for(other: Any) -> Any:  # whatever names a process
    """The address of what something stands for, such as a supervisor's handle; anything else is itself."""
    address = getattr(other, "address", None)
    return address if isinstance(address, Address) else other
