"""Accuracy and the confusion matrix, against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnbook.metrics import (
    accuracy,
    confusion_matrix,
    largest_confusions,
    per_class_accuracy,
    top_k_accuracy,
)

PAIRS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40
)


def test_by_hand():
    """Five digits, one of them taken for another."""
    true, guess = [0, 1, 2, 2, 1], [0, 1, 2, 1, 1]
    assert accuracy(true, guess) == 0.8
    assert type(accuracy(true, guess)) is float
    expected = [[1, 0, 0], [0, 2, 0], [0, 1, 1]]  # rows: what it is
    assert confusion_matrix(true, guess).tolist() == expected


@given(PAIRS)
def test_as_scikit_learn(pairs):
    """Both agree with scikit-learn's, rows true and columns predicted."""
    sklearn = pytest.importorskip("sklearn.metrics")
    true, guess = np.array(pairs).T
    assert accuracy(true, guess) == sklearn.accuracy_score(true, guess)
    full = sklearn.confusion_matrix(true, guess, labels=range(9))
    found = confusion_matrix(true, guess, 9)
    np.testing.assert_array_equal(found, full)
    assert found.dtype == np.int64
    largest = np.max(pairs)
    np.testing.assert_array_equal(
        confusion_matrix(true, guess), full[: largest + 1, : largest + 1]
    )


@given(PAIRS)
def test_properties(pairs):
    """The diagonal's share is the accuracy; the total counts everything."""
    true, guess = np.array(pairs).T
    matrix = confusion_matrix(true, guess)
    assert matrix.sum() == len(pairs)
    assert np.trace(matrix) / len(pairs) == pytest.approx(accuracy(true, guess))
    np.testing.assert_array_equal(matrix.T, confusion_matrix(guess, true))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_whole_dtypes(dtype):
    """Labels may be of any whole dtype, also two different ones."""
    true, guess = np.array([1, 0, 2], dtype), np.array([1, 2, 2])
    assert accuracy(true, guess) == pytest.approx(2 / 3)
    expected = [[0, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert confusion_matrix(true, guess).tolist() == expected


@pytest.mark.parametrize("metric", [accuracy, confusion_matrix])
@pytest.mark.parametrize(
    ("true", "guess", "error", "name"),
    [
        ([0, 1], [0], ValueError, "y_pred"),
        ([], [], ValueError, "y_true"),
        ([0], [], ValueError, "y_pred"),
        ([0.0, 1.0], [0, 1], TypeError, "y_true"),
        ([0, 1], [0.0, np.nan], TypeError, "y_pred"),
        ([0, -1], [0, 1], ValueError, "y_true"),
        ([0, 1], [0, -1], ValueError, "y_pred"),
        ([[0, 1]], [0, 1], ValueError, "y_true"),
        (["0"], [0], TypeError, "y_true"),
        (3, 3, ValueError, "y_true"),
    ],
)
def test_bad_arguments(metric, true, guess, error, name):
    """What is no list of class numbers is refused by name."""
    with pytest.raises(error, match=name):
        metric(true, guess)


@pytest.mark.parametrize("classes", [2, 0, -1])
def test_too_few_classes(classes):
    """A matrix too small for the labels is refused."""
    with pytest.raises(ValueError, match="classes"):
        confusion_matrix([0, 2], [0, 1], classes)


@pytest.mark.parametrize("classes", [2.5, "3"])
def test_classes_of_the_wrong_type(classes):
    """A number of classes is a whole number."""
    with pytest.raises((TypeError, ValueError), match="classes"):
        confusion_matrix([0, 1], [0, 1], classes)


# By class, by pair, among the best


@given(PAIRS)
def test_per_class_as_scikit_learn(pairs):
    """The share of right ones of each class is scikit-learn's recall."""
    sklearn = pytest.importorskip("sklearn.metrics")
    true, guess = np.array(pairs).T
    found = per_class_accuracy(true, guess, 9)
    expected = sklearn.recall_score(
        true, guess, labels=range(9), average=None, zero_division=np.nan
    )
    np.testing.assert_array_equal(found, expected)
    shown = per_class_accuracy(true, guess)
    np.testing.assert_array_equal(shown, expected[: np.max(pairs) + 1])
    counts = np.bincount(true, minlength=9)
    mean = np.nansum(found * counts) / counts.sum()
    assert mean == pytest.approx(accuracy(true, guess))


def test_per_class_by_hand():
    """A class without images has no share, and there is no warning."""
    found = per_class_accuracy([0, 2, 2, 2, 0, 2], [0, 2, 1, 2, 2, 0], 4)
    np.testing.assert_array_equal(found, [0.5, np.nan, 0.5, np.nan])
    assert found.dtype == np.float64
    with pytest.raises(ValueError, match="^classes: "):
        per_class_accuracy([0, 3], [0, 1], 3)


def test_largest_confusions_by_hand():
    """The most frequent first; ties by class; never the diagonal, nor zero."""
    matrix = np.array([[9, 1, 2], [4, 9, 2], [0, 2, 9]])
    every = [(1, 0, 4), (0, 2, 2), (1, 2, 2), (2, 1, 2), (0, 1, 1)]
    kept = matrix.copy()
    assert largest_confusions(matrix) == every
    assert largest_confusions(matrix, 2) == every[:2]
    assert largest_confusions(matrix, 99) == every
    assert largest_confusions(matrix.tolist(), 0) == []
    assert largest_confusions(9 * np.eye(3, dtype=int)) == []
    assert largest_confusions(np.zeros((0, 0), int)) == []
    assert all(type(n) is int for found in every for n in found)
    np.testing.assert_array_equal(matrix, kept)
    assert largest_confusions(matrix.astype(np.uint8)) == every


@given(PAIRS, st.integers(0, 60))
def test_largest_confusions_properties(pairs, count):
    """They are the mistakes, counted one by one and sorted."""
    true, guess = np.array(pairs).T
    wrong = [(int(t), int(g)) for t, g in pairs if t != g]
    expected = sorted(set(wrong), key=lambda pair: (-wrong.count(pair), pair))
    found = largest_confusions(confusion_matrix(true, guess), count)
    assert found == [(t, g, wrong.count((t, g))) for t, g in expected[:count]]
    assert all(type(n) is int for row in found for n in row)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ((np.ones((2, 2)),), TypeError, "matrix"),
        ((np.ones((2, 3), int),), ValueError, "matrix"),
        ((np.ones(4, int),), ValueError, "matrix"),
        ((5,), ValueError, "matrix"),
        ((np.ones((2, 2), bool),), TypeError, "matrix"),
        ((np.ones((2, 2), int), -1), ValueError, "count"),
        ((np.ones((2, 2), int), 1.5), TypeError, "count"),
        ((np.ones((2, 2), int), None), TypeError, "count"),
    ],
)
def test_largest_confusions_refuses(arguments, error, name):
    """A matrix that is none of counts is refused by name."""
    with pytest.raises(error, match=f"^{name}: "):
        largest_confusions(*arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(st.integers(1, 30), st.integers(3, 8), st.integers(0, 2**32 - 1))
def test_top_k_as_scikit_learn(dtype, n, classes, seed):
    """Among the k best, as in scikit-learn; it grows with k, up to one."""
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, classes)).astype(dtype)
    true = rng.integers(0, classes, n)
    shares = [top_k_accuracy(true, scores, k) for k in range(1, classes + 1)]
    expected = [
        sklearn.top_k_accuracy_score(true, scores, k=k, labels=range(classes))
        for k in range(1, classes)
    ]
    assert shares[:-1] == pytest.approx(expected)
    assert shares[-1] == 1 and shares == sorted(shares)
    assert shares[0] == accuracy(true, scores.argmax(axis=1))
    assert all(type(share) is float for share in shares)


