"""Convolution and pooling as products: against the loops and PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    AVG_POOL2D,
    CONV1D,
    CONV2D,
    MAX_POOL2D,
    NAMED,
    REFUSED,
    REFUSED_BIASES,
    REFUSED_CONVOLUTIONS,
    REFUSED_DILATIONS,
    REFUSED_POOL_UPSTREAM,
    REFUSED_POOLINGS,
    REFUSED_SIGNAL_UPSTREAM,
    REFUSED_SIGNALS,
    REFUSED_UPSTREAM,
    TOLERANCE,
    UNFOLD,
    Untouched,
    assert_adjoint,
    assert_any_layout,
    assert_convolution,
    assert_convolution_backward,
    assert_pooling,
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
    pytorch_unfold,
    recorded,
    signal_arguments,
    unfoldings,
    upstream,
)

from cnnbook import backprop, convolution, lowering, pooling
from cnnbook.gradcheck import check_gradient

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=50)
SOME_NAMES = ["everything", "same_even", "groups", "float32"]


# Against PyTorch, recorded.


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_and_its_gradients_equal_recorded_pytorch(name):
    """Every named case gives what PyTorch and its autograd gave."""
    case, results = CONV2D[name], recorded("conv2d", name)
    assert_convolution(lowering.conv2d, case, results)
    assert_convolution_backward(lowering.conv2d_backward, case, results)


@pytest.mark.parametrize("name", CONV1D)
def test_conv1d_and_its_gradients_equal_recorded_pytorch(name):
    """Every named case gives what PyTorch and its autograd gave."""
    case, results = CONV1D[name], recorded("conv1d", name)
    assert_convolution(lowering.conv1d, case, results)
    assert_convolution_backward(lowering.conv1d_backward, case, results)


@pytest.mark.parametrize("name", MAX_POOL2D)
def test_max_pool2d_and_its_gradient_equal_recorded_pytorch(name):
    """Every named case gives what PyTorch and its autograd gave."""
    options = MAX_POOL2D[name].max_options
    results = recorded("max_pool2d", name)
    assert_pooling(lowering.max_pool2d, options, results)
    assert_pooling_backward(lowering.max_pool2d_backward, options, results)


@pytest.mark.parametrize("name", AVG_POOL2D)
def test_avg_pool2d_and_its_gradient_equal_recorded_pytorch(name):
    """Every named case gives what PyTorch and its autograd gave."""
    options = AVG_POOL2D[name].avg_options
    results = recorded("avg_pool2d", name)
    assert_pooling(lowering.avg_pool2d, options, results)
    assert_pooling_backward(lowering.avg_pool2d_backward, options, results)


def assert_unfolding(case, results):
    """Compare im2col and col2im with PyTorch's unfold and fold."""
    x, dy = results["x"], results["dy"]
    with Untouched(x, dy):
        columns = lowering.im2col(x, **case.options)
        images = lowering.col2im(dy, x.shape[-2:], **case.options)
    assert_same(columns, results["y"], "im2col")
    assert_same(images, results["folded"], "col2im")


@pytest.mark.parametrize("name", UNFOLD)
def test_im2col_and_col2im_equal_recorded_pytorch(name):
    """Every named case gives what unfold and fold gave."""
    assert_unfolding(UNFOLD[name], recorded("unfold", name))


# Against PyTorch, live.


@EXAMPLES
@given(case=convolutions(2))
def test_conv2d_and_its_gradients_equal_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_convolution(live_pytorch(), case)
    assert_convolution(lowering.conv2d, case, results)
    assert_convolution_backward(lowering.conv2d_backward, case, results)


@EXAMPLES
@given(case=convolutions(1))
def test_conv1d_and_its_gradients_equal_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_convolution(live_pytorch(), case)
    assert_convolution(lowering.conv1d, case, results)
    assert_convolution_backward(lowering.conv1d_backward, case, results)


@EXAMPLES
@given(case=poolings())
def test_max_pool2d_and_its_gradient_equal_live_pytorch(case):
    """Random cases give what PyTorch gives, ties included."""
    results = pytorch_max_pool2d(live_pytorch(), case)
    options = case.max_options
    assert_pooling(lowering.max_pool2d, options, results)
    assert_pooling_backward(lowering.max_pool2d_backward, options, results)


