"""Convolution and pooling as sums and products: against the loops and PyTorch."""

from functools import partial
from itertools import product as product_of

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    LAYOUTS,
    NAMED,
    NOTHING,
    PYTORCH,
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
    Version,
    assert_adjoint,
    assert_adjoint_version,
    assert_any_layout,
    assert_any_numbers,
    assert_convolution,
    assert_convolution_backward,
    assert_equals_slower,
    assert_layouts,
    assert_nothing_convolved,
    assert_nothing_pooled,
    assert_own,
    assert_own_results,
    assert_refused,
    assert_refused_alike,
    assert_results,
    assert_same,
    convolution_arguments,
    draw_case,
    live_pytorch,
    pooling_arguments,
    poolings,
    pytorch_unfold,
    recorded,
    refusals,
    scipy_avg_pool2d,
    scipy_convolution,
    scipy_max_pool2d,
    signal_arguments,
    unfoldings,
    upstream,
)

from cnnbook import backprop, convolution, lowering, pooling
from cnnbook.gradcheck import check_gradient

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=50)
SOME_NAMES = ["everything", "same_even", "groups", "float32"]
LAID = st.sampled_from(list(LAYOUTS))


def version(operation, forward, backward):
    """Return a version of an operation, together with its loops."""
    home = convolution if operation.startswith("conv") else pooling
    loops = getattr(home, operation), getattr(backprop, f"{operation}_backward")
    return Version(operation, forward, backward, *loops)


EINSUM = lowering.conv2d_einsum, lowering.conv2d_einsum_backward
CONVOLUTIONS = {
    "conv1d": version("conv1d", lowering.conv1d, lowering.conv1d_backward),
    "conv2d": version("conv2d", lowering.conv2d, lowering.conv2d_backward),
    "einsum": version("conv2d", *(partial(f, optimize=False) for f in EINSUM)),
    "einsum, optimized": version("conv2d", *EINSUM),
}
IMAGES = [name for name, form in CONVOLUTIONS.items() if form.dimensions == 2]
BACK = lowering.max_pool2d_backward
POOLINGS = {
    "max": version("max_pool2d", lowering.max_pool2d, BACK),
    "max of windows": version("max_pool2d", lowering.max_pool2d_windows, BACK),
    "avg": version("avg_pool2d", lowering.avg_pool2d, lowering.avg_pool2d_backward),
}
VERSIONS = CONVOLUTIONS | POOLINGS
CASES = [
    (key, name) for key, form in VERSIONS.items() for name in NAMED[form.operation]
]


# Against PyTorch, recorded.


@pytest.mark.parametrize(("key", "name"), CASES)
def test_every_version_equals_recorded_pytorch(key, name):
    """Every named case gives what PyTorch and its autograd gave."""
    form = VERSIONS[key]
    results = recorded(form.operation, name)
    assert_results(form, NAMED[form.operation][name], results)


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


@pytest.mark.parametrize("key", VERSIONS)
@EXAMPLES
@given(data=st.data())
def test_every_version_equals_live_pytorch(key, data):
    """Random cases give what PyTorch and its autograd give, ties included."""
    form = VERSIONS[key]
    case = draw_case(data, form)
    assert_results(form, case, PYTORCH[form.operation](live_pytorch(), case))


@EXAMPLES
@given(case=unfoldings())
def test_im2col_and_col2im_equal_live_pytorch(case):
    """Random cases give what unfold and fold give."""
    assert_unfolding(case, pytorch_unfold(live_pytorch(), case))


# Against SciPy.


@pytest.mark.parametrize("key", CONVOLUTIONS)
@EXAMPLES
@given(data=st.data())
def test_convolutions_and_gradients_equal_scipys(key, data):
    """One channel at a time, SciPy correlates and convolves to the same."""
    case, layout = draw_case(data, VERSIONS[key]), LAYOUTS[data.draw(LAID)]
    results = {k: layout(array) for k, array in scipy_convolution(case).items()}
    assert_results(VERSIONS[key], case, results)


@pytest.mark.parametrize("key", POOLINGS)
@EXAMPLES
@given(data=st.data())
def test_poolings_equal_scipys(key, data):
    """SciPy's largest pixels and sums of all windows, and what averages share out."""
    case, layout = draw_case(data, VERSIONS[key]), LAYOUTS[data.draw(LAID)]
    scipys = scipy_avg_pool2d if key == "avg" else scipy_max_pool2d
    results = {k: layout(array) for k, array in scipys(case).items()}
    assert_results(VERSIONS[key], case, results)


# Against the loops.


