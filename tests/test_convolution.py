"""Convolution in loops, against SciPy, and PyTorch recorded and live."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    CONV1D,
    CONV2D,
    FOLDER,
    LAYOUTS,
    NAMED,
    PYTORCH,
    REFUSED_BIASES,
    REFUSED_CONVOLUTIONS,
    REFUSED_SIGNALS,
    SEEDS,
    Untouched,
    assert_any_layout,
    assert_convolution,
    assert_own,
    assert_refused,
    assert_same,
    convolution_arguments,
    convolutions,
    live_pytorch,
    pytorch_convolution,
    recorded,
    scipy_convolution,
    signal_arguments,
)
from scipy import signal

from cnnbook.backprop import conv2d_backward
from cnnbook.convolution import (
    BLUR,
    PREWITT_X,
    PREWITT_Y,
    SHARPEN,
    SOBEL_X,
    SOBEL_Y,
    conv1d,
    conv2d,
    convolve1d,
    convolve2d,
    correlate1d,
    correlate2d,
    pad,
)

MODES = ("full", "same", "valid")
PLAIN = {
    "correlate1d": (correlate1d, signal.correlate, 1),
    "convolve1d": (convolve1d, signal.convolve, 1),
    "correlate2d": (correlate2d, signal.correlate2d, 2),
    "convolve2d": (convolve2d, signal.convolve2d, 2),
}


def test_the_recording_has_every_case_and_is_small():
    """The recording names its versions and seeds, and lacks no case."""
    about = json.loads((FOLDER / "operations.json").read_text("utf-8"))
    seeds = {
        operation: {name: case.seed for name, case in cases.items()}
        for operation, cases in NAMED.items()
    }
    assert about["seeds"] == seeds
    assert {"torch", "numpy"} <= about.keys()
    assert sum(f.stat().st_size for f in FOLDER.glob("operations.*")) < 400_000
    for operation, cases in NAMED.items():
        for name in cases:
            assert {"x", "y", "dy"} <= recorded(operation, name).keys()


@pytest.mark.parametrize("operation", NAMED)
def test_live_pytorch_gives_what_was_recorded(operation):
    """The PyTorch that is installed agrees with the one that was recorded."""
    torch = live_pytorch()
    for name, case in NAMED[operation].items():
        kept = recorded(operation, name)
        fresh = PYTORCH[operation](torch, case)
        assert kept.keys() == fresh.keys()
        for key, value in fresh.items():
            assert_same(kept[key], value, f"{name}/{key}")


# Two arrays, and nothing else: correlate and convolve.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PLAIN)
@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data(), seed=SEEDS)
def test_correlate_and_convolve_equal_scipy(name, mode, data, seed):
    """Every mode gives what SciPy gives, whichever of the two is larger."""
    ours, theirs, dimensions = PLAIN[name]
    kernel = data.draw(st.tuples(*[st.integers(1, 5)] * dimensions))
    least = kernel if mode == "valid" else (1,) * dimensions
    size = data.draw(st.tuples(*(st.integers(k, 8) for k in least)))
    rng = np.random.default_rng(seed)
    a, k = rng.standard_normal(size), rng.standard_normal(kernel)
    with Untouched(a, k):
        got = ours(a, k, mode)
    assert_same(got, theirs(a, k, mode))


@pytest.mark.parametrize("name", PLAIN)
def test_correlate_and_convolve_are_full_unless_told(name):
    """The mode is "full" unless another is given, as SciPy's."""
    ours, theirs, dimensions = PLAIN[name]
    rng = np.random.default_rng(1)
    a, k = rng.standard_normal((6,) * dimensions), np.arange(1.0, 4)
    k = k if dimensions == 1 else np.outer(k, [1, -2])
    assert_same(ours(a, k), theirs(a, k))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PLAIN)
def test_correlate_and_convolve_keep_float32_and_take_any_layout(name, mode):
    """float32 stays, lists of whole numbers give float64, and strides are free."""
    ours, theirs, dimensions = PLAIN[name]
    rng = np.random.default_rng(2)
    a = rng.standard_normal((7, 6)[:dimensions]).astype(np.float32)
    k = rng.standard_normal((3, 2)[:dimensions]).astype(np.float32)
    assert_same(ours(a, k, mode), theirs(a, k, mode))
    for layout in (every for key, every in LAYOUTS.items() if "chan" not in key):
        laid = layout(a), layout(k)
        with Untouched(*laid):
            assert_same(ours(*laid, mode), theirs(a, k, mode))
    whole, weights = np.ones((4,) * dimensions, int), [[1, 2], [3, 5]]
    weights = weights if dimensions == 2 else weights[0]
    expected = theirs(whole.astype(float), np.array(weights, float), mode)
    assert_same(ours(whole.tolist(), weights, mode), expected)


BAD_ARRAYS = {
    "of three axes": np.ones((2, 2, 2)),
    "a number": 1.0,
    "None": None,
    "complex": np.ones((3, 3)) + 1j,
    "text": [["a", "b"]],
    "objects": np.ones((3, 3), object),
    "ragged": [[1.0], [1.0, 2.0]],
}