@EXAMPLES
@given(case=poolings(dilate=False))
def test_avg_pool2d_and_its_gradient_equal_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_avg_pool2d(live_pytorch(), case)
    options = case.avg_options
    assert_pooling(lowering.avg_pool2d, options, results)
    assert_pooling_backward(lowering.avg_pool2d_backward, options, results)


@EXAMPLES
@given(case=unfoldings())
def test_im2col_and_col2im_equal_live_pytorch(case):
    """Random cases give what unfold and fold give."""
    assert_unfolding(case, pytorch_unfold(live_pytorch(), case))


# Against the loops.


def assert_all_same(actual, expected):
    """Compare results one by one."""
    for k, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert_same(a, b, f"result {k}")


@pytest.mark.parametrize("dimensions", [1, 2])
@EXAMPLES
@given(data=st.data())
def test_convolutions_and_gradients_equal_the_loops(dimensions, data):
    """The same numbers, shapes and dtypes, sooner."""
    case = data.draw(convolutions(dimensions))
    name, options = f"conv{dimensions}d", case.options
    x, weight, bias = case.inputs()
    y = getattr(convolution, name)(x, weight, bias, **options)
    assert_same(getattr(lowering, name)(x, weight, bias, **options), y)
    arrays = upstream(y.shape, case.seed, case.dtype), x, weight
    name += "_backward"
    assert_all_same(
        getattr(lowering, name)(*arrays, **options),
        getattr(backprop, name)(*arrays, **options),
    )


@pytest.mark.parametrize("kind", ["max", "avg"])
@EXAMPLES
@given(data=st.data())
def test_poolings_and_gradients_equal_the_loops(kind, data):
    """The same numbers, shapes and dtypes, sooner; NaN and ties included."""
    values = ("normal", "ties", "negative", "nan")
    case = data.draw(poolings(values, dilate=kind == "max"))
    x, name = case.inputs(), f"{kind}_pool2d"
    options = case.max_options if kind == "max" else case.avg_options
    y = getattr(pooling, name)(x, **options)
    assert_same(getattr(lowering, name)(x, **options), y)
    dy = upstream(y.shape, case.seed, case.dtype)
    name += "_backward"
    expected = getattr(backprop, name)(dy, x, **options)
    assert_same(getattr(lowering, name)(dy, x, **options), expected)


@EXAMPLES
@given(data=st.data())
def test_maxima_of_several_nans_equal_the_loops(data):
    """Where NaN meets NaN, both versions choose the same one."""
    case = data.draw(poolings())
    x = case.inputs()
    x[np.random.default_rng(case.seed).random(x.shape) < 0.3] = np.nan
    options = case.max_options
    y = pooling.max_pool2d(x, **options)
    assert_same(lowering.max_pool2d(x, **options), y)
    dy = upstream(y.shape, case.seed, case.dtype)
    assert_same(
        lowering.max_pool2d_backward(dy, x, **options),
        backprop.max_pool2d_backward(dy, x, **options),
    )


# Against themselves: adjoints and central differences.


@pytest.mark.parametrize("dimensions", [1, 2])
@EXAMPLES
@given(data=st.data())
def test_convolutions_satisfy_the_adjoint_identity(dimensions, data):
    """<conv(x), dy> = <x, dx> = <w, dw>."""
    case = data.draw(convolutions(dimensions, st.just("float64")))
    x, weight, _ = case.inputs()
    forward = getattr(lowering, f"conv{dimensions}d")
    backward = getattr(lowering, f"conv{dimensions}d_backward")
    y = forward(x, weight, **case.options)
    dy = upstream(y.shape, case.seed)
    dx, dweight, _ = backward(dy, x, weight, **case.options)
    assert_adjoint([(y, dy), (x, dx), (weight, dweight)])


@EXAMPLES
@given(case=unfoldings())
def test_col2im_is_the_adjoint_of_im2col(case):
    """<im2col(x), c> = <x, col2im(c)>."""
    x = case.inputs().astype(float)
    columns = lowering.im2col(x, **case.options)
    other = upstream(columns.shape, case.seed)
    images = lowering.col2im(other, x.shape[-2:], **case.options)
    assert_adjoint([(columns, other), (x, images)])


