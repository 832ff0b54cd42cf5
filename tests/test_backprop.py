"""Gradients in loops, against PyTorch, central differences and the adjoint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    AVG_POOL2D,
    CONV1D,
    CONV2D,
    LAYOUTS,
    MAX_POOL2D,
    REFUSED_CONVOLUTIONS,
    REFUSED_DILATIONS,
    REFUSED_POOL_UPSTREAM,
    REFUSED_POOLINGS,
    REFUSED_SIGNAL_UPSTREAM,
    REFUSED_SIGNALS,
    REFUSED_UPSTREAM,
    Convolution,
    Pooling,
    Untouched,
    assert_adjoint,
    assert_any_layout,
    assert_convolution_backward,
    assert_own,
    assert_pooling_backward,
    assert_refused,
    assert_same,
    convolution_arguments,
    convolutions,
    live_pytorch,
    pooling_arguments,
    poolings,
    pytorch_avg_pool2d,
    pytorch_convolution,
    pytorch_max_pool2d,
    recorded,
    scipy_avg_pool2d,
    scipy_convolution,
    signal_arguments,
    upstream,
)
from scipy import signal

from cnnbook.backprop import (
    avg_pool2d_backward,
    conv1d_backward,
    conv2d_backward,
    max_pool2d_backward,
)
from cnnbook.convolution import conv1d, conv2d
from cnnbook.gradcheck import check_gradient
from cnnbook.pooling import avg_pool2d, max_pool2d

FORWARD = {1: conv1d, 2: conv2d}
BACKWARD = {1: conv1d_backward, 2: conv2d_backward}
DOUBLE = st.just("float64")
LAID = st.sampled_from(list(LAYOUTS))
SMALL = {
    "plain": Convolution((1, 2, 4, 3), (2, 2, 3, 2)),
    "stride": Convolution((2, 1, 6, 5), (2, 1, 3, 2), (2, 2)),
    "padding": Convolution((1, 1, 3, 4), (2, 1, 2, 3), padding=(1, 2)),
    "dilation": Convolution((1, 1, 5, 6), (2, 1, 3, 2), dilation=(2, 3)),
    "same": Convolution((1, 1, 3, 4), (2, 1, 2, 3), padding="same"),
    "groups": Convolution((1, 4, 3, 4), (4, 2, 2, 3), groups=2),
    "depthwise": Convolution((1, 3, 4, 3), (6, 1, 3, 2), groups=3),
    "no batch": Convolution((2, 4, 3), (2, 2, 3, 2), 2, 1),
    "all": Convolution((1, 2, 6, 7), (2, 1, 3, 2), (2, 3), (1, 2), (2, 1), 2),
    "signals": Convolution((2, 2, 7), (2, 1, 3), 2, 1, 2, 2),
    "one signal": Convolution((2, 6), (3, 2, 2), padding="same"),
}


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_backward_equals_recorded_pytorch(name):
    """All three gradients are what PyTorch's autograd gave."""
    results = recorded("conv2d", name)
    assert_convolution_backward(conv2d_backward, CONV2D[name], results)


@pytest.mark.parametrize("name", CONV1D)
def test_conv1d_backward_equals_recorded_pytorch(name):
    """All three gradients are what PyTorch's autograd gave."""
    results = recorded("conv1d", name)
    assert_convolution_backward(conv1d_backward, CONV1D[name], results)


@pytest.mark.parametrize("name", MAX_POOL2D)
def test_max_pool2d_backward_equals_recorded_pytorch(name):
    """The gradient is what PyTorch's autograd gave; ties go to the first."""
    assert_pooling_backward(
        max_pool2d_backward,
        MAX_POOL2D[name].max_options,
        recorded("max_pool2d", name),
    )


@pytest.mark.parametrize("name", AVG_POOL2D)
def test_avg_pool2d_backward_equals_recorded_pytorch(name):
    """The gradient is what PyTorch's autograd gave."""
    assert_pooling_backward(
        avg_pool2d_backward,
        AVG_POOL2D[name].avg_options,
        recorded("avg_pool2d", name),
    )


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=convolutions(2))
def test_conv2d_backward_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_convolution(live_pytorch(), case)
    assert_convolution_backward(conv2d_backward, case, results)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(case=convolutions(1))
def test_conv1d_backward_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_convolution(live_pytorch(), case)
    assert_convolution_backward(conv1d_backward, case, results)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=poolings(kinds=("normal", "ties", "negative")))
