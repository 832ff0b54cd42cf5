"""The kernels of all layers: against PyTorch, SciPy and the products of `lowering`.

Each check runs in several ways: on one thread and more, with the work in one piece or
cut into the smallest pieces, in fresh memory, memory used before, and memory full of
NaN, which would show wherever it isn't overwritten.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_cases import (
    LAYOUTS,
    NAMED,
    NOTHING,
    PYTORCH,
    REFUSED_BIASES,
    REFUSED_CONVOLUTIONS,
    REFUSED_DILATIONS,
    REFUSED_POOL_UPSTREAM,
    REFUSED_POOLINGS,
    REFUSED_SIGNAL_UPSTREAM,
    REFUSED_SIGNALS,
    REFUSED_UPSTREAM,
    Untouched,
    Version,
    assert_adjoint_version,
    assert_any_numbers,
    assert_equals_slower,
    assert_layouts,
    assert_nothing_convolved,
    assert_nothing_pooled,
    assert_own_results,
    assert_refused_alike,
    assert_results,
    assert_same,
    convolution_arguments,
    convolutions,
    draw_case,
    live_pytorch,
    pooling_arguments,
    poolings,
    recorded,
    refusals,
    scipy_avg_pool2d,
    scipy_convolution,
    scipy_max_pool2d,
    signal_arguments,
    upstream,
)

from cnnbook import fast, lowering, pooling, threads
from cnnbook.convolution import conv_geometry
from cnnbook.gradcheck import check_gradient

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=40)
OPERATIONS = ("conv1d", "conv2d", "max_pool2d", "avg_pool2d")
VERSIONS = {
    name: Version(
        name,
        *(
            getattr(home, name + end)
            for home in (fast, lowering)
            for end in ("", "_backward")
        ),
    )
    for name in OPERATIONS
}
CONVOLUTIONS, POOLINGS = OPERATIONS[:2], OPERATIONS[2:]
CASES = [(key, name) for key in VERSIONS for name in NAMED[key]]
LAID = st.sampled_from(list(LAYOUTS))


class Way:
    """How many threads there are, when work is shared, in how small pieces, and where.

    As a context, it is set; afterwards all is as it was.
    """

    def __init__(self, count, shared, lowered, empty=None):
        self.count, self.shared, self.lowered = count, shared, lowered
        self.empty = empty

    def __enter__(self):
        self.before = [
            (home, name, getattr(home, name))
            for home, name in (
                (threads, "SHORT"),
                (threads, "LEAST"),
                (fast, "LOWERED"),
                (fast, "empty"),
            )
        ]
        self.threads = threads.get_num_threads()
        if self.count != self.threads:
            threads.set_num_threads(self.count)
        threads.SHORT = -1 if self.shared else threads.SHORT
        threads.LEAST = 1
        fast.LOWERED = self.lowered
        fast.empty = self.empty or fast.empty

    def __exit__(self, *error):
        for home, name, value in self.before:
            setattr(home, name, value)
        if self.count != self.threads:
            threads.set_num_threads(self.threads)


def poisoned(shape, dtype):
    """Return an array of NaN, or of a number that is no place in a window."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 200, dtype)


def poisoned_before(shape, dtype):
    """Return an array in memory used before, as it would be after a NaN."""
    array = threads.empty(shape, dtype)
    array[...] = np.nan if array.dtype.kind == "f" else 200
    return array


WAYS = {
    "one thread": Way(1, False, fast.LOWERED),
    "one thread, poisoned": Way(1, False, fast.LOWERED, poisoned),
    "one thread, smallest pieces": Way(1, False, 0, poisoned_before),
    "two threads": Way(2, True, fast.LOWERED, poisoned_before),
    "two threads, small pieces": Way(2, True, 3000),
    "three threads, smallest pieces": Way(3, True, 0, poisoned),
}
ANY_WAY = st.sampled_from(list(WAYS))
every_way = pytest.mark.parametrize("way", WAYS)
in_pieces = pytest.mark.parametrize("way", list(WAYS)[1::4])


