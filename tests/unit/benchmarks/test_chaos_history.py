"""Linearizability of one session's history: against every order there is, and against histories that were broken."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.chaos_history import Model, explain
from benchmarks.chaos_log import Answer, Operation, Outcome
from tests.unit.benchmarks.chaos_cases import answers, done, log, refused, unknown


def simulate(rng: random.Random, turns: int) -> list[Operation]:
    """Turns that take effect at one moment between sent and answered; some answers are lost, before or after."""
    model, asked = Model(), []
    effects = sorted((rng.uniform(0, 10), f"k{number}") for number in range(turns))
    for at, key in effects:
        sent, answered = at - rng.uniform(0, 3), at + rng.uniform(0, 3)
        match rng.choice(["done", "done", "done", "unseen", "never", "refused"]):
            case "never":
                asked.append(unknown(key, sent))
            case "refused":
                asked.append(refused(key, sent))
            case outcome:
                then = model.append(key)
                answer = Answer(then.count, then.count, then.digest, model.last, 1)
                asked.append(done(key, answer, sent, answered) if outcome == "done" else unknown(key, sent))
                model = then
    return asked


def brute(asked: list[Operation]) -> bool:
    """Whether any order of any of the possible turns explains the answers: by trying them all."""
    sure = [each for each in asked if each.outcome is Outcome.DONE]
    maybe = [each for each in asked if each.outcome is Outcome.UNKNOWN]
    chosen = itertools.chain.from_iterable(itertools.combinations(maybe, n) for n in range(len(maybe) + 1))
    return any(explains(order) for some in chosen for order in itertools.permutations([*sure, *some]))


def explains(order: tuple[Operation, ...]) -> bool:
    """Whether this order keeps real time and gives every answer."""
    model = Model()
    for at, each in enumerate(order):
        if any(later.done is not None and later.done < each.sent for later in order[at + 1 :]):
            return False
        if each.answer is not None and not model.answers(each.key, each.answer):
            return False
        model = model.append(each.key)
    return True


@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_what_a_correct_session_does_is_linearizable(rng: random.Random, turns: int) -> None:
    """Whatever overlaps, and whichever answers are lost."""
    assert explain(simulate(rng, turns)) is None


@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_search_agrees_with_trying_every_order(rng: random.Random, turns: int) -> None:
    """On small histories whose times and answers were shaken."""
    asked = [shaken(each, rng) for each in simulate(rng, turns)]
    assert (explain(asked) is None) == brute(asked)


def shaken(each: Operation, rng: random.Random) -> Operation:
    """Now and then with another time or number."""
    if each.answer is None or rng.random() < 0.6:
        return each
    if rng.random() < 0.5:
        return replace(each, sent=each.sent + (by := rng.uniform(-6, 6)), done=(each.done or 0) + by)
    return replace(each, answer=replace(each.answer, turn=each.answer.turn + rng.choice([-1, 1])))


@given(st.randoms(use_true_random=False), st.integers(2, 20), st.data())
def test_a_turn_that_an_answer_shows_cannot_be_left_out(rng: random.Random, turns: int, data: st.DataObject) -> None:
    """An acknowledged turn is lost: a later one saw it, and nobody sent it."""
    asked = simulate(rng, turns)
    seen = sorted((each for each in asked if each.answer), key=lambda each: each.answer.turn if each.answer else 0)
    assume(len(seen) >= 2)
    gone = data.draw(st.sampled_from(seen[:-1]))
    assert explain([each for each in asked if each is not gone]) is not None


@given(st.lists(st.text("abc", min_size=1), min_size=2, unique=True), st.data())
def test_a_turn_that_does_not_see_its_predecessor_is_found(keys: list[str], data: st.DataObject) -> None:
    """It ran on an older state: a stale owner did it."""
    at = data.draw(st.integers(1, len(keys) - 1))
    asked = log(keys)
    stale = answers([*keys[: at - 1], keys[at]])[keys[at]]
    asked[at] = replace(asked[at], answer=replace(stale, turn=at + 1, number=at + 1))
    assert explain(asked) is not None


@given(st.lists(st.text("abc", min_size=1), min_size=2, unique=True), st.data())
def test_two_turns_that_change_places_are_found(keys: list[str], data: st.DataObject) -> None:
    """Sent one after the other's answer, numbered the other way round."""
    at = data.draw(st.integers(1, len(keys) - 1))
    swapped = [*keys[: at - 1], keys[at], keys[at - 1], *keys[at + 1 :]]
    asked = [done(key, answers(swapped)[key], n, n + 0.5) for n, key in enumerate(keys)]
    assert "was sent when a later number had been answered" in (explain(asked) or "")


def test_one_number_for_two_turns_is_found() -> None:
    """Two owners at once."""
    both = [done("b", answers(("a", "b"))["b"], 1, 2), done("c", answers(("a", "c"))["c"], 1, 2)]
    assert "turn 2 was given to" in (explain([*log("a"), *both]) or "")


def test_one_key_with_two_answers_is_found() -> None:
    """It ran twice."""
    assert "was answered as" in (explain([*log("ab"), done("a", answers("ba")["a"], 5, 6)]) or "")


def test_answers_that_nobody_got_may_stand_in_any_order() -> None:
    """Ten turns in a row whose answers were lost, more than an answer names."""
    keys = [f"u{number}" for number in range(10)]
    last = answers([*keys, "z"])["z"]
    assert explain([*(unknown(key, 0) for key in keys), done("z", last, 1, 2)]) is None