@pytest.mark.parametrize("key", CONVOLUTIONS)
@EXAMPLES
@given(data=st.data())
def test_convolutions_and_gradients_equal_the_loops(key, data):
    """The same numbers, shapes and dtypes, sooner; wherever the arrays lie."""
    case, layout = draw_case(data, VERSIONS[key]), LAYOUTS[data.draw(LAID)]
    arrays = [layout(array) for array in case.inputs() if array is not None]
    with Untouched(*arrays):
        assert_equals_slower(VERSIONS[key], arrays, case.options, case.seed)


@pytest.mark.parametrize("key", POOLINGS)
@EXAMPLES
@given(data=st.data())
def test_poolings_and_gradients_equal_the_loops(key, data):
    """The same numbers, shapes and dtypes, sooner; NaN and ties included."""
    kinds = ("normal", "ties", "negative", "nan", "minus infinity")
    case, layout = draw_case(data, VERSIONS[key], kinds=kinds), data.draw(LAID)
    x, options = LAYOUTS[layout](case.inputs()), VERSIONS[key].options(case)
    with Untouched(x):
        assert_equals_slower(VERSIONS[key], [x], options, case.seed)


@pytest.mark.parametrize("key", ["max", "max of windows"])
@EXAMPLES
@given(data=st.data())
def test_maxima_of_several_nans_equal_the_loops(key, data):
    """Where NaN meets NaN, all versions choose the same one."""
    case = draw_case(data, VERSIONS[key])
    x = case.inputs()
    x[np.random.default_rng(case.seed).random(x.shape) < 0.3] = np.nan
    assert_equals_slower(VERSIONS[key], [x], case.max_options, case.seed)


@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_mixed_precision_and_whole_numbers_equal_the_loops(key):
    """The widest float decides, half precision is too coarse, ints count as float64."""
    assert_any_numbers(VERSIONS[key])


# Against themselves: adjoints and central differences.


@pytest.mark.parametrize("key", CONVOLUTIONS)
@EXAMPLES
@given(data=st.data())
def test_convolutions_satisfy_the_adjoint_identity(key, data):
    """<conv(x), dy> = <x, dx> = <w, dw>."""
    form = VERSIONS[key]
    assert_adjoint_version(form, draw_case(data, form, dtype=st.just("float64")))


@EXAMPLES
@given(case=unfoldings())
def test_col2im_is_the_adjoint_of_im2col(case):
    """<im2col(x), c> = <x, col2im(c)>."""
    x = case.inputs().astype(float)
    columns = lowering.im2col(x, **case.options)
    other = upstream(columns.shape, case.seed)
    images = lowering.col2im(other, x.shape[-2:], **case.options)
    assert_adjoint([(columns, other), (x, images)])


@pytest.mark.parametrize("key", POOLINGS)
@EXAMPLES
@given(data=st.data())
def test_poolings_satisfy_the_adjoint_identity(key, data):
    """<pool(x), dy> = <x, dx>, for the maximum too: it is linear at x."""
    assert_adjoint_version(VERSIONS[key], draw_case(data, VERSIONS[key]))


@pytest.mark.parametrize("key", CONVOLUTIONS)
@pytest.mark.parametrize("name", ["everything", "same_even", "depthwise", "no_batch"])
def test_convolution_gradients_equal_central_differences(key, name):
    """dx, dweight and dbias under a random upstream gradient."""
    form = VERSIONS[key]
    case = NAMED[form.operation][name]
    x, weight, bias = case.inputs()
    dy = upstream(form.forward(x, weight, bias, **case.options).shape, 7)
    dx, dweight, dbias = form.backward(dy, x, weight, **case.options)

    def loss(x, weight, bias):
        return np.vdot(dy, form.forward(x, weight, bias, **case.options))

    errors = [
        check_gradient(lambda a: loss(a, weight, bias), x, dx),
        check_gradient(lambda a: loss(x, a, bias), weight, dweight),
        check_gradient(lambda a: loss(x, weight, a), bias, dbias),
    ]
    assert max(errors) <= 1e-7


SMOOTH = ["overlap", "pairs", "ceil_padding", "no_batch"]
AVERAGED = SMOOTH + ["padding_left_out", "ceil_padding_left_out"]
SLOPES = [
    (key, name)
    for key in POOLINGS
    for name in (AVERAGED if key == "avg" else SMOOTH + ["dilation", "everything"])
]


@pytest.mark.parametrize(("key", "name"), SLOPES)
def test_pooling_gradients_equal_central_differences(key, name):
    """Numbers far enough apart that no step changes who wins."""
    form = VERSIONS[key]
    case = NAMED[form.operation][name]
    options = form.options(case)
    rng = np.random.default_rng(8)
    x = rng.permutation(np.prod(case.x)).reshape(case.x) / 8 - 1
    dy = upstream(form.forward(x, **options).shape, 9)
    dx = form.backward(dy, x, **options)

    def loss(a):
        return np.vdot(dy, form.forward(a, **options))

    assert check_gradient(loss, x, dx) <= 1e-7