def test_a_way_is_left_again():
    """What the other tests change is as it was, whatever happens."""
    before = threads.SHORT, threads.LEAST, fast.LOWERED, fast.empty
    count = threads.get_num_threads()
    for way in WAYS.values():
        with pytest.raises(KeyError), way:
            assert threads.get_num_threads() == way.count
            raise KeyError
        assert (threads.SHORT, threads.LEAST, fast.LOWERED, fast.empty) == before
        assert threads.get_num_threads() == count


# Against PyTorch and SciPy.


@every_way
@pytest.mark.parametrize(("key", "name"), CASES)
def test_every_operation_equals_recorded_pytorch(key, name, way):
    """Every named case gives what PyTorch and its autograd gave."""
    with WAYS[way]:
        assert_results(VERSIONS[key], NAMED[key][name], recorded(key, name))


@pytest.mark.parametrize("key", VERSIONS)
@EXAMPLES
@given(data=st.data())
def test_every_operation_equals_live_pytorch(key, data):
    """Random cases give what PyTorch and its autograd give, ties included."""
    case, layout = draw_case(data, VERSIONS[key]), LAYOUTS[data.draw(LAID)]
    results = PYTORCH[key](live_pytorch(), case)
    with WAYS[data.draw(ANY_WAY)]:
        laid = {name: layout(array) for name, array in results.items()}
        assert_results(VERSIONS[key], case, laid)


@pytest.mark.parametrize("key", VERSIONS)
@EXAMPLES
@given(data=st.data())
def test_every_operation_equals_scipys(key, data):
    """What SciPy correlates, convolves, finds largest, and shares out."""
    case, layout = draw_case(data, VERSIONS[key]), LAYOUTS[data.draw(LAID)]
    scipys = {"max_pool2d": scipy_max_pool2d, "avg_pool2d": scipy_avg_pool2d}
    results = scipys.get(key, scipy_convolution)(case)
    with WAYS[data.draw(ANY_WAY)]:
        laid = {name: layout(array) for name, array in results.items()}
        assert_results(VERSIONS[key], case, laid)


