"""The number of the schema, known without alembic."""

from __future__ import annotations

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from dspex_actors.errors import StoreUnavailable
from dspex_actors.store import revision
from dspex_actors.store.schema import REVISION


def test_the_schemas_revision_is_the_newest_migration() -> None:
    """One head, found by the package's name as in an installed wheel."""
    config = Config()
    config.set_main_option("script_location", "dspex_actors.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


@pytest.mark.parametrize("known", [None, "0001", REVISION])
def test_a_known_revision_is_accepted(known: str | None) -> None:
    """None is a database without a schema."""
    revision.check(known)


@pytest.mark.parametrize("newer", [f"{int(REVISION) + 1:04}", "abc", "", "-1"])
def test_an_unknown_revision_is_refused(newer: str) -> None:
    """Anything that is not a number up to ours was written by another program."""
    with pytest.raises(StoreUnavailable, match="Install that version"):
        revision.check(newer)
