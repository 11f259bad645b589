"""`dx.local()`: the whole of it in one process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import dspex_actors as dx

QA = {"qa": "question: str, history: dspy.History -> answer: str"}


def test_the_second_turn_saw_the_first() -> None:
    """The conversation is state."""

    async def main() -> str:
        async with dx.local(programs=QA) as runtime:
            session = await runtime.open("qa", id="alice")
            await session.predict(question="What is 2+2?")
            return str((await session.predict(question="And 3+3?")).outputs.answer)

    answer = asyncio.run(main())
    assert "earlier turns shown: 1" in answer
    assert "What is 2+2?" in answer


def test_a_history_window_shows_that_many_turns(tmp_path: Path) -> None:
    """Two of three; the same after the window was read from the journal."""
    programs = {"qa": {"signature": QA["qa"], "params": {"history_window": 2}}}

    async def main(turns: int) -> str:
        async with dx.local(programs=programs, home=tmp_path / "home") as runtime:
            session = await runtime.open("qa", id="alice")
            for number in range(turns):
                answer = str((await session.predict(question=f"q{number}")).outputs.answer)
            return answer

    assert "earlier turns shown: 2" in asyncio.run(main(4))
    assert "earlier turns shown: 2" in asyncio.run(main(1))


def test_a_home_keeps_everything(tmp_path: Path) -> None:
    """Another process, or this one again, finds the session as it was."""

    async def main(question: str) -> dict[str, object]:
        async with dx.local(programs=QA, home=tmp_path / "home") as runtime:
            session = await runtime.open("qa", id="alice")
            await session.predict(question=question)
            return {"turns": [turn["inputs"]["question"] for turn in await session.turns()]}

    asyncio.run(main("one"))
    assert asyncio.run(main("two")) == {"turns": ["one", "two"]}


def test_a_home_that_is_held_is_refused(tmp_path: Path) -> None:
    """By the same lock as `dspex serve`."""

    async def main() -> None:
        async with dx.local(home=tmp_path / "home"):
            with pytest.raises(dx.InUse, match="in use"):
                async with dx.local(home=tmp_path / "home"):
                    pass

    asyncio.run(main())


def test_a_key_gives_the_recorded_answer_again() -> None:
    """And refuses another body."""

    async def main() -> tuple[bool, int]:
        async with dx.local(programs=QA) as runtime:
            session = await runtime.open("qa")
            await session.predict(question="a", idempotency_key="k")
            again = await session.predict(question="a", idempotency_key="k")
            with pytest.raises(dx.IdempotencyMismatch):
                await session.predict(question="b", idempotency_key="k")
            return again.replayed, again.turn

    assert asyncio.run(main()) == (True, 1)


def test_a_session_is_rewound_restored_and_forked() -> None:
    """Each turn says whether it was left."""

    async def main() -> tuple[list[bool], list[bool], dict[str, object]]:
        async with dx.local(programs=QA) as runtime:
            session = await runtime.open("qa", id="alice")
            for question in "abc":
                await session.predict(question=question)
            rewound = await session.rewind(1, idempotency_key="r")
            assert await session.rewind(1, idempotency_key="r") == rewound
            left = [turn["left"] for turn in await session.turns()]
            second = await session.fork(at_turn=3, id="bob")
            return left, [turn["left"] for turn in await second.turns()], rewound

    left, forked, rewound = asyncio.run(main())
    assert (left, forked) == ([False, True, True], [False] * 3)
    assert rewound == {"session": "alice", "turn_id": "r", "to_turn": 1, "next_turn": 4}


@pytest.mark.parametrize(("to_turn", "error"), [(2, dx.NotFound), (-1, dx.InvalidRequest), ("1", dx.InvalidRequest)])
def test_a_turn_that_is_none_is_refused(to_turn: int, error: type[dx.DspexError]) -> None:
    """By a rewind and by a fork, and the session is as before."""

    async def main() -> None:
        async with dx.local(programs=QA) as runtime:
            session = await runtime.open("qa")
            await session.predict(question="a")
            with pytest.raises(error, match="turn"):
                await session.rewind(to_turn)
            with pytest.raises(error, match="turn"):
                await session.fork(at_turn=to_turn)
            assert (await session.predict(question="b")).turn == 2

    asyncio.run(main())


def test_a_running_turn_is_cancelled_and_a_busy_session_does_as_it_was_told() -> None:
    """As over HTTP."""

    async def main() -> None:
        async with dx.local(programs=QA, lm="mock?latency_s=20") as runtime:
            session = await runtime.open("qa", on_busy="reject")
            turn = asyncio.ensure_future(session.predict(question="a", idempotency_key="k"))
            async with asyncio.timeout(10):
                while (await runtime.runtime.get_session("default", session.id))["status"] != "busy":
                    pass
            with pytest.raises(dx.SessionBusy):
                await session.predict(question="b")
            assert await session.cancel() == {"session": session.id, "cancelled": ["k"], "too_late": []}
            with pytest.raises(dx.Cancelled):
                await turn
            assert (await session.cancel("k"))["cancelled"] == ["k"]
            with pytest.raises(dx.NotFound):
                await session.cancel("none")

    asyncio.run(main())


def test_a_session_that_is_deleted_and_made_again_starts_anew() -> None:
    """Nothing late lands in the new one."""

    async def main() -> int:
        async with dx.local(programs=QA) as runtime:
            await (await runtime.open("qa", id="alice")).predict(question="a")
            await runtime.runtime.delete_session("default", "alice")
            reply = await (await runtime.open("qa", id="alice")).predict(question="b")
            return reply.turn

    assert asyncio.run(main()) == 1


def test_a_program_that_is_none_is_refused_with_its_problems() -> None:
    """Before anything starts."""
    with pytest.raises(dx.InvalidRequest) as refused:
        dx.local(programs={"qa": {"signature": "a -> b", "colour": "red"}})
    assert refused.value.errors[0]["loc"] == ["colour"]


def test_fields_with_names_of_ours_go_into_inputs() -> None:
    """`timeout_s` may be a field of a signature."""

    async def main() -> str:
        async with dx.local(programs={"p": "timeout_s: str -> answer: str"}) as runtime:
            reply = await (await runtime.open("p")).predict(inputs={"timeout_s": "soon"})
            return str(reply.outputs.answer)

    assert "soon" in asyncio.run(main())


TUTOR = {"signature": "question -> answer", "variables": {"level": {"type": "int", "default": 1}}}


def test_a_session_has_variables_and_follows_its_program() -> None:
    """Set, refused, brought back; a new version runs when it is promoted."""

    async def main() -> None:
        async with dx.local(programs={"tutor": TUTOR}) as runtime:
            session = await runtime.open("tutor", variables={"level": 2}, declare={"own": {"type": "bool"}})
            await session.predict(question="one")
            assert (await session.set(level=3, own=True, idempotency_key="k"))["values"] == {"level": 3, "own": True}
            with pytest.raises(dx.InvalidRequest, match="level must be a whole number"):
                await session.set(level="x")
            with pytest.raises(dx.InvalidRequest, match="values that JSON has"):
                await session.set(level=object())
            await session.rewind(1)
            assert await session.variables() == {"level": 2, "own": None}
            made = await runtime.update_program("tutor", instructions="Go.")
            assert (await session.update(version_policy="follow"))["version"] == 1
            await runtime.promote("tutor", made.version)
            await session.predict(question="two")
            assert [turn["version"] for turn in await session.turns()] == [1, 2]

    asyncio.run(main())