# Windows, groups, places: the smaller pieces.


def all_windows(case):
    """Return padded images (N, C, H, W), and a copy of every window of them."""
    x = case.inputs()
    (top, left), (sh, sw), (dh, dw) = case.padding, case.stride, case.dilation
    images = x.reshape(-1, *x.shape[-3:])
    padded = np.pad(images, ((0, 0), (0, 0), (top, top), (left, left)))
    kernel, size = case.kernel_size, padded.shape[2:]
    rows, columns = (
        np.add.outer(np.arange(0, n - d * (k - 1), s), np.arange(k) * d)
        for n, k, s, d in zip(size, kernel, (sh, sw), (dh, dw), strict=True)
    )
    return padded, padded[:, :, rows[:, None, :, None], columns[None, :, None, :]]


@EXAMPLES
@given(case=unfoldings(), layout=LAID)
def test_window_view_shows_every_window_of_the_array_itself(case, layout):
    """Every place of every window is a pixel, read and never written."""
    padded, expected = all_windows(case)
    padded = LAYOUTS[layout](padded)
    window = case.kernel_size, case.stride, case.dilation
    view = lowering.window_view(padded, *window)
    assert_same(view, expected, tolerance=0)
    assert np.shares_memory(view, padded)
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 5


@EXAMPLES
@given(case=unfoldings())
def test_im2col_lists_every_window_of_random_images(case):
    """A column is a window: channels, then its rows, then its columns."""
    _, windows = all_windows(case)
    n, c, oh, ow, kh, kw = windows.shape
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)
    expected = columns if len(case.x) == 4 else columns[0]
    assert_same(lowering.im2col(case.inputs(), **case.options), expected, tolerance=0)


@EXAMPLES
@given(case=unfoldings())
def test_add_windows_is_the_adjoint_of_window_view(case):
    """<windows(x), p> = <x, add_windows(p)>."""
    padded, windows = all_windows(case)
    parts = upstream(windows.shape, case.seed).transpose(0, 1, 4, 5, 2, 3)
    with Untouched(parts):
        images = lowering.add_windows(
            parts, padded.shape[2:], case.stride, case.dilation
        )
    places = windows.transpose(0, 1, 4, 5, 2, 3).astype(float)
    assert_adjoint([(places, parts), (padded.astype(float), images)])
    assert_own([images], parts)


@EXAMPLES
@given(groups=st.integers(1, 5), channels=st.integers(0, 4), filters=st.integers(0, 4))
def test_group_slices_deal_out_channels_and_filters(groups, channels, filters):
    """Each once, in order, and as many to one group as to another."""
    pairs = lowering.group_slices(groups * channels, groups * filters, groups)
    inside, outside = zip(*pairs, strict=True)
    for slices, each in ((inside, channels), (outside, filters)):
        everyone = np.arange(groups * each)
        dealt = [everyone[piece].tolist() for piece in slices]
        assert dealt == everyone.reshape(groups, each).tolist()


@EXAMPLES
@given(case=poolings())
def test_pool_slices_pick_the_places_of_the_windows(case):
    """In reading order: the first place of all windows, then the second."""
    x = case.inputs().reshape(-1, *case.x[-3:])
    geometry = pooling.pool_geometry(x, **case.max_options)
    padded = pooling.pool_pad(x, geometry, -np.inf)
    oh, ow = geometry.output
    windows = lowering.window_view(
        padded, geometry.kernel, geometry.stride, geometry.dilation
    )[:, :, :oh, :ow]
    picked = [padded[place] for place in lowering.pool_slices(geometry)]
    expected = np.moveaxis(windows.reshape(*windows.shape[:4], -1), -1, 0)
    assert_same(picked, expected, tolerance=0)


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
    cases = NAMED["conv2d"]["same_even"], NAMED["conv2d"]["same_dilated"]
    for case, padding in product_of(cases, ("same", "valid")):
        x, weight, _ = case.inputs()
        where = {"padding": padding, "dilation": case.dilation}
        columns = lowering.im2col(x, weight.shape[2:], **where)
        y = convolution.conv2d(x, weight, **where)
        product = weight.reshape(len(weight), -1) @ columns
        assert_same(product.reshape(y.shape), y)
        images = lowering.col2im(columns, x.shape[2:], weight.shape[2:], **where)
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
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_convolutions_take_any_layout(key, name):
    """Strides in memory change no result and no input, forward or backward."""
    assert_layouts(VERSIONS[key], name)


@pytest.mark.parametrize("name", ["padding", "ceil_padding", "float32"])
@pytest.mark.parametrize("key", POOLINGS)
def test_poolings_take_any_layout(key, name):
    """Strides in memory change no result and no input, forward or backward."""
    assert_layouts(VERSIONS[key], name)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 2, 3, 4), (2, 3, 4)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("key", VERSIONS)
