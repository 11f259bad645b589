"""One process has no host to give away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import dspex_actors as dx
from dspex_actors.resources.session import ForkSpec, SessionSpec
from dspex_actors.store import open_store

QA = {"qa": "question -> answer"}


def test_a_dedicated_session_is_refused_and_nothing_is_made() -> None:
    """The sentence says where there is one."""

    async def main() -> None:
        async with dx.local(programs=QA) as runtime:
            with pytest.raises(dx.InvalidRequest, match="dspex serve"):
                await runtime.open("qa", id="ann", isolation="dedicated")
            assert (await runtime.open("qa", id="ann")).id == "ann"

    asyncio.run(main())


def test_a_dedicated_session_of_a_server_takes_no_turns_here(tmp_path: Path) -> None:
    """It does not quietly share this process; what it has said can be read, and it is not forked."""

    async def main() -> None:
        async with dx.local(programs=QA, home=tmp_path) as runtime:
            session = await runtime.open("qa", id="ann")
            with pytest.raises(dx.InvalidRequest, match="dspex serve"):
                await session.predict(question="?")
            with pytest.raises(dx.InvalidRequest, match="dspex serve"):
                await runtime.runtime.fork_session("default", "ann", ForkSpec(), None)
            assert await session.turns() == []

    async def prepare() -> None:
        async with dx.local(programs=QA, home=tmp_path):
            pass

    asyncio.run(prepare())
    store = open_store(f"sqlite:///{tmp_path / 'dspex.sqlite3'}")
    store.create_session("default", SessionSpec(program="qa", id="ann", isolation="dedicated"))
    store.close()
    asyncio.run(main())