@pytest.mark.parametrize("argument", ["a", "kernel"])
@pytest.mark.parametrize("wrong", BAD_ARRAYS)
@pytest.mark.parametrize("name", PLAIN)
def test_correlate_and_convolve_refuse_bad_arrays(name, wrong, argument):
    """What isn't an array of one or two axes is refused by its name."""
    ours, _, dimensions = PLAIN[name]
    right = np.ones((3,) * dimensions)
    arguments = {"a": right, "kernel": right}
    refused = {argument: BAD_ARRAYS[wrong]}, argument
    assert_refused(ours, arguments, refused)


@pytest.mark.parametrize("name", PLAIN)
def test_correlate_and_convolve_refuse_bad_modes_and_sizes(name):
    """An unknown mode, nothing at all, and a kernel too large for "valid"."""
    ours, _, dimensions = PLAIN[name]
    arguments = {
        "a": np.ones((3,) * dimensions),
        "kernel": np.ones((2,) * dimensions),
    }
    for mode in ("circular", None, 1):
        assert_refused(ours, arguments, ({"mode": mode}, "mode"))
    nothing = np.ones((0,) * dimensions)
    assert_refused(ours, arguments, ({"a": nothing}, "a"))
    assert_refused(ours, arguments, ({"kernel": nothing}, "kernel"))
    large = {"kernel": np.ones((4,) * dimensions), "mode": "valid"}
    assert_refused(ours, arguments, (large, "kernel"))
    if dimensions == 2:
        for shape in ((4, 1), (1, 4)):
            long = {"kernel": np.ones(shape), "mode": "valid"}
            assert_refused(ours, arguments, (long, "kernel"))


# Convolutions with channels.


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_equals_recorded_pytorch(name):
    """Every named case gives what PyTorch gave."""
    assert_convolution(conv2d, CONV2D[name], recorded("conv2d", name))


@pytest.mark.parametrize("name", CONV1D)
def test_conv1d_equals_recorded_pytorch(name):
    """Every named case gives what PyTorch gave."""
    assert_convolution(conv1d, CONV1D[name], recorded("conv1d", name))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=convolutions(2))
def test_conv2d_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_convolution(live_pytorch(), case)
    assert_convolution(conv2d, case, results)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(case=convolutions(1))
def test_conv1d_equals_live_pytorch(case):
    """Random cases give what PyTorch gives."""
    results = pytorch_convolution(live_pytorch(), case)
    assert_convolution(conv1d, case, results)


@pytest.mark.parametrize("name", ["everything", "same_even", "float32"])
@pytest.mark.parametrize("operation", ["conv1d", "conv2d"])
def test_convolutions_take_any_layout(operation, name):
    """Strides in memory change no result and no input."""
    function, case = globals()[operation], NAMED[operation][name]
    assert_any_layout(lambda *a: function(*a, **case.options), *case.inputs())


@pytest.mark.parametrize("operation", ["conv1d", "conv2d"])
def test_convolutions_of_an_empty_batch_are_empty(operation):
    """No image in, no image out, of the right shape and dtype."""
    function, case = globals()[operation], NAMED[operation]["float32"]
    x, weight, bias = case.inputs()
    y = function(x[:0], weight, bias, **case.options)
    expected = recorded(operation, "float32")["y"][:0]
    assert_same(y, expected)


@pytest.mark.parametrize("operation", ["conv1d", "conv2d"])
def test_convolutions_take_lists_of_whole_numbers(operation):
    """Nested lists of ints count as float64."""
    rank = int(operation[4])
    x = np.arange(16.0)[None] if rank == 1 else np.arange(16.0).reshape(1, 4, 4)
    weight = np.array([[[1.0, 2.0]]]) if rank == 1 else np.array([[[[1.0, 2.0]]]])
    function = globals()[operation]
    y = function(x.astype(int).tolist(), weight.astype(int).tolist(), [3])
    assert_same(y, x[..., :-1] + 2 * x[..., 1:] + 3)


def test_conv2d_of_no_channels_is_the_bias():
    """A sum of nothing is 0, as in PyTorch."""
    y = conv2d(np.ones((1, 0, 3, 4)), np.ones((2, 0, 2, 2)), [5.0, 7.0])
    assert_same(y, np.ones((1, 2, 2, 3)) * [[[5.0]], [[7.0]]])


def test_mixed_precision_gives_the_wider():
    """float32 images with a float64 weight give float64, and the reverse."""
    x, weight, bias = CONV2D["float32"].inputs()
    for wide in range(3):
        arrays = [
            array.astype(np.float64) if k == wide else array
            for k, array in enumerate((x, weight, bias))
        ]
        assert conv2d(*arrays).dtype == np.float64


