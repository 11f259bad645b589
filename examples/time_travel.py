"""A session that is rewound, restored and forked: in one process, with the mock engine.

python examples/time_travel.py
"""

import asyncio

import dspex_actors as dx
from dspex_actors.embedded.session import LocalSession

CHAT = "question: str, history: dspy.History -> answer: str"


async def show(session: LocalSession) -> None:
    turns = [f"({turn['turn']})" if turn["left"] else str(turn["turn"]) for turn in await session.turns()]
    print(f"{session.id}: {' '.join(turns)}")


async def main() -> None:
    async with dx.local(programs={"chat": CHAT}) as runtime:
        session = await runtime.open("chat", id="alice")
        for question in ("Plan a trip.", "To the sea.", "By train.", "In July."):
            await session.predict(question=question)
        await show(session)

        # Back to turn 2: turns 3 and 4 are left behind. Numbers go on.
        await session.rewind(2)
        reply = await session.predict(question="By bicycle.")
        print(f"turn {reply.turn}: {reply.outputs.answer}")
        await show(session)

        # And to what was left: the same call.
        await session.rewind(4)
        await show(session)

        # Another session with the past of this one, as it was after its second turn.
        second = await session.fork(at_turn=2, id="alice-2")
        await second.predict(question="On foot.")
        await show(second)
        await show(session)


if __name__ == "__main__":
    asyncio.run(main())
