"""All laws of the contract."""

from __future__ import annotations

import inspect
from types import ModuleType

from tests.support.supervision import auto_shutdown, calls, intensity, lifetimes, restarts, strategies, trees
from tests.support.supervision.world import Law


def _laws_of(module: ModuleType) -> list[Law]:
    found = vars(module).values()
    return [law for law in found if inspect.iscoroutinefunction(law) and law.__module__ == module.__name__]


LAWS = [
    law
    for module in (strategies, restarts, intensity, lifetimes, auto_shutdown, calls, trees)
    for law in _laws_of(module)
]


def name_of(law: Law) -> str:
    """What a law is called in test reports."""
    return law.__name__