def test_max_pool2d_backward_equals_live_pytorch(case):
    """Random cases give what PyTorch gives, ties included."""
    results = pytorch_max_pool2d(live_pytorch(), case)
    assert_pooling_backward(max_pool2d_backward, case.max_options, results)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=poolings(dilate=False))
def test_avg_pool2d_backward_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_avg_pool2d(live_pytorch(), case)
    assert_pooling_backward(avg_pool2d_backward, case.avg_options, results)


@pytest.mark.parametrize("name", SMALL)
def test_convolution_gradients_equal_central_differences(name):
    """dx, dweight and dbias under a random upstream gradient."""
    case = SMALL[name]
    dimensions = len(case.weight) - 2
    forward, options = FORWARD[dimensions], case.options
    x, weight, bias = case.inputs()
    dy = upstream(forward(x, weight, bias, **options).shape, 7)
    dx, dweight, dbias = BACKWARD[dimensions](dy, x, weight, **options)

    def loss(x, weight, bias):
        return np.sum(dy * forward(x, weight, bias, **options))

    errors = [
        check_gradient(lambda a: loss(a, weight, bias), x, dx),
        check_gradient(lambda a: loss(x, a, bias), weight, dweight),
        check_gradient(lambda a: loss(x, weight, a), bias, dbias),
    ]
    assert max(errors) <= 1e-7


@pytest.mark.parametrize("dimensions", [1, 2])
@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data())
def test_convolution_gradients_satisfy_the_adjoint_identity(dimensions, data):
    """<conv(x), dy> = <x, dx> = <w, dw>."""
    case = data.draw(convolutions(dimensions, DOUBLE))
    x, weight, _ = case.inputs()
    y = FORWARD[dimensions](x, weight, **case.options)
    dy = upstream(y.shape, case.seed)
    dx, dweight, _ = BACKWARD[dimensions](dy, x, weight, **case.options)
    assert_adjoint([(y, dy), (x, dx), (weight, dweight)])


POOLED = {
    "plain": Pooling((1, 2, 4, 4), 2),
    "remainder": Pooling((1, 1, 5, 7), (2, 3)),
    "overlap": Pooling((2, 1, 5, 4), 3, 1),
    "padding": Pooling((1, 1, 5, 6), 3, 2, 1),
    "padding left out": Pooling((1, 1, 5, 6), 3, 2, 1, count_include_pad=False),
    "ceil": Pooling((1, 1, 6, 5), (3, 2), 2, 1, ceil_mode=True),
    "no batch": Pooling((2, 4, 5), 2, (1, 2)),
}


@pytest.mark.parametrize("dilation", [1, (2, 1)])
@pytest.mark.parametrize("name", POOLED)
def test_max_pool2d_gradient_equals_central_differences(name, dilation):
    """Numbers far enough apart that no step changes who wins."""
    case = POOLED[name]
    options = case.max_options | {"dilation": dilation}
    rng = np.random.default_rng(8)
    x = rng.permutation(np.prod(case.x)).reshape(case.x) / 8 - 1
    dy = upstream(max_pool2d(x, **options).shape, 9)
    dx = max_pool2d_backward(dy, x, **options)
    error = check_gradient(lambda a: np.sum(dy * max_pool2d(a, **options)), x, dx)
    assert error <= 1e-7


@pytest.mark.parametrize("name", POOLED)
def test_avg_pool2d_gradient_equals_central_differences(name):
    """The mean is linear: any numbers do."""
    case = POOLED[name]
    x, options = case.inputs(), case.avg_options
    dy = upstream(avg_pool2d(x, **options).shape, 9)
    dx = avg_pool2d_backward(dy, x, **options)
    error = check_gradient(lambda a: np.sum(dy * avg_pool2d(a, **options)), x, dx)
    assert error <= 1e-7


@pytest.mark.parametrize("kind", ["max", "avg"])
@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_pooling_gradients_satisfy_the_adjoint_identity(kind, data):
    """<pool(x), dy> = <x, dx>, for the maximum too: it is linear at x."""
    case = data.draw(poolings(dilate=kind == "max"))
    x = case.inputs().astype(float)
    if kind == "max":
        pool, backward, options = max_pool2d, max_pool2d_backward, case.max_options
    else:
        pool, backward, options = avg_pool2d, avg_pool2d_backward, case.avg_options
    y = pool(x, **options)
    dy = upstream(y.shape, case.seed)
    assert_adjoint([(y, dy), (x, backward(dy, x, **options))])


