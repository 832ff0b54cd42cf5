"""Pooling in loops, against SciPy, and PyTorch recorded and live."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    AVG_POOL2D,
    LAYOUTS,
    MAX_POOL2D,
    REFUSED_DILATIONS,
    REFUSED_POOLINGS,
    Untouched,
    assert_any_layout,
    assert_own,
    assert_pooling,
    assert_refused,
    assert_same,
    live_pytorch,
    pooling_arguments,
    poolings,
    pytorch_avg_pool2d,
    pytorch_max_pool2d,
    recorded,
    scipy_avg_pool2d,
    scipy_max_pool2d,
)

from cnnbook import lowering
from cnnbook.pooling import avg_pool2d, max_pool2d


@pytest.mark.parametrize("name", MAX_POOL2D)
def test_max_pool2d_equals_recorded_pytorch(name):
    """Every named case gives what PyTorch gave."""
    options = MAX_POOL2D[name].max_options
    assert_pooling(max_pool2d, options, recorded("max_pool2d", name))


@pytest.mark.parametrize("name", AVG_POOL2D)
def test_avg_pool2d_equals_recorded_pytorch(name):
    """Every named case gives what PyTorch gave."""
    options = AVG_POOL2D[name].avg_options
    assert_pooling(avg_pool2d, options, recorded("avg_pool2d", name))


@settings(derandomize=True, deadline=None, max_examples=80)
@given(case=poolings(kinds=("normal", "ties", "negative", "nan")))
def test_max_pool2d_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_max_pool2d(live_pytorch(), case)
    assert_pooling(max_pool2d, case.max_options, results)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(case=poolings(dilate=False))
def test_avg_pool2d_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_avg_pool2d(live_pytorch(), case)
    assert_pooling(avg_pool2d, case.avg_options, results)


LAID = st.sampled_from(list(LAYOUTS))


@settings(derandomize=True, deadline=None, max_examples=80)
@given(case=poolings(("normal", "ties", "negative", "minus infinity")), layout=LAID)
def test_max_pool2d_equals_scipys_filter(case, layout):
    """Random cases give what a maximum filter gives; wherever the images lie."""
    results = {k: LAYOUTS[layout](a) for k, a in scipy_max_pool2d(case).items()}
    assert_pooling(max_pool2d, case.max_options, results)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(case=poolings(dilate=False), layout=LAID)
def test_avg_pool2d_equals_scipys_sums(case, layout):
    """Random cases give what correlating with a box gives; wherever the images lie."""
    results = {k: LAYOUTS[layout](a) for k, a in scipy_avg_pool2d(case).items()}
    assert_pooling(avg_pool2d, case.avg_options, results)


def test_poolings_of_four_numbers():
    """The maximum and the mean of 1, 2, 3 and 4."""
    x = [[[1, 2], [3, 4]]]
    assert_same(max_pool2d(x, 2), [[[4.0]]])
    assert_same(avg_pool2d(x, 2), [[[2.5]]])
    assert_same(max_pool2d(x, (1, 2)), [[[2.0], [4.0]]])
    assert_same(avg_pool2d(x, (2, 1)), [[[2.0, 3.0]]])


def test_padding_never_wins_and_counts_only_if_asked():
    """Minus infinity pads a maximum; zeros pad a mean and count unless told."""
    x = np.full((1, 2, 2), -3.0)
    assert_same(max_pool2d(x, 2, 2, 1), x)
    assert_same(avg_pool2d(x, 2, 2, 1), x / 4)
    assert_same(avg_pool2d(x, 2, 2, 1, count_include_pad=False), x)


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_pooling_takes_any_layout(pool):
    """Strides in memory change no result and no input."""
    for case in (MAX_POOL2D["padding"], MAX_POOL2D["float32"]):
        options = case.window
        assert_any_layout(lambda x, options=options: pool(x, **options), case.inputs())


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_pooling_of_an_empty_batch_is_empty(pool):
    """No image in, no image out, of the right shape and dtype."""
    y = pool(np.ones((0, 3, 7, 6), np.float32), (3, 2), 2)
    assert_same(y, np.ones((0, 3, 3, 3), np.float32))


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_pooling_returns_an_array_of_its_own(pool):
    """Writing into the result changes nothing of the caller's."""
    for x in (np.ones((1, 2, 3, 4)), np.ones((2, 1, 1)), np.ones((1, 2, 1, 4))):
        for window in ((1,), (2, 1, 1), (1, 2)):
            with Untouched(x):
                assert_own([pool(x, *window)], x)


@pytest.mark.parametrize("wrong", REFUSED_POOLINGS | REFUSED_DILATIONS)
def test_max_pool2d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = (REFUSED_POOLINGS | REFUSED_DILATIONS)[wrong]
    assert_refused(max_pool2d, pooling_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_POOLINGS)
def test_avg_pool2d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    assert_refused(avg_pool2d, pooling_arguments(), REFUSED_POOLINGS[wrong])


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d])
def test_pooling_refuses_images_without_rows(pool):
    """As PyTorch: a padding around nothing is no image."""
    changed = {"x": np.ones((1, 2, 0, 4)), "padding": 1}
    assert_refused(pool, pooling_arguments(), (changed, "x"))


def test_half_precision_is_computed_in_single():
    """An average of many ones is one, which float16 can't add up."""
    ones = np.ones((1, 1, 64, 64), np.float16)
    for pool in (avg_pool2d, lowering.avg_pool2d):
        y = pool(ones, 64)
        assert y.dtype == np.float32
        assert y.item() == 1.0


def test_masked_arrays_are_refused():
    """Their hidden values would be pooled as if they were there."""
    x = np.ma.masked_array(np.ones((1, 2, 2)), mask=np.eye(2)[None])
    with pytest.raises(TypeError, match="^x: .*masked"):
        max_pool2d(x, 2)