def wide(draw_from):
    """Draw channels and images enough for both ways to convolve."""
    groups, inside, outside = (draw_from(st.integers(1, m)) for m in (2, 9, 4))
    size, kernel = draw_from(st.integers(1, 9)), draw_from(st.integers(1, 5))
    padding, dilation = draw_from(st.integers(0, 6)), draw_from(st.integers(1, 3))
    size = max(size, dilation * (kernel - 1) + 1 - 2 * padding)
    n, seed = draw_from(st.integers(0, 5)), draw_from(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, groups * inside, size, size))
    shape = (groups * outside, inside, kernel, kernel)
    options = {
        "stride": draw_from(st.integers(1, 4)),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    return x, rng.standard_normal(shape), rng.standard_normal(shape[0]), options


@settings(EXAMPLES, max_examples=120)
@given(data=st.data())
def test_wide_margins_and_many_channels_equal_live_pytorch(data):
    """Margins wider than the kernel, empty batches, no bias, whatever the channels."""
    x, weight, bias, options = wide(data.draw)
    case = SimpleNamespace(x=x.shape, weight=weight.shape, options=options, seed=1)
    case.inputs = lambda: (x, weight, bias)
    results = PYTORCH["conv2d"](live_pytorch(), case)
    with WAYS[data.draw(ANY_WAY)]:
        assert_results(VERSIONS["conv2d"], case, results)


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("key", CONVOLUTIONS)
@EXAMPLES
@given(data=st.data())
def test_both_ways_to_convolve_equal_scipys(key, chosen, data):
    """Gathering and spreading are right wherever the other one is chosen."""
    case = draw_case(data, VERSIONS[key])
    results, gathers = scipy_convolution(case), fast.gathers
    fast.gathers = lambda weight, g: chosen or g.stride[1] > 1
    try:
        with WAYS[data.draw(ANY_WAY)]:
            assert_results(VERSIONS[key], case, results)
    finally:
        fast.gathers = gathers


def test_both_ways_to_convolve_are_chosen():
    """Many channels and few filters spread; few channels, or a stride, gather."""
    chosen = {}
    for channels, filters, stride in [(1, 8, 1), (8, 8, 1), (8, 8, 2), (32, 64, 1)]:
        weight = np.zeros((filters, channels, 5, 5))
        x = np.zeros((1, channels, 9, 9))
        g = conv_geometry(x, weight, None, stride, 2, 1, 1, 2)
        chosen[channels, filters, stride] = fast.gathers(weight, g)
    assert chosen == {
        (1, 8, 1): True,
        (8, 8, 1): False,
        (8, 8, 2): True,
        (32, 64, 1): False,
    }


# Against the products of `lowering`.


@contextmanager
def closer():
    """Compare as closely as rounding allows: products in another order."""
    import oracle_cases

    before = dict(oracle_cases.TOLERANCE)
    oracle_cases.TOLERANCE.update(float64=1e-12, float32=1e-5)
    try:
        yield
    finally:
        oracle_cases.TOLERANCE.update(before)


@pytest.mark.parametrize("key", CONVOLUTIONS)
@EXAMPLES
@given(data=st.data())
def test_convolutions_equal_lowerings(key, data):
    """The same numbers, shapes and dtypes, sooner; wherever the arrays lie."""
    case, layout = draw_case(data, VERSIONS[key]), LAYOUTS[data.draw(LAID)]
    arrays = [layout(array) for array in case.inputs() if array is not None]
    with Untouched(*arrays), WAYS[data.draw(ANY_WAY)], closer():
        assert_equals_slower(VERSIONS[key], arrays, case.options, case.seed)


@pytest.mark.parametrize("key", POOLINGS)
@settings(EXAMPLES, max_examples=80)
@given(data=st.data())
def test_poolings_equal_lowerings(key, data):
    """The same numbers, shapes and dtypes; NaN, ties and minus infinity included."""
    kinds = ("normal", "ties", "negative", "nan", "minus infinity")
    case, layout = draw_case(data, VERSIONS[key], kinds=kinds), data.draw(LAID)
    x, options = LAYOUTS[layout](case.inputs()), VERSIONS[key].options(case)
    with Untouched(x), WAYS[data.draw(ANY_WAY)], closer():
        assert_equals_slower(VERSIONS[key], [x], options, case.seed)


@EXAMPLES
@given(case=poolings(), way=ANY_WAY)
def test_the_first_of_several_nans_wins(case, way):
    """Where NaN meets NaN, the choice is that of the slower versions."""
    x = case.inputs()
    x[np.random.default_rng(case.seed).random(x.shape) < 0.3] = np.nan
    with WAYS[way]:
        assert_equals_slower(VERSIONS["max_pool2d"], [x], case.max_options, case.seed)


@every_way
def test_ties_go_to_the_first_in_reading_order(way):
    """Also with more places in a window than a byte can count."""
    for kernel in (2, 3, 16, 17):
        x = np.zeros((2, 3, 2 * kernel, kernel), np.float32)
        x[0, 0, kernel - 1, kernel - 1] = 1  # the last place
        x[1, 2, kernel + 1, kernel - 1] = np.nan
        x[1, 2, kernel + 1, 0] = np.inf
        dy = np.arange(1, 13, dtype=np.float32).reshape(2, 3, 2, 1)
        expected = np.zeros_like(x)
        expected[:, :, ::kernel, 0] = dy[..., 0]
        expected[0, 0, 0, 0], expected[0, 0, kernel - 1, kernel - 1] = 0, 1
        expected[1, 2, kernel, 0], expected[1, 2, kernel + 1, kernel - 1] = 0, 12
        with WAYS[way]:
            np.testing.assert_array_equal(
                fast.max_pool2d_backward(dy, x, kernel), expected
            )


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", range(3, 13))
def test_pixels_that_no_window_reaches_get_nothing(size, padding):
    """A stride of the kernel's size with a margin: the last pixels may be left out."""
    x = np.random.default_rng(size).permutation(2 * size * size).astype(float)
    x = x.reshape(1, 2, size, size)
    for options in ({}, {"ceil_mode": True}, {"stride": 4}, {"stride": 2}):
        options |= {"kernel_size": 3, "padding": padding}
        with WAYS["one thread, poisoned"]:
            for key in POOLINGS:
                assert_equals_slower(VERSIONS[key], [x], options)


@in_pieces
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_numbers_that_are_not_finite_stay_where_they_are(key, bad, way):
    """A bad pixel spoils the windows that hold it, and no other ones."""
    case = NAMED[key]["everything"]
    x, weight, bias = case.inputs()
    spoiled, pixel = x.copy(), (0, 0, *(1,) * VERSIONS[key].dimensions)
    spoiled[pixel] = bad
    with WAYS[way]:
        clean = VERSIONS[key].forward(x, weight, bias, **case.options)
        with np.errstate(invalid="ignore"):
            y = VERSIONS[key].forward(spoiled, weight, bias, **case.options)
            dx, dweight, _ = VERSIONS[key].backward(
                np.ones_like(y), spoiled, weight, **case.options
            )
    with np.errstate(invalid="ignore"):
        expected = VERSIONS[key].slower(spoiled, weight, bias, **case.options)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(y), np.isinf(expected))
    assert_same(y[np.isfinite(y)], clean[np.isfinite(y)])
    assert not np.isfinite(y).all()
    assert np.isfinite(dx).all()
    assert 0 < np.isfinite(dweight).sum() < dweight.size