@pytest.mark.parametrize("dimensions", [1, 2])
@settings(derandomize=True, deadline=None, max_examples=40)
@given(data=st.data(), layout=LAID)
def test_convolution_gradients_equal_scipys(dimensions, data, layout):
    """One channel at a time, SciPy correlates and convolves; wherever arrays lie."""
    case = data.draw(convolutions(dimensions))
    results = scipy_convolution(case)
    laid = {key: LAYOUTS[layout](array) for key, array in results.items()}
    assert_convolution_backward(BACKWARD[dimensions], case, laid)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=poolings(dilate=False), layout=LAID)
def test_avg_pool2d_backward_equals_scipys(case, layout):
    """SciPy's convolution with a box shares out what a window got."""
    results = scipy_avg_pool2d(case)
    laid = {key: LAYOUTS[layout](array) for key, array in results.items()}
    assert_pooling_backward(avg_pool2d_backward, case.avg_options, laid)


def test_dx_is_scipys_full_convolution_with_the_kernel():
    """One channel: dX = convolve(dY, K, "full"), dK = correlate(X, dY)."""
    rng = np.random.default_rng(6)
    x, k = rng.standard_normal((6, 5)), rng.standard_normal((3, 2))
    dy = rng.standard_normal((4, 4))
    dx, dk, db = conv2d_backward(dy[None], x[None], k[None, None])
    assert_same(dx[0], signal.convolve2d(dy, k, "full"))
    assert_same(dk[0, 0], signal.correlate2d(x, dy, "valid"))
    assert_same(db, [dy.sum()])


def test_the_first_of_equal_pixels_takes_the_gradient():
    """In reading order; overlapping windows add."""
    x = np.zeros((1, 3, 3))
    dy = np.array([[[1.0, 2.0], [4.0, 8.0]]])
    expected = np.zeros((1, 3, 3))
    expected[0, :2, :2] = dy
    assert_same(max_pool2d_backward(dy, x, 2, 1), expected)
    x[0, 1, 1] = 1
    expected = np.zeros((1, 3, 3))
    expected[0, 1, 1] = 15
    assert_same(max_pool2d_backward(dy, x, 2, 1), expected)