def test_top_k_by_hand():
    """Among equal scores the lower class comes first; k is one if not told."""
    scores = [[1.0, 3.0, 2.0], [5.0, 5.0, 5.0], [-np.inf, np.inf, 0.0]]
    assert top_k_accuracy([1, 0, 1], scores) == 1
    assert top_k_accuracy([2, 1, 2], scores, 1) == 0
    assert top_k_accuracy([2, 1, 2], scores, 2) == 1
    assert top_k_accuracy([0, 2, 0], scores, 2) == 0
    assert top_k_accuracy([0, 2, 0], scores, 3) == 1
    assert top_k_accuracy(np.array([1], np.uint8), [[1, 3, 2]]) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        (([0], [[1.0, 2.0]], 0), ValueError, "k"),
        (([0], [[1.0, 2.0]], 3), ValueError, "k"),
        (([0], [[1.0, 2.0]], 1.0), TypeError, "k"),
        (([0], [[1.0, 2.0]], True), TypeError, "k"),
        (([0, 1], [[1.0, 2.0]], 1), ValueError, "scores"),
        (([0], [1.0, 2.0], 1), ValueError, "scores"),
        (([0], [[np.nan, 2.0]], 1), ValueError, "scores"),
        (([0], [["a", "b"]], 1), TypeError, "scores"),
        (([0], None, 1), TypeError, "scores"),
        (([2], [[1.0, 2.0]], 1), ValueError, "y_true"),
        (([0.0], [[1.0, 2.0]], 1), TypeError, "y_true"),
        (([], np.ones((0, 2)), 1), ValueError, "y_true"),
    ],
)
def test_top_k_refuses(arguments, error, name):
    """What doesn't fit is refused by name."""
    with pytest.raises(error, match=f"^{name}: "):
        top_k_accuracy(*arguments)
