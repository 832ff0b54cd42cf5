"""Central differences, against derivatives that are known."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from oracle_cases import LAYOUTS, SEEDS, Untouched, assert_refused, assert_same
from scipy import optimize

from cnnbook.gradcheck import check_gradient, numerical_gradient

KNOWN = {
    "a sum": (np.sum, np.ones_like),
    "squares": (lambda x: np.sum(x**2), lambda x: 2 * x),
    "cubes": (lambda x: np.sum(x**3), lambda x: 3 * x**2),
    "sines": (lambda x: np.sin(x).sum(), np.cos),
    "exponentials": (lambda x: np.exp(x).sum(), np.exp),
    "a product": (np.prod, lambda x: np.prod(x) / x),
    "a norm": (np.linalg.norm, lambda x: x / np.linalg.norm(x)),
    "a constant": (lambda x: 7, np.zeros_like),
}


@pytest.mark.parametrize("name", KNOWN)
@settings(derandomize=True, deadline=None, max_examples=10)
@given(seed=SEEDS)
def test_numerical_gradient_equals_known_derivatives(name, seed):
    """The slope measured is the slope that calculus gives."""
    f, derivative = KNOWN[name]
    x = np.random.default_rng(seed).uniform(0.5, 1.5, 6)
    with Untouched(x):
        measured = numerical_gradient(f, x)
        error = check_gradient(f, x, derivative(x))
    assert_same(measured, derivative(x), tolerance=1e-8)
    assert 0 <= error <= 1e-7


def test_numerical_gradient_equals_scipys():
    """SciPy's finite differences of Rosenbrock's function agree."""
    x = np.array([1.3, 0.7, 0.8, 1.9])
    measured = numerical_gradient(optimize.rosen, x)
    assert_same(measured, optimize.rosen_der(x), tolerance=1e-7)


def test_central_differences_are_exact_for_a_parabola():
    """The error of a one-sided difference, epsilon, isn't there."""
    measured = numerical_gradient(lambda x: float(x[0] ** 2), [3.0], 0.5)
    assert_same(measured, [6.0])


def test_the_shape_is_kept_and_whole_numbers_and_float32_become_float64():
    """Any number of axes, none included; the step is too small for float32."""
    for x in (3, [1, 2], np.ones((2, 1, 3)), np.ones((2, 2), np.float32)):
        measured = numerical_gradient(lambda v: np.sum(v * v), x)
        assert measured.shape == np.shape(x)
        assert measured.dtype == np.float64
        assert_same(measured, 2.0 * np.asarray(x, float), tolerance=1e-8)
    assert numerical_gradient(np.sum, np.ones((0, 3))).shape == (0, 3)
    assert check_gradient(np.sum, np.ones((0, 3)), np.ones((0, 3))) == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_measured_and_left_alone(layout):
    """Strides in memory change no slope and no input."""
    plain = np.random.default_rng(4).standard_normal((2, 3, 2))
    x = LAYOUTS[layout](plain)
    with Untouched(x):
        measured = numerical_gradient(lambda v: np.sum(v**2), x)
        check_gradient(lambda v: np.sum(v**2), x, LAYOUTS[layout](2 * plain))
    assert_same(measured, 2 * plain, tolerance=1e-8)


def test_a_function_that_writes_into_its_argument_does_no_harm():
    """Each call gets an array of its own."""

    def f(v):
        value = float(np.sum(v**2))
        v[...] = 99
        return value

    x = np.array([1.0, -2.0, 0.5])
    with Untouched(x):
        measured = numerical_gradient(f, x)
    assert_same(measured, 2 * x, tolerance=1e-8)


