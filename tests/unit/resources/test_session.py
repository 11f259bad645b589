"""What a user may say to create a session."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dspex_actors.resources.session import SessionChange, SessionSpec


def test_a_session_shares_a_host_unless_it_is_dedicated() -> None:
    """Which may have limits."""
    assert SessionSpec.model_validate({"program": "qa"}).isolation == "shared"
    spec = SessionSpec.model_validate({"program": "qa", "isolation": "dedicated", "limits": {"cpus": 1}})
    assert (spec.limits.cpus, spec.limits.memory_mb) == (1.0, None)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"isolation": "alone"}, "'shared' or 'dedicated'"),
        ({"limits": {"cpus": 1}}, 'isolation "dedicated"'),
        ({"isolation": "dedicated", "limits": {"cpus": 0}}, "0.1"),
        ({"isolation": "dedicated", "limits": {"memory_mb": 1}}, "16"),
        ({"isolation": "dedicated", "limits": {"memory_gb": 1}}, "memory_gb"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(body: dict[str, object], said: str) -> None:
    """It names what is accepted."""
    with pytest.raises(ValidationError, match=said):
        SessionSpec.model_validate({"program": "qa", **body})


def test_isolation_is_for_good() -> None:
    """A change does not take it."""
    with pytest.raises(ValidationError, match="isolation"):
        SessionChange.model_validate({"isolation": "dedicated"})