def test_results_are_arrays_of_their_own(key, padding, shape):
    """Writing into a result changes nothing of the caller's, nor another result."""
    assert_own_results(VERSIONS[key], padding, shape)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_convolutions_of_nothing_equal_the_loops(key, nothing, dtype):
    """No image, no channel or no filter: shapes and dtypes stay, a sum is 0."""
    assert_nothing_convolved(VERSIONS[key], nothing, dtype)


@pytest.mark.parametrize("lead", [(0, 3), (2, 0), (0,)])
@pytest.mark.parametrize("key", POOLINGS)
def test_poolings_of_nothing_equal_the_loops(key, lead):
    """No image or no channel in, none out, of the right shape and dtype."""
    assert_nothing_pooled(VERSIONS[key], lead)


def test_an_empty_batch_of_columns():
    """No image, no columns, and back."""
    x = np.ones((0, 2, 4, 5), np.float32)
    columns = lowering.im2col(x, (2, 3), 2)
    assert_same(columns, np.ones((0, 12, 4), np.float32))
    assert_same(lowering.col2im(columns, (4, 5), (2, 3), 2), x)


@pytest.mark.parametrize("key", IMAGES)
def test_large_sums_stay_near_float64(key):
    """512 products in float32 differ from float64 by rounding alone."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((1, 32, 6, 6)).astype(np.float32)
    weight = rng.standard_normal((4, 32, 4, 4)).astype(np.float32)
    y = VERSIONS[key].forward(x, weight)
    exact = convolution.conv2d(x.astype(float), weight.astype(float))
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() < TOLERANCE["float32"] * np.abs(exact).max()


def test_einsum_takes_the_names_of_its_ways():
    """What NumPy's einsum calls its ways of summing changes no result."""
    case, results = NAMED["conv2d"]["groups"], recorded("conv2d", "groups")
    for optimize in ("greedy", "optimal", None):
        forward, backward = (partial(f, optimize=optimize) for f in EINSUM)
        assert_convolution(forward, case, results)
        assert_convolution_backward(backward, case, results)


@pytest.mark.parametrize("optimize", [True, False])
def test_einsum_is_told_whether_to_optimize(optimize, monkeypatch):
    """Every sum over letters gets the argument, which is True unless given."""
    told, einsum = [], np.einsum

    def listen(*arrays, optimize):
        told.append(optimize)
        return einsum(*arrays, optimize=optimize)

    monkeypatch.setattr(np, "einsum", listen)
    x, weight = np.ones((1, 2, 3, 4)), np.ones((2, 1, 2, 2))
    options = {"groups": 2} if optimize else {"groups": 2, "optimize": False}
    y = lowering.conv2d_einsum(x, weight, **options)
    lowering.conv2d_einsum_backward(y, x, weight, **options)
    assert told == [optimize] * 6


def some(keys):
    """Return the versions of these names."""
    return {key: VERSIONS[key] for key in keys}


@refusals(some(IMAGES), REFUSED_CONVOLUTIONS, REFUSED_BIASES)
def test_conv2d_refuses_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    right = convolution_arguments()
    assert_refused_alike(form.forward, form.slower, right, refused)


@refusals(some(["conv1d"]), REFUSED_SIGNALS, REFUSED_BIASES)
def test_conv1d_refuses_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    assert_refused_alike(form.forward, form.slower, signal_arguments(), refused)


@refusals(some(IMAGES), REFUSED_CONVOLUTIONS, REFUSED_UPSTREAM)
def test_conv2d_backward_refuses_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 3, 5))} | convolution_arguments()
    assert_refused_alike(form.backward, form.slower_backward, right, refused)


@refusals(some(["conv1d"]), REFUSED_SIGNALS, REFUSED_SIGNAL_UPSTREAM)
def test_conv1d_backward_refuses_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 7))} | signal_arguments()
    assert_refused_alike(form.backward, form.slower_backward, right, refused)


@refusals(some(["max", "max of windows"]), REFUSED_POOLINGS, REFUSED_DILATIONS)
def test_max_pool2d_refuses_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    assert_refused_alike(form.forward, form.slower, pooling_arguments(), refused)


@refusals(some(["avg"]), REFUSED_POOLINGS)
def test_avg_pool2d_refuses_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    assert_refused_alike(form.forward, form.slower, pooling_arguments(), refused)


@refusals(some(["max", "avg"]), REFUSED_POOLINGS, REFUSED_POOL_UPSTREAM)
def test_pooling_gradients_refuse_bad_arguments(form, refused):
    """The message names the argument, as the loops' does, and nothing is changed."""
    right = {"dy": np.ones((1, 4, 2, 3))} | pooling_arguments()
    assert_refused_alike(form.backward, form.slower_backward, right, refused)