@in_pieces
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["overlap", "plain", "ceil"])
@pytest.mark.parametrize("key", POOLINGS)
def test_gradients_that_are_not_finite_stay_where_they_are(key, name, bad, way):
    """Infinity times "did not win" is no number; it must not be computed."""
    case = NAMED[key][name]
    options = VERSIONS[key].options(case)
    x = case.inputs()
    dy = upstream(fast.max_pool2d(x, **case.window).shape, 3)
    dy[0, 0, 1, 1], dy[-1, -1, 0, 0] = bad, -bad
    with WAYS[way]:
        dx = VERSIONS[key].backward(dy, x, **options)
    expected = VERSIONS[key].slower_backward(dy, x, **options)
    np.testing.assert_allclose(dx, expected, rtol=1e-12)
    assert 0 < (~np.isfinite(dx)).sum() < dx.size // 4


@every_way
def test_large_gradients_of_a_pooling_are_no_error(way):
    """Numbers whose sum is beyond the largest one are handed back as they are."""
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)
    for key in POOLINGS:
        dy = np.full((1, 2, 2, 2), 3e38, np.float32)
        with WAYS[way]:
            dx = VERSIONS[key].backward(dy, x, 2)
        np.testing.assert_array_equal(dx, VERSIONS[key].slower_backward(dy, x, 2))


@every_way
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_mixed_precision_and_whole_numbers(key, way):
    """The widest float decides, half precision is too coarse, ints count as float64."""
    with WAYS[way]:
        assert_any_numbers(VERSIONS[key])


@every_way
@pytest.mark.parametrize("key", POOLINGS)
def test_poolings_of_whole_numbers_and_lists(key, way):
    """Whole numbers count as float64, half precision as float32."""
    x = np.arange(2 * 5 * 4).reshape(1, 2, 5, 4) % 7
    with WAYS[way]:
        for dtype in ("?", "b", "l", "e", "f", "d"):
            assert_equals_slower(VERSIONS[key], [x.astype(dtype)], {"kernel_size": 2})
        listed = VERSIONS[key].forward(x.tolist(), 2)
    assert_same(listed, VERSIONS[key].slower(x, 2))


# Against themselves.


@pytest.mark.parametrize("key", VERSIONS)
@EXAMPLES
@given(data=st.data())
def test_every_operation_satisfies_the_adjoint_identity(key, data):
    """<f(x), dy> = <x, dx>, and for a convolution = <w, dw>."""
    case = draw_case(data, VERSIONS[key])
    with WAYS[data.draw(ANY_WAY)]:
        assert_adjoint_version(VERSIONS[key], case)


@in_pieces
@pytest.mark.parametrize("name", ["everything", "same_even", "depthwise", "no_batch"])
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_convolution_gradients_equal_central_differences(key, name, way):
    """dx and dweight under a random upstream gradient."""
    form, case = VERSIONS[key], NAMED[key][name]
    x, weight, _ = case.inputs()
    with WAYS[way]:
        dy = upstream(form.forward(x, weight, **case.options).shape, 7)
        dx, dweight, _ = form.backward(dy, x, weight, **case.options)

    def loss(x, weight):
        return np.vdot(dy, form.forward(x, weight, **case.options))

    errors = [
        check_gradient(lambda a: loss(a, weight), x, dx),
        check_gradient(lambda a: loss(x, a), weight, dweight),
    ]
    assert max(errors) <= 1e-7


