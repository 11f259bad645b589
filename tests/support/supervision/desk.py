"""Where children write down what happens to them, and where a law leaves notes for them: a folder, for any process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Desk:
    """A diary, and notes that children look for: `refuse <name>`, `ignore <name>`, `hang <name>`, `linger <name>`."""

    folder: Path

    def write(self, line: str) -> None:
        """One line more in the diary."""
        with (self.folder / "diary").open("a") as diary:
            diary.write(line + "\n")

    def diary(self) -> list[str]:
        """All lines, oldest first."""
        file = self.folder / "diary"
        return file.read_text().splitlines() if file.exists() else []

    def turn_page(self) -> None:
        """Begin the diary anew."""
        (self.folder / "diary").unlink(missing_ok=True)

    def put(self, note: str) -> None:
        """Leave a note."""
        (self.folder / note).touch()

    def take(self, note: str) -> None:
        """Take it away."""
        (self.folder / note).unlink(missing_ok=True)

    def has(self, note: str) -> bool:
        """Whether it lies there."""
        return (self.folder / note).exists()
