"""One turn of a program: contexts, history, errors."""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy  # type: ignore[import-untyped]
import pytest

from dspex_actors.errors import DeadlineExceeded, InvalidRequest, LMFailed, OutputInvalid, ProgramFailed
from dspex_actors.programs.call import HistoryTurn
from tests.unit.programs.engines import ScriptedModels, answering, fields, prompt
from tests.unit.programs.running import call, loaded, own
from tests.unit.programs.sample_modules import MARK

TALK = "question: str, history: dspy.History -> answer: str"


def past(*answers: str) -> list[HistoryTurn]:
    """Earlier turns with these answers."""
    return [HistoryTurn({"question": f"before {answer}"}, {"answer": answer}) for answer in answers]


def marks(request: Any) -> str:
    """What the prompt holds of [q1], [h1] and so on."""
    return " ".join(re.findall(r"\[[qh]\d+\]", prompt(request)))


def test_the_model_of_the_call_comes_before_the_programs_and_the_default() -> None:
    """And its name is in the answer."""
    models = ScriptedModels(
        **{name: lambda request, n=name: fields(answer=n) for name in ("default", "own", "session")}
    )
    plain, chosen = loaded(models, signature="q -> answer"), loaded(models, signature="q -> answer", lm="own")

    async def turns() -> list[tuple[str, str]]:
        calls = [
            plain.arun(call({"q": "x"})),
            chosen.arun(call({"q": "x"})),
            chosen.arun(call({"q": "x"}, lm="session")),
        ]
        return [(result.outputs["answer"], result.model) for result in await asyncio.gather(*calls)]

    assert asyncio.run(turns()) == [(name, name) for name in ("default", "own", "session")]


def test_an_unknown_model_is_an_invalid_request() -> None:
    """The models say so, not the program."""
    with pytest.raises(InvalidRequest, match="No model nobody"):
        asyncio.run(loaded(answering(a=1), signature="q -> a").arun(call({"q": "x"}, lm="nobody")))


@pytest.mark.parametrize(("params", "shown"), [({}, 20), ({"history_window": 2}, 2), ({"history_window": 0}, 0)])
def test_the_last_turns_within_the_window_are_shown(params: dict[str, int], shown: int) -> None:
    """In order, the current question last."""
    models = answering(answer="now")
    program = loaded(models, signature=TALK, params=params)
    assert program.history_window == shown
    asyncio.run(program.arun(call({"question": "now?"}, history=past(*(f"<{n}>" for n in range(25))))))
    request = models.engines["default"].requests[0]
    assert [n for n in range(25) if f"before <{n}>" in prompt(request)] == list(range(25 - shown, 25))
    assert len(request.messages) == 2 * shown + 1


def test_fifty_concurrent_turns_never_mix() -> None:
    """Each sees its own model, question and history."""
    names = [f"m{n}" for n in range(5)]
    models = ScriptedModels(**{n: lambda request, n=n: fields(answer=f"{n}: {marks(request)}") for n in names})
    program = loaded(models, signature=TALK)

    async def turns() -> list[Any]:
        calls = [
            call({"question": f"[q{n}]"}, history=past(f"[h{n}]"), lm=names[n % 5], turn_id=f"t{n}") for n in range(50)
        ]
        return await asyncio.gather(*(program.arun(each) for each in calls))

    for n, result in enumerate(asyncio.run(turns())):
        assert result.outputs["answer"] == f"m{n % 5}: [h{n}] [h{n}] [q{n}]"


def test_synchronous_turns_in_threads_never_mix() -> None:
    """They run where the caller calls them."""
    models = ScriptedModels(**{f"m{n}": lambda request, n=n: fields(answer=f"m{n}") for n in range(5)})
    program = loaded(models, module=own("SyncEcho"), lm="m0")
    with ThreadPoolExecutor(8, thread_name_prefix="pool") as pool:
        results = list(pool.map(lambda n: program.run(call({"question": "q"}, lm=f"m{n % 5}")), range(50)))
    assert [result.outputs["answer"] for result in results] == [f"m{n % 5}" for n in range(50)]
    assert all(result.outputs["thread"].startswith("pool") for result in results)


def test_a_run_leaves_nothing_in_dspys_settings_and_histories() -> None:
    """A process that lives long must not grow."""
    models = answering(answer="a")
    program = loaded(models, module=own("SyncEcho"))
    before = dict(dspy.settings.config)
    program.run(call({"question": "q"}))
    assert dict(dspy.settings.config) == before
    assert models.get(None).history == []
    assert dspy.settings.trace == before["trace"]