def test_conv2d_is_linear_and_shifts_with_its_input():
    """A sum in gives a sum out; a shift in gives a shift out."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 1, 2, 7, 8))
    weight = rng.standard_normal((3, 2, 3, 2))
    both = 2 * conv2d(a, weight) - 3 * conv2d(b, weight)
    assert_same(conv2d(2 * a - 3 * b, weight), both)
    moved = conv2d(np.roll(a, (1, 2), (2, 3)), weight)
    assert_same(moved[:, :, 1:, 2:], conv2d(a, weight)[:, :, :-1, :-2])


@pytest.mark.parametrize("wrong", REFUSED_CONVOLUTIONS | REFUSED_BIASES)
def test_conv2d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = (REFUSED_CONVOLUTIONS | REFUSED_BIASES)[wrong]
    assert_refused(conv2d, convolution_arguments(), refused)


@pytest.mark.parametrize("wrong", REFUSED_SIGNALS | REFUSED_BIASES)
def test_conv1d_refuses_bad_arguments(wrong):
    """The message names the argument, and nothing is changed."""
    refused = (REFUSED_SIGNALS | REFUSED_BIASES)[wrong]
    assert_refused(conv1d, signal_arguments(), refused)


# The smaller pieces.


def test_pad_puts_the_margin_where_it_was_asked_for():
    """Top, bottom, left and right are told apart; the value is the margin's."""
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    with Untouched(x):
        y = pad(x, ((1, 2), (3, 4)), value=-np.inf)
    assert y.shape == (1, 2, 5, 10)
    assert y.dtype == np.float32
    assert_same(y[:, :, 1:3, 3:6], x)
    y[:, :, 1:3, 3:6] = -np.inf
    assert (y == -np.inf).all()
    assert pad(x, (1, 2)).shape == (1, 2, 4, 7)
    assert pad(x, 1).shape == (1, 2, 4, 5)
    assert pad(x, 1).sum() == x.sum()


def test_pad_returns_a_copy_even_without_a_margin():
    """Writing into the result changes nothing of the caller's."""
    x = np.ones((2, 3))
    with Untouched(x):
        pad(x, 0)[...] = 5


@pytest.mark.parametrize(
    "changed",
    [
        {"x": np.ones(3)},
        {"x": None},
        {"x": np.ones((2, 2), object)},
        {"padding": -1},
        {"padding": 1.0},
        {"padding": "same"},
        {"padding": ((1, 2), (1, -2))},
        {"padding": ((1, 2), (1,))},
        {"padding": ((1, 2), (1, 2), (1, 2))},
        {"value": "a"},
    ],
    ids=str,
)
def test_pad_refuses_bad_arguments(changed):
    """The message names the argument, and nothing is changed."""
    right = {"x": np.ones((2, 3)), "padding": 1}
    assert_refused(pad, right, (changed, next(iter(changed))))


def test_classic_kernels_on_ramps():
    """Sobel and Prewitt measure slopes, one axis each; blur and sharpen keep."""
    rows, columns = np.mgrid[:6.0, :7.0]
    for kernel, ramp, flat, slope in (
        (SOBEL_X, columns, rows, 8),
        (SOBEL_Y, rows, columns, 8),
        (PREWITT_X, columns, rows, 6),
        (PREWITT_Y, rows, columns, 6),
    ):
        assert_same(
            signal.correlate2d(ramp, kernel, "valid"),
            np.full((4, 5), slope * 1.0),
        )
        assert_same(correlate2d(flat, kernel, "valid"), np.zeros((4, 5)))
    for kernel in (BLUR, SHARPEN):
        assert_same(correlate2d(rows, kernel, "valid"), rows[1:-1, 1:-1])
    assert (BLUR > 0).all()
    assert SHARPEN[1, 1] == 5


@pytest.mark.parametrize(("dimensions", "function"), [(1, conv1d), (2, conv2d)])
@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data())
def test_convolutions_equal_scipy_in_any_layout(dimensions, function, data):
    """Random cases give what sums of SciPy's cross-correlations give."""
    case = data.draw(convolutions(dimensions))
    names = [name for name in LAYOUTS if dimensions == 2 or "chan" not in name]
    layout = LAYOUTS[data.draw(st.sampled_from(names))]
    results = {key: layout(array) for key, array in scipy_convolution(case).items()}
    assert_convolution(function, case, results)


@pytest.mark.parametrize("padding", [0, 1])
def test_results_are_the_callers_own(padding):
    """They can be written to, and share nothing with the arguments."""
    x, weight = np.ones((1, 2, 4, 5)), np.ones((3, 2, 1, 1))
    assert_own([conv2d(x, weight, padding=padding)], x, weight)
    assert_own([conv1d(x[:, :, 0], weight[:, :, 0], padding=padding)], x, weight)


@pytest.mark.parametrize("groups", [(2,), [2], np.int8(2), np.array([2])], ids=repr)
def test_groups_as_other_sizes(groups):
    """One number in any wrapping, also one too small for the number of filters."""
    x, weight = np.ones((1, 4, 3, 3)), np.ones((200, 2, 2, 2))
    expected = conv2d(x, weight, groups=2)
    np.testing.assert_array_equal(conv2d(x, weight, groups=groups), expected)
    dx, dweight, _ = conv2d_backward(expected, x, weight, groups=groups)
    np.testing.assert_array_equal(dx, conv2d_backward(expected, x, weight, groups=2)[0])
    assert dweight.shape == weight.shape