@pytest.mark.parametrize("key", VERSIONS)
@EXAMPLES
@given(data=st.data())
def test_threads_change_no_result(key, data):
    """One thread and three give the same, to rounding where sums are cut."""
    case = draw_case(data, VERSIONS[key])
    given_to = case.inputs()[:2] if key in CONVOLUTIONS else [case.inputs()]
    results = []
    for way in ("one thread", "three threads, smallest pieces"):
        with WAYS[way]:
            y = VERSIONS[key].forward(*given_to, **VERSIONS[key].options(case))
            dy = upstream(y.shape, case.seed, case.dtype)
            back = VERSIONS[key].backward(dy, *given_to, **VERSIONS[key].options(case))
        results.append((y, *(back if isinstance(back, tuple) else (back,))))
    for a, b in zip(*results, strict=True):
        assert_same(a, b)


# Memory.


@in_pieces
@pytest.mark.parametrize("name", ["everything", "groups", "float32"])
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_convolutions_take_any_layout(key, name, way):
    """Strides in memory change no result and no input, forward or backward."""
    with WAYS[way]:
        assert_layouts(VERSIONS[key], name)


@in_pieces
@pytest.mark.parametrize("name", ["padding", "ceil_padding", "float32"])
@pytest.mark.parametrize("key", POOLINGS)
def test_poolings_take_any_layout(key, name, way):
    """Strides in memory change no result and no input, forward or backward."""
    with WAYS[way]:
        assert_layouts(VERSIONS[key], name)


def by_images(array):
    """Return the values as a view that lies in memory as planes do, (H, C, W, N)."""
    return np.ascontiguousarray(array.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2)


def test_planes_are_a_view_where_they_can_be():
    """What lies in memory as (H, C, W, N) isn't copied, and nothing writes to it."""
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
    laid = by_images(x)
    np.testing.assert_array_equal(laid, x)
    assert np.shares_memory(fast.planes(laid), laid)
    assert not np.shares_memory(fast.planes(x), x)
    for array in (x, laid, x[0]):
        planes = fast.planes(array)
        assert planes.flags.c_contiguous
        np.testing.assert_array_equal(fast.unplanes(planes, array), array)
    y = fast.conv2d(x, np.ones((2, 2, 3, 3)))
    assert np.shares_memory(fast.planes(y), y)


@every_way
@pytest.mark.parametrize("key", ["conv2d", *POOLINGS])
def test_planes_are_inputs_like_others(key, way):
    """Arrays that aren't copied before are not changed either."""
    name = "everything" if key == "conv2d" else "overlap"
    case, results = NAMED[key][name], recorded(key, name)
    laid = {k: by_images(a) if a.ndim == 4 else a for k, a in results.items()}
    with WAYS[way]:
        assert_results(VERSIONS[key], case, laid)


@in_pieces
@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 2, 3, 4), (2, 3, 4)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("key", VERSIONS)
def test_results_are_arrays_of_their_own(key, padding, shape, way):
    """Writing into a result changes nothing of the caller's, nor another result."""
    with WAYS[way]:
        assert_own_results(VERSIONS[key], padding, shape)


@every_way
@pytest.mark.parametrize("key", VERSIONS)
def test_results_outlive_the_calls_that_follow(key, way):
    """Memory is used again, but never that of a result which somebody holds."""
    form, rng = VERSIONS[key], np.random.default_rng(1)
    held, copies = [], []

    def hold(*results):
        held.extend(a[..., 1:] for a in results)  # a part of it is enough
        copies.extend(a[..., 1:].copy() for a in results)

    with WAYS[way]:
        for _ in range(5):
            x = rng.standard_normal((2, 3, 8, 8)[: form.dimensions + 2])
            weight = rng.standard_normal((3, 3, 3, 3)[: form.dimensions + 2])
            given_to = (x, weight) if key in CONVOLUTIONS else (x,)
            more = {} if key in CONVOLUTIONS else {"kernel_size": 2}
            y = form.forward(*given_to, **more)
            back = form.backward(rng.standard_normal(y.shape), *given_to, **more)
            hold(y, *(back[:2] if key in CONVOLUTIONS else (back,)))
            for array, copy in zip(held, copies, strict=True):
                np.testing.assert_array_equal(array, copy)
        for k, array in enumerate(held):
            assert not any(np.shares_memory(array, other) for other in held[:k])


