"""The programs of one process: checked when they are created, built when they are first needed."""

from __future__ import annotations

import threading

from dspex_actors.programs.loaded import LoadedProgram, ModelSource
from dspex_actors.programs.modules import build
from dspex_actors.resources.program import Program, ProgramSpec

MAX_LOADED = 1_000


class Programs:
    """Builds programs and keeps the built ones, by `uid`; safe to use from any thread.

    Args:
        models: Where the language models come from.
        packages: The packages that `python:pkg.mod:Class` programs may come from.
    """

    def __init__(self, models: ModelSource, packages: tuple[str, ...] = ()) -> None:
        self._models = models
        self._packages = packages
        self._loaded: dict[str, LoadedProgram] = {}
        self._lock = threading.Lock()

    def check(self, spec: ProgramSpec) -> None:
        """Nothing, when the specification can be built and its model is known; both are built to see.

        Raises:
            InvalidRequest: It cannot; the sentence says what can.
            UnknownType: Its signature names a type that does not exist.
        """
        self._build(spec)
        self._models.get(spec.lm)

    def known(self, uid: str) -> LoadedProgram | None:
        """The built program, if it is kept: saves its caller a look into the store."""
        return self._loaded.get(uid)

    def load(self, program: Program) -> LoadedProgram:
        """The built program; the same object for the same `uid`, whichever thread asks. The oldest of more than
        `MAX_LOADED` are forgotten, and built again when asked for.

        Raises:
            InvalidRequest: It can no longer be built, for example since its package is not allowed any more.
        """
        found = self._loaded.get(program.uid)
        return found if found is not None else self._load(program)

    def _load(self, program: Program) -> LoadedProgram:
        with self._lock:
            if program.uid not in self._loaded:
                made = self._build(program.spec)
                while len(self._loaded) >= MAX_LOADED:
                    del self._loaded[next(iter(self._loaded))]
                self._loaded[program.uid] = made
            return self._loaded[program.uid]

    def _build(self, spec: ProgramSpec) -> LoadedProgram:
        return LoadedProgram(build(spec, self._packages), self._models, spec.lm, spec.variables)
