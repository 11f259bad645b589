"""The home: one holder at a time, a term that rises."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dspex_actors.errors import InUse, InvalidRequest
from dspex_actors.home import hold_home

ADDRESS = "http://127.0.0.1:8000"


def test_a_home_is_made_for_this_user_alone(tmp_path: Path) -> None:
    """Folder 0700, lock 0600."""
    with hold_home(tmp_path / "a" / "home", ADDRESS) as home:
        assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
        assert stat.S_IMODE((home.path / "lock").stat().st_mode) == 0o600


def test_a_second_holder_is_told_who_holds_the_home(tmp_path: Path) -> None:
    """The sentence names pid and address, and what to set."""
    with hold_home(tmp_path, ADDRESS), pytest.raises(InUse) as refused, hold_home(tmp_path, "http://127.0.0.1:9"):
        pass
    assert f"pid {os.getpid()} at {ADDRESS}" in refused.value.detail
    assert "DSPEX_HOME" in refused.value.detail


def test_a_home_is_free_again_after_its_holder(tmp_path: Path) -> None:
    """The lock ends with the block, and names nobody afterwards."""
    with hold_home(tmp_path, ADDRESS):
        pass
    assert (tmp_path / "lock").read_text() == ""
    with hold_home(tmp_path, ADDRESS) as home:
        assert home.path == tmp_path


def test_every_start_has_the_same_id_and_a_higher_term(tmp_path: Path) -> None:
    """The id is random and kept, the term rises by one."""
    with hold_home(tmp_path / "a", ADDRESS) as home, hold_home(tmp_path / "b", ADDRESS) as other:
        first, second = home.next_instance(), home.next_instance()
        assert (second.id, second.term) == (first.id, first.term + 1)
        assert other.next_instance().id != first.id


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"id": "a", "term": "x"}'])
def test_a_damaged_instance_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    """Guessing a term could spare processes of an earlier start."""
    (tmp_path / "instance").write_text(text)
    with hold_home(tmp_path, ADDRESS) as home, pytest.raises(InvalidRequest, match="instance is damaged"):
        home.next_instance()


def test_a_home_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "home").write_text("")
    with pytest.raises(InvalidRequest, match="DSPEX_HOME"), hold_home(tmp_path / "home", ADDRESS):
        pass