def test_numbers_in_arrays_count_as_numbers():
    """A function may return an array of one number."""
    measured = numerical_gradient(lambda v: np.array([[v.sum()]]), [1.0, 2.0])
    assert_same(measured, [1.0, 1.0], tolerance=1e-8)


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (0, 1)])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 5.0, -1e-3])
def test_check_gradient_names_the_worst_place(place, wrong):
    """A wrong number is found where it is, NaN too, and reported."""
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    gradient = 2 * x
    gradient[place] += wrong
    gradient[1, 1] += 1e-5  # wrong as well, but less
    shown = rf"dx: .*{re.escape(str(place))}.*got {gradient[place]:.6g}"
    with Untouched(x, gradient), pytest.raises(AssertionError, match=shown):
        check_gradient(lambda v: np.sum(v**2), x, gradient, name="dx")


def test_check_gradient_measures_against_the_largest_slope():
    """The error returned is max|a - n| / max|n|."""
    x = np.array([1.0, 2.0])
    error = check_gradient(lambda v: np.sum(v**2), x, [2.0, 4.2], tolerance=0.1)
    assert error == pytest.approx(0.05)
    with pytest.raises(AssertionError, match="above"):
        check_gradient(lambda v: np.sum(v**2), x, [2.0, 4.2], tolerance=0.04)


def test_check_gradient_of_a_constant():
    """Where every slope is 0, the error is not divided by it."""
    assert check_gradient(lambda v: 3.0, np.ones(2), np.zeros(2)) == 0
    with pytest.raises(AssertionError, match=r"\(1,\)"):
        check_gradient(lambda v: 3.0, np.ones(2), [0.0, 1e-3])


@pytest.mark.parametrize("wrong", [np.nan, 5.0])
def test_check_gradient_of_a_single_number(wrong):
    """A number without axes is checked, too."""
    assert check_gradient(lambda v: v**2, 3.0, 6.0) < 1e-7
    with pytest.raises(AssertionError, match="gradient"):
        check_gradient(lambda v: v**2, 3.0, wrong)


def test_check_gradient_doubts_a_function_that_gives_nan():
    """What can't be measured is not right."""
    with pytest.raises(AssertionError, match="gradient"):
        check_gradient(lambda v: np.nan, np.ones(2), np.ones(2))


def test_a_step_across_a_kink_or_too_wide_is_seen():
    """The gradient of |x| beside 0 fails for a step that crosses 0."""
    f = lambda v: np.abs(v).sum()  # noqa: E731
    assert check_gradient(f, [1e-3], [1.0]) < 1e-7
    with pytest.raises(AssertionError, match="gradient"):
        check_gradient(f, [1e-3], [1.0], epsilon=1e-2)


@pytest.mark.parametrize(
    "changed",
    [
        {"x": None},
        {"x": [1j, 2.0]},
        {"x": ["a", "b"]},
        {"x": [[1.0], [1.0, 2.0]]},
        {"x": np.ones(2, object)},
        {"epsilon": 0},
        {"epsilon": -1e-5},
        {"epsilon": np.nan},
        {"epsilon": "small"},
        {"f": lambda v: v},
        {"f": lambda v: None},
        {"f": lambda v: "a"},
    ],
    ids=lambda changed: "-".join(map(str, changed.items()))[:24],
)
def test_numerical_gradient_refuses_bad_arguments(changed):
    """The message names the argument, and nothing is changed."""
    right = {"f": np.sum, "x": np.ones(2)}
    assert_refused(numerical_gradient, right, (changed, next(iter(changed))))


@pytest.mark.parametrize(
    "gradient",
    [
        np.ones(3),
        np.ones((2, 1)),
        1.0,
        None,
        ["a", "b"],
        np.ones(2) + 0j,
        [[1.0], [1.0, 2.0]],
    ],
    ids=str,
)
def test_check_gradient_refuses_what_is_no_gradient(gradient):
    """The message names it, and nothing is changed."""
    right = {"f": np.sum, "x": np.ones(2)}
    assert_refused(check_gradient, right, ({"gradient": gradient}, "gradient"))


def test_check_gradient_refuses_a_ragged_x():
    """The message names it."""
    right = {"f": np.sum, "gradient": np.ones(2)}
    assert_refused(check_gradient, right, ({"x": [[1.0], [1.0, 2.0]]}, "x"))
