"""Laws of the repository: what every file of it obeys, and what the reference pages must name."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from dspex_actors.config import Settings
from dspex_actors.errors import CODES

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
MAX_LINES = 400
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(work|home|Users|root)/(?=\w)")
INDEX = re.compile(r"(?i)--?(extra-)?index(-url)?\b|find-links|trusted-host|/simple\b|pythonhosted|file://")
ROW = re.compile(r"^\| `(\w+)` \|(.*)\|$", re.MULTILINE)


@cache
def tracked() -> dict[str, str]:
    """Every tracked text file by its path in the repository."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("missing: a git checkout")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    raw = {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()}
    return {name: data.decode() for name, data in raw.items() if b"\0" not in data}


def requirements(lock: str) -> dict[str, str]:
    """The entries of a lock, hashes included, by `name==version`."""
    parts = re.split(r"^(?=[A-Za-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    return {part.split(maxsplit=1)[0]: part for part in parts}


def rows(page: str) -> dict[str, list[str]]:
    """The table rows of a reference page by their first cell."""
    text = (ROOT / "docs" / "reference" / page).read_text()
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in ROW.findall(text)}


def test_no_source_file_is_longer_than_400_lines() -> None:
    """A longer one holds more than one noun."""
    sources = [path for name in ("dspex_actors", "supervisors") for path in (ROOT / name).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources}
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_the_composition_root_stays_below_100_lines() -> None:
    """It puts parts together and holds no logic."""
    assert len((ROOT / "serve_app.py").read_text().splitlines()) < 100


def test_no_tracked_file_names_a_path_of_a_developers_machine() -> None:
    """What works here only would fail everywhere else."""
    found = {name: hit.group() for name, text in tracked().items() if (hit := MACHINE_PATH.search(text))}
    assert found == {}


def test_no_tracked_requirement_or_setting_file_names_a_package_index() -> None:
    """Where packages come from is a setting of the machine that installs."""
    files = {name: text for name, text in tracked().items() if name.endswith((".lock", ".toml", ".txt", ".cfg"))}
    assert "pyproject.toml" in files
    assert {name: hit.group() for name, text in files.items() if (hit := INDEX.search(text))} == {}


@pytest.mark.parametrize("folder", ["home", "work", "Users", "root"])
def test_a_path_of_a_developers_machine_is_recognised(folder: str) -> None:
    """A law that cannot be broken guards nothing."""
    assert MACHINE_PATH.search(f'cd "/{folder}/ann"')


@pytest.mark.parametrize("text", ["--index-url https://x", "--find-links y", "-f file:///x", "https://mirror/simple"])
def test_a_package_index_is_recognised(text: str) -> None:
    """A law that cannot be broken guards nothing."""
    assert INDEX.search(text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_version_and_hashes(lock: str) -> None:
    """Only the files that were locked can be installed."""
    locked = requirements(lock)
    assert len(locked) > 100
    pinned = re.compile(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}\b", re.DOTALL)
    assert [name for name, text in locked.items() if not pinned.match(text)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_holds_torch(lock: str) -> None:
    """Two gigabytes that nothing here needs."""
    assert [name for name in requirements(lock) if name.startswith("torch==")] == []


def test_both_locks_agree_on_what_they_share() -> None:
    """What is tested is what runs."""
    run_time, development = (requirements(lock).keys() for lock in LOCKS)
    assert run_time - development == set()


def test_every_setting_is_documented_and_nothing_else() -> None:
    """The page of settings and the class agree."""
    assert set(rows("settings.md")) == {f"DSPEX_{name.upper()}" for name in Settings.model_fields}


def test_every_error_code_is_documented_with_its_status_and_whether_to_retry() -> None:
    """The page of errors and the classes agree."""
    documented = {code: (int(cells[0]), cells[1]) for code, cells in rows("errors.md").items()}
    assert documented == {code: (cls.status, "yes" if cls.retryable else "no") for code, cls in CODES.items()}


def test_every_documented_error_says_what_happened_and_what_to_do() -> None:
    """A code alone helps nobody."""
    assert {code for code, cells in rows("errors.md").items() if len(cells) != 4 or not all(cells)} == set()
