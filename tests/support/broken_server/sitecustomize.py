"""Breaks a server under test on purpose: Python loads this in every process whose PYTHONPATH names this folder.

`BROKEN_SERVER` says what is missing: `fence` (stale owners commit), `heartbeats` (nobody notices that a process hangs),
`assurance` (a host does not look whether its leases are still its own), `disowning` (nor does it at once what it is
told to when they are another's).
Nothing of the product knows of it.
"""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any


def _without_fence(module: ModuleType) -> None:
    from tests.support.unfenced import switch_off

    switch_off(module.Fence)


def _without_heartbeats(module: ModuleType) -> None:
    module.HEARTBEAT = module.Heartbeat(interval_s=60.0)  # type: ignore[attr-defined]


def _without_assurance(module: ModuleType) -> None:
    module.Assurance.begin = lambda _self: None


def _without_disowning(module: ModuleType) -> None:
    disown = module.Tenure.disown

    def late(tenure: Any, units: Iterable[str]) -> None:
        asyncio.get_running_loop().call_later(_DEAF_S, disown, tenure, list(units))

    module.Tenure.disown = late


_DEAF_S = 3.0
"""Within this a turn that is over commits."""

_BREAK: dict[str, tuple[str, Callable[[ModuleType], None]]] = {
    "fence": ("dspex_actors.store.fence", _without_fence),
    "assurance": ("dspex_actors.sessions.assurance", _without_assurance),
    "disowning": ("dspex_actors.sessions.tenure", _without_disowning),
    "heartbeats": ("dspex_actors.sessions.tree", _without_heartbeats),
}


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, spoil: Callable[[ModuleType], None]) -> None:
        self._loader, self._spoil = loader, spoil

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._spoil(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, missing: Sequence[str]) -> None:
        self._spoiled = dict(_BREAK[name] for name in missing)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._spoiled:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._spoiled[name])
        return spec


if missing := os.environ.get("BROKEN_SERVER"):
    sys.meta_path.insert(0, _Finder(missing.split(",")))