@EXAMPLES
@given(case=poolings(dilate=False))
def test_poolings_satisfy_the_adjoint_identity(case):
    """<pool(x), dy> = <x, dx>, for the maximum too: it is linear at x."""
    x = case.inputs().astype(float)
    for kind, options in (("max", case.max_options), ("avg", case.avg_options)):
        y = getattr(lowering, f"{kind}_pool2d")(x, **options)
        dy = upstream(y.shape, case.seed)
        backward = getattr(lowering, f"{kind}_pool2d_backward")
        assert_adjoint([(y, dy), (x, backward(dy, x, **options))])


@pytest.mark.parametrize("operation", ["conv1d", "conv2d"])
@pytest.mark.parametrize("name", ["everything", "same_even", "no_batch"])
def test_convolution_gradients_equal_central_differences(operation, name):
    """dx, dweight and dbias under a random upstream gradient."""
    case = NAMED[operation][name]
    forward = getattr(lowering, operation)
    x, weight, bias = case.inputs()
    dy = upstream(forward(x, weight, bias, **case.options).shape, 7)
    backward = getattr(lowering, f"{operation}_backward")
    dx, dweight, dbias = backward(dy, x, weight, **case.options)

    def loss(x, weight, bias):
        return np.vdot(dy, forward(x, weight, bias, **case.options))

    errors = [
        check_gradient(lambda a: loss(a, weight, bias), x, dx),
        check_gradient(lambda a: loss(x, a, bias), weight, dweight),
        check_gradient(lambda a: loss(x, weight, a), bias, dbias),
    ]
    assert max(errors) <= 1e-7


@pytest.mark.parametrize("name", ["overlap", "ceil_padding", "no_batch"])
def test_pooling_gradients_equal_central_differences(name):
    """Numbers far enough apart that no step changes who wins."""
    for kind, cases in (("max", MAX_POOL2D), ("avg", AVG_POOL2D)):
        case = cases[name]
        forward = getattr(lowering, f"{kind}_pool2d")
        backward = getattr(lowering, f"{kind}_pool2d_backward")
        options = case.max_options if kind == "max" else case.avg_options
        rng = np.random.default_rng(8)
        x = rng.permutation(np.prod(case.x)).reshape(case.x) / 8 - 1
        dy = upstream(forward(x, **options).shape, 9)

        def loss(a, dy=dy, forward=forward, options=options):
            return np.vdot(dy, forward(a, **options))

        assert check_gradient(loss, x, backward(dy, x, **options)) <= 1e-7


# im2col and col2im.