@every_way
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_without_the_input_gradient(key, way):
    """dx is None, and the other gradients are the same; it must be said by name."""
    form = VERSIONS[key]
    for name in ("everything", "no_batch", "float32"):
        case, results = NAMED[key][name], recorded(key, name)
        given_to = [results[k] for k in ("dy", "x", "weight")]
        with WAYS[way]:
            dx, *others = form.backward(*given_to, **case.options)
            same_dx, *same = form.backward(
                *given_to, **case.options, input_gradient=True
            )
            none, *without = form.backward(
                *given_to, **case.options, input_gradient=False
            )
        assert none is None
        np.testing.assert_array_equal(dx, same_dx)
        for a, b, c in zip(others, same, without, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)
        with pytest.raises(TypeError):
            form.backward(*given_to, *case.options.values(), False)


# Nothing, and what is refused.


@in_pieces
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("key", CONVOLUTIONS)
def test_convolutions_of_nothing(key, nothing, dtype, way):
    """No image, no channel or no filter: shapes and dtypes stay, a sum is 0."""
    with WAYS[way]:
        assert_nothing_convolved(VERSIONS[key], nothing, dtype)


@in_pieces
@pytest.mark.parametrize("lead", [(0, 3), (2, 0), (0,)])
@pytest.mark.parametrize("key", POOLINGS)
def test_poolings_of_nothing(key, lead, way):
    """No image or no channel in, none out, of the right shape and dtype."""
    with WAYS[way]:
        assert_nothing_pooled(VERSIONS[key], lead)


def of(*keys):
    """Return the versions of these operations."""
    return {key: VERSIONS[key] for key in keys}


@refusals(of("conv2d"), REFUSED_CONVOLUTIONS, REFUSED_BIASES)
def test_conv2d_refuses_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    right = convolution_arguments()
    assert_refused_alike(form.forward, form.slower, right, refused)


@refusals(of("conv1d"), REFUSED_SIGNALS, REFUSED_BIASES)
def test_conv1d_refuses_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    assert_refused_alike(form.forward, form.slower, signal_arguments(), refused)


@refusals(of("conv2d"), REFUSED_CONVOLUTIONS, REFUSED_UPSTREAM)
def test_conv2d_backward_refuses_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 3, 5))} | convolution_arguments()
    assert_refused_alike(form.backward, form.slower_backward, right, refused)


@refusals(of("conv1d"), REFUSED_SIGNALS, REFUSED_SIGNAL_UPSTREAM)
def test_conv1d_backward_refuses_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    right = {"dy": np.ones((1, 2, 7))} | signal_arguments()
    assert_refused_alike(form.backward, form.slower_backward, right, refused)


@refusals(of("max_pool2d"), REFUSED_POOLINGS, REFUSED_DILATIONS)
def test_max_pool2d_refuses_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    assert_refused_alike(form.forward, form.slower, pooling_arguments(), refused)


@refusals(of("avg_pool2d"), REFUSED_POOLINGS)
def test_avg_pool2d_refuses_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    assert_refused_alike(form.forward, form.slower, pooling_arguments(), refused)


@refusals(of("max_pool2d", "avg_pool2d"), REFUSED_POOLINGS, REFUSED_POOL_UPSTREAM)
def test_pooling_gradients_refuse_bad_arguments(form, refused):
    """The message names the argument, as lowering's does, and nothing is changed."""
    right = {"dy": np.ones((1, 4, 2, 3))} | pooling_arguments()
    assert_refused_alike(form.backward, form.slower_backward, right, refused)


# The smaller pieces.


