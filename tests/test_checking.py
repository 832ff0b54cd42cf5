"""The checker: what it says of code that is wrong in ways of its own."""

import re
import sys
import time

import numpy as np
import pytest

from cnnbook import checking
from cnnbook.checking import (
    Case,
    Endless,
    Exercise,
    Mistake,
    difference,
    examine,
    same,
    within,
)

DOUBLE = Exercise(
    name="double",
    chapter="checking",
    answer=lambda x: 2 * x,
    cases=lambda rng: [
        Case("small", np.array([[1.0, 2.5]])),
        Case("larger", rng.normal(size=(3, 4))),
        Case("larger", rng.normal(size=(2, 5))),
        Case("whole", np.array([[1, 2, 3]])),
        Case("float32", rng.normal(size=(2, 3)).astype(np.float32)),
    ],
    mistakes=(
        Mistake("square", "That is the square.", (lambda x: x * x,)),
        Mistake("half", "That is the half.", (lambda x: x / 2, lambda x: x // 2)),
        Mistake("signed", "Not a number.", sign=lambda g, e, x: np.isnan(g).all()),
    ),
)
PAIR = Exercise(
    name="pair",
    chapter="checking",
    answer=lambda x, y: (x + y, x - y),
    cases=lambda rng: [Case("any", rng.normal(size=3), rng.normal(size=3))],
    mistakes=(Mistake("swapped", "The other way.", (lambda x, y: (x + y, y - x),)),),
    parts=("total", "rest"),
)


def no_end_in_one_line(x):
    while True: pass  # noqa: E701  # fmt: skip


def no_end_with_except(x):
    while True:
        try:  # noqa: SIM105
            x = x + 1
        except:  # noqa: E722
            pass


def no_end_in_a_generator(x):
    return sum(1 for _ in iter(int, 1))


def no_end_in_a_list(x):
    return [0 for _ in iter(int, 1)]


def no_end_but_caught(x):
    try:
        while True:
            x = x + 1
    except BaseException:
        return 2 * x


def no_end_in_another_function(x):
    def inner():
        while True:
            yield from range(10)

    return list(inner())


def recurses(x):
    return recurses(x)


def recurses_and_goes_on(x):
    try:
        return recurses_and_goes_on(x)
    except RecursionError:
        pass
    while True:
        x = x + 1


def long_steps(x):
    while True:
        time.sleep(0.02)


@pytest.mark.parametrize(
    "solution",
    [
        no_end_in_one_line,
        no_end_with_except,
        no_end_in_a_generator,
        no_end_in_a_list,
        no_end_but_caught,
        no_end_in_another_function,
        recurses,
        recurses_and_goes_on,
        long_steps,
    ],
)
def test_endless_code_is_stopped(solution, monkeypatch):
    monkeypatch.setattr(checking.within, "__defaults__", (1.0, 300))  # seconds, depth
    verdict = examine(DOUBLE, solution)
    assert verdict.mistake == "endless", verdict.message
    assert "never ends" in verdict.message
    assert sys.gettrace() is None


def test_budget_counts_the_readers_steps_only():
    def much_in_numpy(x):
        for _ in range(50):
            x = np.pad(x, ((0, 0), (1, 1)))
        return x

    assert within(5_000, much_in_numpy)(np.zeros((2, 2))).shape == (2, 102)
    with pytest.raises(Endless):
        within(5_000, lambda: [k + 1 for k in range(5_000)])()


def test_debugger_keeps_its_place():
    seen = []

    def tracer(frame, event, arg):
        seen.append(event)

    sys.settrace(tracer)
    try:
        assert within(3, lambda: sum(range(100)))() == 4950
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(None)
    assert seen


def stops(x):
    raise SystemExit(3)


def misses(x):
    return x[7, 7]


@pytest.mark.parametrize(
    ("solution", "words"),
    [
        (stops, "SystemExit"),
        (misses, "return x[7, 7]"),
        (lambda: 1, "TypeError"),
        (lambda x: x.nothing, "AttributeError"),
    ],
)
def test_exceptions_are_told_with_their_line(solution, words):
    verdict = examine(DOUBLE, solution)
    assert verdict.mistake == "error"
    assert words in verdict.message and "x, (1, 2)" in verdict.message


def test_interrupt_is_not_held_up():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(DOUBLE, interrupted)
    assert sys.gettrace() is None


def in_place(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("solution", "mistake", "words"),
    [
        (lambda x: None, "nothing", "return at its end"),
        (in_place, "changed input", "changed x, which"),
        (lambda x: x**2, "square", "That is the square."),
        (lambda x: [[v / 2 for v in row] for row in x], "half", "That is the half."),
        (lambda x: x + np.nan, "signed", "Not a number."),
        (lambda x: np.ones_like(x, int), "unknown", "2 of 2 numbers differ"),
        (lambda x: -2 * x, "unknown", "wrong sign"),
        (lambda x: 6 * x, "unknown", "3 times"),
        (lambda x: 2 * x[0], "unknown", "(2,), where (1, 2)"),
        (lambda x: "twice", "unknown", "a str"),
        (lambda x: {"y": 2 * x}, "unknown", "a dict"),
        (lambda x: [[1], [2, 3]], "unknown", "a list"),
        (lambda x: np.where(x > 2, np.inf, 2 * x), "unknown", "nan or inf"),
        (lambda x: (2 * x).astype(complex), "unknown", "an array of complex128"),
        (lambda x: 2.0 * x.astype(float), "wrong dtype", "float64 comes"),
    ],
)
def test_what_is_wrong_is_told(solution, mistake, words):
    verdict = examine(DOUBLE, solution)
    assert (verdict.right, verdict.mistake) == (False, mistake), verdict.message
    assert words in verdict.message


@pytest.mark.parametrize(
    "solution",
    [lambda x: 2 * x, lambda x: x + x, lambda x: np.asarray(x) * x.dtype.type(2)],
)
def test_right_is_right(solution):
    verdict = examine(DOUBLE, solution)
    assert verdict.right and verdict.mistake is None
    assert "right, in all 5 cases" in verdict.message


def test_cut_off_fractions_are_recognised():
    verdict = examine(DOUBLE, lambda x: (2 * x).astype(int) if x.size > 2 else 2 * x)
    assert verdict.mistake == "integer output"


def test_adding_fractions_to_whole_numbers_is_recognised():
    def adds_up(x):
        total = np.zeros(x.shape, int)
        total += 2 * x
        return total

    verdict = examine(DOUBLE, adds_up)
    assert verdict.mistake == "integer output" and "total += 2 * x" in verdict.message


def test_enough_digits_are_shown_to_see_the_difference():
    told = examine(DOUBLE, lambda x: 2.00001 * x).message
    got, expected = re.findall(r"\[\[.*\]\]", told)[-2:]
    assert got != expected


def test_hint_of_a_stub_is_told():
    def stub(x):
        raise NotImplementedError("what is x + x?")

    verdict = examine(DOUBLE, stub)
    assert verdict.mistake == "unwritten"
    assert verdict.message == "stub isn't written yet. Hint: what is x + x?"


def test_stub_that_is_called_is_named():
    def helper(x):
        raise NotImplementedError

    def finished(x):
        return helper(x)

    assert examine(DOUBLE, finished).message == (
        "finished calls helper, which isn't written yet."
    )


def test_check_inside_of_what_it_checks_is_refused():
    def indented(x):
        examine(DOUBLE, indented)
        return 2 * x

    verdict = examine(DOUBLE, indented)
    assert verdict.mistake == "error" and "to the margin" in verdict.message
    assert examine(DOUBLE, lambda x: 2 * x).right


def test_long_results_are_cut():
    for result in ([[0] * (k % 3) for k in range(20_000)], "a" * 10**7, object()):
        assert len(examine(DOUBLE, lambda x, r=result: r).message) < 600
    big = np.zeros((9, 9, 9, 9))
    assert len(examine(DOUBLE, lambda x: big).message.splitlines()) < 40


class NoArray:
    def __array__(self, *args, **kwargs):
        raise RuntimeError


def ends_oddly(x):
    raise GeneratorExit


def test_odd_results_are_told_too():
    assert "a NoArray" in examine(DOUBLE, lambda x: NoArray()).message
    assert "GeneratorExit" in examine(DOUBLE, ends_oddly).message
    verdict = examine(PAIR, lambda x, y: (None, x - y))
    assert verdict.mistake == "nothing" and "total" in verdict.message


def test_several_results():
    assert examine(PAIR, lambda x, y: (x + y, x - y)).right
    assert examine(PAIR, lambda x, y: [x + y, x - y]).right
    assert examine(PAIR, lambda x, y: x + y).mistake == "parts"
    assert examine(PAIR, lambda x, y: (x + y,)).mistake == "parts"
    verdict = examine(PAIR, lambda x, y: (x + y, y - x))
    assert verdict.mistake == "swapped" and "<lambda>, rest: " in verdict.message
    verdict = examine(PAIR, lambda x, y: (x * y, y - x))
    assert verdict.mistake == "unknown" and "<lambda>, total: " in verdict.message


def test_results_in_another_order_are_recognised():
    verdict = examine(PAIR, lambda x, y: (x - y, x + y))
    assert verdict.mistake == "order" and "(total, rest)" in verdict.message


def mutters(x):
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    raise Broken


@pytest.mark.parametrize(
    ("solution", "words"),
    [
        (lambda x: max(x, 0), "np.maximum"),
        (lambda x: x if x > 0 else 0 * x, "np.where"),
        (lambda x: np.array([[1.0]]).item(sum(x)), "np.sum"),
        (lambda x: np.max(x[5:7]), "window is empty"),
        (lambda x: x + np.ones((3, 7)), "reaches over the edge"),
        (lambda x: x @ np.ones((9, 2)), "as many columns"),
        (lambda x: x[0, 99], "index is too large"),
        (mutters, "can't be shown"),
    ],
)
def test_errors_are_put_into_words(solution, words):
    verdict = examine(DOUBLE, solution)
    assert verdict.mistake == "error" and words in verdict.message, verdict.message


def test_solution_must_be_callable():
    with pytest.raises(TypeError, match="^solution: .*without parentheses.*an array"):
        examine(DOUBLE, np.zeros(3))


def test_cases_depend_on_the_seed_alone():
    told = [examine(DOUBLE, lambda x: x + x[:1] * 3, seed).message for seed in (1, 1)]
    assert told[0] == told[1]
    first = next(iter(DOUBLE.cases(np.random.default_rng(1))))
    assert first.group == "small"


def test_first_failing_group_decides():
    def two_mistakes(x):  # right where it is small
        return 2 * x if x.size == 2 else x * x if x.size > 9 else x / 2

    verdict = examine(DOUBLE, two_mistakes)
    assert verdict.mistake == "square", "both larger cases have ten numbers or more"


def test_same_and_difference():
    a = np.arange(6.0).reshape(2, 3)
    assert same(a.tolist(), a) and not same(a.T, a) and not same(None, a)
    assert same(a + 1e-9, a) and not same(a + 1e-3, a)
    assert same(np.zeros((0, 3)), np.zeros((0, 3)))
    assert not same(np.full((2, 3), np.nan), a)
    assert "turned by 180" in difference(a[::-1, ::-1], a)
    square = np.arange(4.0).reshape(2, 2)
    assert "last two axes are swapped" in difference(square.T, square)
    assert difference(2.0, 1.0) == "The number differs."
