"""A tool with an effect outside: one file a ticket."""

from __future__ import annotations

import tempfile
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / "support-desk-tickets"


def file_ticket(text: str, key: str) -> str:
    """File a ticket and return its name; the same key never files a second one."""
    FOLDER.mkdir(exist_ok=True)
    try:
        with (FOLDER / key).open("x") as ticket:
            ticket.write(text)
    except FileExistsError:
        pass  # an earlier attempt of this turn filed it
    return f"ticket-{key}"