def test_im2col_of_nine_numbers():
    """Channels, then kernel rows, then kernel columns; windows left to right."""
    x = np.arange(9).reshape(1, 3, 3)
    expected = [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    assert_same(lowering.im2col(x, 2), np.array(expected, float))
    counts = lowering.col2im(np.ones((4, 4)), 3, 2)
    assert_same(counts, [[[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]])


def test_im2col_takes_the_words_for_padding():
    """A product with columns is the loops' convolution, "same" or "valid"."""
    for padding in ("same", "valid"):
        x, weight, _ = CONV2D["same_even"].inputs()
        columns = lowering.im2col(x, weight.shape[2:], padding=padding)
        y = convolution.conv2d(x, weight, padding=padding)
        product = weight.reshape(len(weight), -1) @ columns
        assert_same(product.reshape(y.shape), y)
        images = lowering.col2im(
            columns, x.shape[2:], weight.shape[2:], padding=padding
        )
        assert images.shape == x.shape
        assert_adjoint([(columns, columns), (x, images)])


@pytest.mark.parametrize("name", ["everything", "float32", "no_batch"])
def test_im2col_and_col2im_take_any_layout(name):
    """Strides in memory change no result and no input."""
    case, results = UNFOLD[name], recorded("unfold", name)
    size = results["x"].shape[-2:]
    assert_any_layout(lambda x: lowering.im2col(x, **case.options), results["x"])
    assert_any_layout(lambda c: lowering.col2im(c, size, **case.options), results["dy"])


@pytest.mark.parametrize("kernel", [1, 2])
def test_im2col_and_col2im_return_arrays_of_their_own(kernel):
    """Writing into the result changes nothing of the caller's."""
    x = np.ones((1, 1, kernel, kernel))
    with Untouched(x):
        lowering.im2col(x, kernel)[...] = 5
    columns = np.ones((1, kernel**2, 1))
    with Untouched(columns):
        lowering.col2im(columns, kernel, kernel)[...] = 5


REFUSED_UNFOLDINGS = {
    **REFUSED,
    **REFUSED_DILATIONS,
    "kernel_size too large": ({"kernel_size": (6, 2)}, "kernel_size"),
    "kernel_size 0": ({"kernel_size": 0}, "kernel_size"),
    "kernel_size float": ({"kernel_size": 2.0}, "kernel_size"),
    "kernel_size bool": ({"kernel_size": True}, "kernel_size"),
    "same with a stride": ({"padding": "same", "stride": 2}, "padding"),
    "x without rows": ({"x": np.ones((1, 4, 0, 6))}, "x"),
}
REFUSED_FOLDINGS = {
    name: refused
    for name, refused in REFUSED_UNFOLDINGS.items()
    if "x" not in refused[0]
} | {
    "rows": ({"columns": np.ones((1, 15, 20))}, "columns"),
    "length": ({"columns": np.ones((1, 16, 21))}, "columns"),
    "rank too low": ({"columns": np.ones(20)}, "columns"),
    "rank too high": ({"columns": np.ones((1, 1, 16, 20))}, "columns"),
    "columns None": ({"columns": None}, "columns"),
    "columns complex": ({"columns": np.ones((1, 16, 20)) * 1j}, "columns"),
    "columns ragged": ({"columns": [[1.0], [1.0, 2.0]]}, "columns"),
    "size 0": ({"output_size": 0}, "output_size"),
    "size float": ({"output_size": (5.0, 6.0)}, "output_size"),
    "size None": ({"output_size": None}, "output_size"),
}


@pytest.mark.parametrize("wrong", REFUSED_UNFOLDINGS)
def test_im2col_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = REFUSED_UNFOLDINGS[wrong]
    assert_refused(lowering.im2col, pooling_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_FOLDINGS)
def test_col2im_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {
        "columns": np.ones((1, 16, 20)),
        "output_size": (5, 6),
        "kernel_size": 2,
    }
    assert_refused(lowering.col2im, right, REFUSED_FOLDINGS[wrong])


# Memory, dtypes, empty batches, bad arguments.


@pytest.mark.parametrize("name", SOME_NAMES)
@pytest.mark.parametrize("operation", ["conv1d", "conv2d"])
def test_convolutions_take_any_layout(operation, name):
    """Strides in memory change no result and no input, forward or backward."""
    case, results = NAMED[operation][name], recorded(operation, name)
    forward = getattr(lowering, operation)
    backward = getattr(lowering, f"{operation}_backward")
    assert_any_layout(lambda *a: forward(*a, **case.options), *case.inputs())
    assert_any_layout(
        lambda *a: backward(*a, **case.options),
        *(results[key] for key in ("dy", "x", "weight")),
    )


@pytest.mark.parametrize("name", ["padding", "float32"])
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_poolings_take_any_layout(kind, name):
    """Strides in memory change no result and no input, forward or backward."""
    operation = f"{kind}_pool2d"
    case, results = NAMED[operation][name], recorded(operation, name)
    forward = getattr(lowering, operation)
    backward = getattr(lowering, f"{operation}_backward")
    assert_any_layout(lambda x: forward(x, **case.window), results["x"])
    assert_any_layout(
        lambda dy, x: backward(dy, x, **case.window),
        results["dy"],
        results["x"],
    )


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_poolings_return_arrays_of_their_own(kind):
    """Writing into a result changes nothing of the caller's."""
    x, dy = np.ones((1, 2, 3, 4)), np.ones((1, 2, 3, 4))
    with Untouched(x, dy):
        getattr(lowering, f"{kind}_pool2d")(x, 1)[...] = 5
        getattr(lowering, f"{kind}_pool2d_backward")(dy, x, 1)[...] = 5


@pytest.mark.parametrize("operation", ["conv1d", "conv2d"])
def test_empty_batches_of_a_convolution(operation):
    """y and dx are empty; dweight and dbias are zeros; all of them float32."""
    case = NAMED[operation]["float32"]
    results = recorded(operation, "float32")
    x, weight, bias = case.inputs()
    y = getattr(lowering, operation)(x[:0], weight, bias, **case.options)
    assert_same(y, results["y"][:0])
    got = getattr(lowering, f"{operation}_backward")(
        results["dy"][:0], x[:0], weight, **case.options
    )
    assert_all_same(got, (x[:0], np.zeros_like(weight), np.zeros_like(bias)))


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_empty_batches_of_a_pooling(kind):
    """y and dx are empty, of the right shape and dtype."""
    operation = f"{kind}_pool2d"
    case, results = NAMED[operation]["float32"], recorded(operation, "float32")
    x, dy = results["x"][:0], results["dy"][:0]
    y = getattr(lowering, operation)(x, **case.window)
    assert_same(y, results["y"][:0])
    backward = getattr(lowering, f"{operation}_backward")
    assert_same(backward(dy, x, **case.window), x)


def test_an_empty_batch_of_columns():
    """No image, no columns, and back."""
    x = np.ones((0, 2, 4, 5), np.float32)
    columns = lowering.im2col(x, (2, 3), 2)
    assert_same(columns, np.ones((0, 12, 4), np.float32))
    assert_same(lowering.col2im(columns, (4, 5), (2, 3), 2), x)


def test_conv2d_of_no_channels_equals_the_loops():
    """A sum of nothing is 0, as in PyTorch."""
    x, weight = np.ones((1, 0, 3, 4)), np.ones((2, 0, 2, 2))
    y = lowering.conv2d(x, weight, [5.0, 7.0])
    assert_same(y, convolution.conv2d(x, weight, [5.0, 7.0]))
    got = lowering.conv2d_backward(np.ones((1, 2, 2, 3)), x, weight)
    assert_all_same(got, (x, weight, [6.0, 6.0]))


def test_large_sums_stay_near_float64():
    """512 products in float32 differ from float64 by rounding alone."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 32, 6, 6)).astype(np.float32)
    weight = rng.standard_normal((4, 32, 4, 4)).astype(np.float32)
    y = lowering.conv2d(x, weight)
    exact = convolution.conv2d(x.astype(float), weight.astype(float))
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() < TOLERANCE["float32"] * np.abs(exact).max()


@pytest.mark.parametrize("wrong", REFUSED_CONVOLUTIONS | REFUSED_BIASES)
def test_conv2d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = (REFUSED_CONVOLUTIONS | REFUSED_BIASES)[wrong]
    assert_refused(lowering.conv2d, convolution_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_SIGNALS | REFUSED_BIASES)
def test_conv1d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = (REFUSED_SIGNALS | REFUSED_BIASES)[wrong]
    assert_refused(lowering.conv1d, signal_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_CONVOLUTIONS | REFUSED_UPSTREAM)
def test_conv2d_backward_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 3, 5))} | convolution_arguments()
    refused = (REFUSED_CONVOLUTIONS | REFUSED_UPSTREAM)[wrong]
    assert_refused(lowering.conv2d_backward, right, refused)


@pytest.mark.parametrize("wrong", REFUSED_SIGNALS | REFUSED_SIGNAL_UPSTREAM)
def test_conv1d_backward_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 7))} | signal_arguments()
    refused = (REFUSED_SIGNALS | REFUSED_SIGNAL_UPSTREAM)[wrong]
    assert_refused(lowering.conv1d_backward, right, refused)


@pytest.mark.parametrize("wrong", REFUSED_POOLINGS | REFUSED_DILATIONS)
def test_max_pool2d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = (REFUSED_POOLINGS | REFUSED_DILATIONS)[wrong]
    assert_refused(lowering.max_pool2d, pooling_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_POOLINGS)
def test_avg_pool2d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = REFUSED_POOLINGS[wrong]
    assert_refused(lowering.avg_pool2d, pooling_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_POOLINGS | REFUSED_POOL_UPSTREAM)
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling_gradients_refuse_bad_arguments(kind, wrong):
    """The message names the argument, and nothing is changed."""
    right = {"dy": np.ones((1, 4, 2, 3))} | pooling_arguments()
    refused = (REFUSED_POOLINGS | REFUSED_POOL_UPSTREAM)[wrong]
    assert_refused(getattr(lowering, f"{kind}_pool2d_backward"), right, refused)
