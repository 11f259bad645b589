"""Your own modules as supervised sessions, in one process.

python examples/user_module/run.py
"""

import asyncio

import dspex_actors as dx

PROGRAMS = {
    "triage": {"module": "python:helpdesk.modules:Triage", "params": {"history_window": 5}},
    "summary": {"module": "python:helpdesk.modules:Summary", "params": {"sentences": 2}},
}


async def main() -> None:
    async with dx.local(programs=PROGRAMS, packages=("helpdesk",)) as runtime:
        triage = await runtime.open("triage", id="ticket-1")
        for ticket in ("My invoice is wrong.", "It is still wrong."):
            outputs = (await triage.predict(ticket=ticket)).outputs
            print(f"{outputs.team} (earlier turns: {outputs.seen}): {outputs.answer}")

        summary = await runtime.open("summary")
        print((await summary.predict(text="A long story.", style="formal")).outputs.summary)


if __name__ == "__main__":
    asyncio.run(main())