@EXAMPLES
@given(
    st.integers(0, 6),
    st.integers(1, 9),
    st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(1, 4)),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_a_tap_meets_the_inputs_that_eq_meeting_says(tap, size, numbers, start, count):
    """Output o finds input o * stride + tap * dilation - before, if there is one."""
    axis = fast.Axis(*numbers)
    outputs = range(start, start + count)
    to, source = fast.meeting(tap, size, axis, slice(start, start + count))
    met = {}
    for k, output in enumerate(outputs):
        place = output * axis.stride + tap * axis.dilation - axis.before
        if 0 <= place < size:
            met[k] = place
    assert list(range(to.start, to.stop)) == list(met) or not met
    assert 0 <= to.start <= to.stop or not met
    assert np.arange(size)[source].tolist() == list(met.values())


@EXAMPLES
@given(case=convolutions(), most=st.integers(1, 9), data=st.data())
def test_stacks_are_the_rows_that_an_output_row_needs(case, most, data):
    """Each output row once, in order; its matrix holds the rows under the taps."""
    x, weight, _ = case.inputs()
    g = conv_geometry(x, weight, None, **case.options, dimensions=2)
    axis, (oh, _) = fast.axes(g)[0], g.output
    height, taps = case.x[-2], case.weight[2]
    source = np.random.default_rng(0).standard_normal((2, height, 3, 4))
    first = data.draw(st.integers(0, oh - 1))
    last = data.draw(st.integers(first + 1, oh))
    done = []
    for rows, used, stack in fast.stacks(source, taps, axis, slice(first, last), most):
        assert 1 <= rows.stop - rows.start <= most
        for k, row in enumerate(range(rows.start, rows.stop)):
            done.append(row)
            places = [
                (first + row) * axis.stride + u * axis.dilation - axis.before
                for u in range(taps)
            ]
            inside = [u for u, place in enumerate(places) if 0 <= place < height]
            assert inside == list(range(used.start, used.stop))
            expected = [source[:, places[u]] for u in inside]
            if expected:
                np.testing.assert_array_equal(
                    stack[:, k], np.concatenate(expected, axis=1)
                )
    assert done == list(range(last - first))


@EXAMPLES
@given(case=poolings(), seed=st.integers(0, 99))
def test_rectified_maxima_are_those_of_a_rectified_input(case, seed):
    """What Sequential lets the pooling do: max pooling of max(x, 0), and back."""
    x, options = case.inputs(), case.max_options
    x.flat[:: 7 + seed] = np.nan
    g = pooling.pool_geometry(x, **options)
    with WAYS["one thread, poisoned"]:
        y, index = fast.pool_max(x, g, rectify=True)
        alone, none = fast.pool_max(x, g, with_index=False, rectify=True)
        dy = upstream(fast.unplanes(y, x).shape, seed, x.dtype)
        dx = fast.unpool_max(dy, index, g, x.shape[-2:])
    assert none is None
    np.testing.assert_array_equal(y, alone)
    rectified = np.maximum(x, 0)
    np.testing.assert_array_equal(
        fast.unplanes(y, x), lowering.max_pool2d(rectified, **options)
    )
    positive = ~(lowering.max_pool2d(rectified, **options) <= 0)
    expected = lowering.max_pool2d_backward(dy * positive, rectified, **options)
    assert_same(dx, expected)


def test_a_bias_gradient_rounds_as_little_as_numpys_sum():
    """Also for millions of equal numbers; and an overflow is reported."""
    dy = np.full((64, 2, 20_000), 0.1, np.float32)
    x, weight = np.zeros((64, 1, 20_000), np.float32), np.zeros((2, 1, 1), np.float32)
    dbias = fast.conv1d_backward(dy, x, weight)[2]
    np.testing.assert_allclose(dbias, 64 * 20_000 * np.float64(dy[0, 0, 0]), rtol=1e-6)
    dy = np.full((2, 1, 2, 2), 3e38, np.float32)
    kernel = np.zeros((1, 1, 1, 1), np.float32)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        fast.conv2d_backward(dy, np.zeros_like(dy), kernel)


def test_places_of_large_windows_are_not_kept():
    """A window of many places would fill the memory, size by size."""
    fast.window_places.cache_clear()
    for size in (12, 13):
        fast.avg_pool2d(np.ones((1, 1, size, size)), size)
    assert fast.window_places.cache_info().currsize == 0
    fast.avg_pool2d(np.ones((1, 1, 12, 12)), 2)
    assert fast.window_places.cache_info().currsize == 1