@pytest.mark.parametrize("name", ["all", "same", "signals"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_convolution_gradients_take_any_layout(name, dtype):
    """Strides in memory change no result and no input."""
    case = SMALL[name]
    dimensions = len(case.weight) - 2
    x, weight, _ = (array.astype(dtype) for array in case.inputs())
    y = FORWARD[dimensions](x, weight, **case.options)
    dy = upstream(y.shape, 3, dtype)
    function = BACKWARD[dimensions]
    assert_any_layout(lambda *a: function(*a, **case.options), dy, x, weight)


@pytest.mark.parametrize("operation", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("name", ["padding", "float32"])
def test_pooling_gradients_take_any_layout(operation, name):
    """Strides in memory change no result and no input."""
    function = globals()[f"{operation}_backward"]
    case, results = MAX_POOL2D[name], recorded("max_pool2d", name)
    assert_any_layout(
        lambda dy, x: function(dy, x, **case.window),
        results["dy"],
        results["x"],
    )


def test_gradients_of_an_empty_batch():
    """dx is empty; dweight and dbias are zeros of the right shape and dtype."""
    one = np.float32
    weight = np.ones((3, 2, 2, 2), one)
    got = conv2d_backward(
        np.ones((0, 3, 3, 4), one), np.ones((0, 2, 4, 5), one), weight
    )
    expected = (
        np.ones((0, 2, 4, 5), one),
        np.zeros_like(weight),
        np.zeros(3, one),
    )
    for a, b in zip(got, expected, strict=True):
        assert_same(a, b)
    got = conv1d_backward(
        np.ones((0, 3, 4), one), np.ones((0, 2, 5), one), weight[..., 0]
    )
    expected = (
        np.ones((0, 2, 5), one),
        np.zeros((3, 2, 2), one),
        np.zeros(3, one),
    )
    for a, b in zip(got, expected, strict=True):
        assert_same(a, b)
    x, dy = np.ones((0, 2, 4, 5), one), np.ones((0, 2, 2, 2), one)
    assert_same(max_pool2d_backward(dy, x, 2), x)
    assert_same(avg_pool2d_backward(dy, x, 2), x)


def test_conv2d_backward_of_no_channels():
    """dx and dweight hold nothing; dbias is the sum of dy."""
    x, weight = np.ones((1, 0, 3, 4)), np.ones((2, 0, 2, 2))
    dx, dweight, dbias = conv2d_backward(np.ones((1, 2, 2, 3)), x, weight)
    assert_same(dx, x)
    assert_same(dweight, weight)
    assert_same(dbias, [6.0, 6.0])


def test_conv2d_backward_of_no_filters():
    """No filter saw the images: dx is 0; dweight and dbias hold nothing."""
    x, weight = np.ones((1, 4, 3, 4)), np.ones((0, 2, 2, 2))
    got = conv2d_backward(np.ones((1, 0, 2, 3)), x, weight, groups=2)
    for a, b in zip(got, (0 * x, weight, np.ones(0)), strict=True):
        assert_same(a, b)


def test_gradients_of_mixed_precision_are_of_the_wider():
    """One float64 among dy, x and weight is enough; half counts as single."""
    case = SMALL["all"]
    x, weight, _ = case.inputs()
    dy = upstream(conv2d(x, weight, **case.options).shape, 4)
    for dtypes, wide in (("ffd", "d"), ("fdf", "d"), ("dff", "d"), ("eee", "f")):
        arrays = [a.astype(t) for a, t in zip((dy, x, weight), dtypes, strict=True)]
        for gradient in conv2d_backward(*arrays, **case.options):
            assert gradient.dtype == wide
    for backward in (max_pool2d_backward, avg_pool2d_backward):
        for dtypes, wide in (("fd", "d"), ("df", "d"), ("ee", "f")):
            one, four = np.ones((1, 1, 1), dtypes[0]), np.ones((1, 2, 2), dtypes[1])
            assert backward(one, four, 2).dtype == wide


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 2, 3, 4), (2, 3, 4)])
def test_gradients_are_arrays_of_their_own(shape, padding):
    """Writing into a gradient changes nothing of the caller's, nor another one."""
    x, weight = np.ones(shape), np.ones((2, 2, 1, 1))
    signals, window = np.ones(shape[:-1]), (1 + padding, 1, padding)
    for backward, forward, *arrays in (
        (conv2d_backward, conv2d, x, weight),
        (conv1d_backward, conv1d, signals, weight[..., 0]),
    ):
        dy = np.ones_like(forward(*arrays, padding=padding))
        with Untouched(dy, *arrays):
            assert_own(backward(dy, *arrays, padding=padding), dy, *arrays)
    for backward in (max_pool2d_backward, avg_pool2d_backward):
        dy = np.ones_like(max_pool2d(x, *window))
        with Untouched(dy, x):
            assert_own([backward(dy, x, *window)], dy, x)


@pytest.mark.parametrize("wrong", REFUSED_CONVOLUTIONS | REFUSED_UPSTREAM)
def test_conv2d_backward_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 3, 5))} | convolution_arguments()
    refused = (REFUSED_CONVOLUTIONS | REFUSED_UPSTREAM)[wrong]
    assert_refused(conv2d_backward, right, refused)


@pytest.mark.parametrize("wrong", REFUSED_SIGNALS | REFUSED_SIGNAL_UPSTREAM)
def test_conv1d_backward_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 7))} | signal_arguments()
    refused = (REFUSED_SIGNALS | REFUSED_SIGNAL_UPSTREAM)[wrong]
    assert_refused(conv1d_backward, right, refused)


@pytest.mark.parametrize(
    "wrong", REFUSED_POOLINGS | REFUSED_DILATIONS | REFUSED_POOL_UPSTREAM
)
def test_max_pool2d_backward_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 4, 2, 3))} | pooling_arguments()
    refused = (REFUSED_POOLINGS | REFUSED_DILATIONS | REFUSED_POOL_UPSTREAM)[wrong]
    assert_refused(max_pool2d_backward, right, refused)


@pytest.mark.parametrize("wrong", REFUSED_POOLINGS | REFUSED_POOL_UPSTREAM)
def test_avg_pool2d_backward_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 4, 2, 3))} | pooling_arguments()
    refused = (REFUSED_POOLINGS | REFUSED_POOL_UPSTREAM)[wrong]
    assert_refused(avg_pool2d_backward, right, refused)


def test_a_window_of_margin_only_has_no_winner():
    """Dilation can lay a window on the margin alone: minus infinity, no gradient."""
    x, where = np.ones((1, 1, 3)), {"kernel_size": (2, 1), "padding": (1, 0)}
    where["dilation"] = (2, 1)
    assert np.all(np.isneginf(max_pool2d(x, **where)))
    dx = max_pool2d_backward(np.ones((1, 1, 3)), x, **where)
    np.testing.assert_array_equal(dx, np.zeros_like(x))
