"""Values travel sealed, so that one that nobody else knows harms nobody."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest

from supervisors.entries import Meta, Put, Remove, SetMeta, Update
from supervisors.errors import BadSpec
from supervisors.sealed import Sealed, sealed, unsealed
from tests.unit.supervisors.registry.clerk import add, life


def travelled(value: Any) -> Any:
    """What is found of a value at the other end."""
    change = unsealed(Put("names", sealed(add("k", life(), value), pickle.dumps).entry), pickle.loads)  # type: ignore[union-attr]
    assert isinstance(change, Put)
    return change.entry.value


@pytest.mark.parametrize("value", [None, True, 1, "text", b"bytes", [1, {"a": (2,)}], life()])
def test_a_value_arrives_as_it_was(value: Any) -> None:
    """Plain or not."""
    assert travelled(value) == value


@pytest.mark.parametrize("operation", [Update("names", "e", [1]), SetMeta("names", "m", [1])])
def test_every_operation_with_a_value_is_sealed(operation: Update | SetMeta) -> None:
    """And those without are left alone."""
    closed = sealed(operation, pickle.dumps)
    assert isinstance(closed, Update | SetMeta)
    assert unsealed(Meta("names", "m", closed.value), pickle.loads) == Meta("names", "m", [1])
    assert sealed(Remove("names", ()), pickle.dumps) == Remove("names", ())


def test_a_value_that_cannot_be_pickled_is_refused() -> None:
    """Before anything of its caller's is sent."""
    with pytest.raises(BadSpec, match="cannot be pickled"):
        sealed(add("k", life(), threading.Lock()), pickle.dumps)


def test_a_value_whose_class_is_not_there_stays_sealed() -> None:
    """Its entry is found all the same."""
    put = Put("names", add("k", life(), Sealed(b"no pickle")).entry)
    assert unsealed(put, pickle.loads) == put
