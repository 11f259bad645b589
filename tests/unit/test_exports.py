"""What `import dspex_actors as dx` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dspex_actors as dx
from dspex_actors.errors import CODES

NOT_ERRORS = ["AsyncClient", "Client", "Retry", "__version__", "current_turn", "local"]
HEAVY = ("dspy", "ray", "sqlalchemy", "httpx", "pydantic", "orjson", "starlette", "typer")


def test_the_exports_are_the_clients_the_local_runtime_the_current_turn_and_the_errors() -> None:
    """`moved` stays inside the system; `Unreachable` is the clients' own."""
    errors = {cls.__name__ for cls in CODES.values()} - {"Moved"} | {"DspexError", "Internal", "Unreachable"}
    assert dx.__all__ == sorted({*errors, *NOT_ERRORS})


def test_every_export_is_there() -> None:
    """Those that are imported late as well."""
    assert {name for name in dx.__all__ if getattr(dx, name, None) is None} == set()
    assert set(dx.__all__) <= set(dir(dx))


def test_the_version_is_that_of_the_installed_package() -> None:
    """One place says it."""
    assert dx.__version__.count(".") == 2


def test_what_is_not_exported_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dx.nothing


def test_importing_the_package_imports_nothing_heavy() -> None:
    """Every inner module pays for this import."""
    code = f"import dspex_actors, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_client_imports_no_part_of_a_server() -> None:
    """It is installed where no server is."""
    code = "import dspex_actors as dx, sys; dx.Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("dspex_actors.")}
    assert {name.split(".")[1] for name in ours} == {"client", "errors", "ids"}