def test_what_the_process_configured_does_not_reach_a_run() -> None:
    """Callbacks, adapters and models of others stay out."""
    seen: list[str] = []

    class Spy(dspy.utils.callback.BaseCallback):  # type: ignore[misc]
        def on_lm_start(self, call_id: str, instance: Any, inputs: Any) -> None:
            seen.append(call_id)

    program = loaded(answering(answer="a"), signature="question -> answer")
    with dspy.context(callbacks=[Spy()], adapter=dspy.JSONAdapter(), lm=None):
        result = asyncio.run(program.arun(call({"question": "q"})))
    assert (result.outputs, seen) == ({"answer": "a"}, [])


def test_a_module_gets_copies_and_the_session_keeps_the_history() -> None:
    """What it changes is its own."""
    program = loaded(answering(), module=own("Remembers"))
    inputs, turn = {"question": "q", "tags": ["a"]}, HistoryTurn({"question": "p", "tags": ["b"]}, {"answer": "x"})
    program.validate(inputs)
    assert program.run(call(inputs, history=[turn])).outputs == {"answer": "q after 1"}
    assert (inputs["tags"], turn.inputs["tags"]) == (["a"], ["b"])
    with pytest.raises(InvalidRequest, match="the session keeps the history itself"):
        program.validate({**inputs, "history": []})


def test_declared_types_reach_the_module_as_python_values() -> None:
    """A date is a date, and JSON again in the outputs."""
    result = loaded(answering(), module=own("Dated")).run(call({"day": "2026-03-04"}))
    assert result.outputs == {"year": 2026, "day": "2026-03-04"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("value", "ValueError"), ("exit", "SystemExit"), ("cancelled", "CancelledError"), ("ours", "Outcome")],
)
def test_what_a_program_raises_is_named_and_nothing_more(
    kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The text and the traceback are in the log only; our own classes are the user's here."""
    with caplog.at_level(logging.WARNING), pytest.raises(ProgramFailed, match=f"The program raised {name}") as caught:
        asyncio.run(loaded(answering(), module=own("Raises")).arun(call({"kind": kind})))
    assert "secret text" not in caught.value.detail
    assert "secret text" in caplog.text


def test_a_synchronous_program_that_raises_is_the_same() -> None:
    """Errors do not depend on the kind of program."""
    with pytest.raises(ProgramFailed, match="The program raised KeyError") as caught:
        loaded(answering(), module=own("SyncRaises")).run(call({}))
    assert "secret text" not in caught.value.detail


@pytest.mark.parametrize("module", ["predict", own("AsyncEcho")])
def test_a_failing_model_is_the_models_error(module: str) -> None:
    """Whichever program asked it."""

    def fails(request: Any) -> str:
        raise RuntimeError("secret text")

    signature = "question: str -> answer: str"
    with pytest.raises(LMFailed) as caught:
        asyncio.run(
            loaded(ScriptedModels(default=fails), signature=signature, module=module).arun(call({"question": "q"}))
        )
    assert "secret text" not in caught.value.detail


def test_an_answer_without_the_fields_is_output_invalid() -> None:
    """Also after DSPy's second try in JSON."""
    with pytest.raises(OutputInvalid):
        asyncio.run(loaded(answering(other=1), signature="q -> answer").arun(call({"q": "x"})))


def test_a_module_that_returns_no_prediction_is_output_invalid() -> None:
    """The sentence says what to return."""
    with pytest.raises(OutputInvalid, match=r"Return dspy\.Prediction"):
        loaded(answering(), module=own("ReturnsText")).run(call({"question": "q"}))


@pytest.mark.parametrize("deadline_s", [0.0, -1.0])
def test_an_expired_turn_never_starts(deadline_s: float) -> None:
    """Neither kind."""
    models = answering(answer="a")
    with pytest.raises(DeadlineExceeded):
        asyncio.run(loaded(models, signature="q -> answer").arun(call({"q": "x"}, deadline_s=deadline_s)))
    with pytest.raises(DeadlineExceeded):
        loaded(models, module=own("SyncEcho")).run(call({"question": "x"}, deadline_s=deadline_s))
    assert models.engines["default"].requests == []


def test_a_synchronous_program_runs_in_a_copy_of_the_callers_context() -> None:
    """What it sets is not seen outside."""
    program = loaded(answering(answer="a"), module=own("SetsContext"))
    program.run(call({}))
    asyncio.run(loaded(answering(answer="a"), module=own("SetsContextLater")).arun(call({})))
    assert MARK.get() == "untouched"
