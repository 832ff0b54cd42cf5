"""Accuracy and the confusion matrix, against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnbook.metrics import accuracy, confusion_matrix

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
