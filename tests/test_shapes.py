"""Sizes, receptive fields and counts, against windows laid one by one."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_cases import Untouched, assert_refused, axes, live_pytorch

from cnnbook import shapes
from cnnbook.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from cnnbook.shapes import (
    as_padding,
    as_sizes,
    conv_output_size,
    parameter_count,
    receptive_field,
)


def read_only(*numbers):
    """Return an array that cannot be written to."""
    array = np.array(numbers)
    array.flags.writeable = False
    return array


# Sizes, one number or several.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, (3, 3)),
        (1, (1, 1)),
        (np.int64(3), (3, 3)),
        (np.uint8(255), (255, 255)),
        (np.array(3), (3, 3)),
        ((3, 4), (3, 4)),
        ([3, 4], (3, 4)),
        ([np.int8(3), 4], (3, 4)),
        (np.array([3, 4]), (3, 4)),
        (np.array([3, 4], np.uint64), (3, 4)),
        (read_only(3, 4), (3, 4)),
        (2**31 - 1, (2**31 - 1,) * 2),
    ],
    ids=repr,
)
def test_as_sizes(value, expected):
    """One number counts for both dimensions; the results are Python's ints."""
    with Untouched(value):
        found = as_sizes(value, "name", 2)
    assert found == expected
    assert type(found) is tuple
    assert all(type(number) is int for number in found)


def test_as_sizes_has_as_many_dimensions_as_asked_for():
    """One, two or three numbers; zero only where it is allowed."""
    assert as_sizes(5, "name", 1) == as_sizes([5], "name", 1) == (5,)
    assert as_sizes(5, "name", 3) == (5, 5, 5)
    assert as_sizes((1, 2, 3), "name", 3) == (1, 2, 3)
    assert as_sizes((0, 4), "name", 2, least=0) == (0, 4)
    assert as_sizes(-2, "name", 1, least=-2) == (-2,)


NO_NUMBERS = [3.0, np.float32(3), np.nan, np.inf, 1 + 0j, None, "3", "34", b"34"]
NO_NUMBERS += [True, np.True_, (True, 1), [1, np.False_], np.array(True)]
NO_NUMBERS += [(1, 2.0), (1, None), ("1", 2), [[1, 2], [3, 4]], [[1], [1, 2]]]
NO_NUMBERS += [np.array([1.0, 2.0]), np.array([True, True]), np.ones((2, 2), int)]
NO_NUMBERS += [{1, 2}, {1: 2, 3: 4}, ...]
NO_SIZES = [(), [], (1,), (1, 2, 3), np.ones(3, int), np.ones(0, int)]
NO_SIZES += [0, -1, (1, 0), (-1, 1), np.array([1, -2]), -(10**30)]
NO_SIZES += [2**31, (1, 2**31), 10**30, np.uint64(2**63)]


@pytest.mark.parametrize("name", ["stride", "kernel_size"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_as_sizes_refuses_what_is_no_whole_number(value, name):
    """The message begins with the name that was given, and says what came."""
    with pytest.raises(TypeError) as error:
        as_sizes(value, name, 2)
    assert str(error.value) == f"{name}: needs whole numbers, got {value!r}"


@pytest.mark.parametrize("name", ["stride", "kernel_size"])
@pytest.mark.parametrize("value", NO_SIZES, ids=repr)
def test_as_sizes_refuses_too_many_too_few_too_small_too_large(value, name):
    """The message begins with the name that was given, and says what came."""
    with pytest.raises(ValueError) as error:
        as_sizes(value, name, 2)
    assert str(error.value).startswith(f"{name}: ")
    assert str(error.value).endswith(f", got {value!r}")


# Padding, in numbers and in words.


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 0), ((1, 1), (0, 0))),
        (np.array([1, 2]), ((1, 1), (2, 2))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 1), (4, 5))),  # 3 weights: 2; 4 weights 3 apart: 9
        (np.str_("same"), ((1, 1), (4, 5))),
    ],
    ids=repr,
)
def test_as_padding(padding, expected):
    """Zeros before and after each dimension; an odd one comes at the end."""
    assert as_padding(padding, (3, 4), (1, 1), (1, 3)) == expected


def test_as_padding_has_as_many_dimensions_as_the_kernel():
    """A kernel of one dimension has one margin."""
    assert as_padding(1, (3,), (2,), (1,)) == ((1, 1),)
    assert as_padding("same", (2,), (1,), (1,)) == ((0, 1),)
    assert as_padding("valid", (2,), (9,), (1,)) == ((0, 0),)


@pytest.mark.parametrize(
    "padding",
    ["full", "SAME", "", b"same", None, -1, (0, -1), 1.0, True, (1,), (1, 2, 3)]
    + [np.nan, 2**31, ((1, 1), (1, 1)), [[1], [1, 2]], ...],
    ids=repr,
)
def test_as_padding_refuses(padding):
    """The message begins with the argument's name, and says what came."""
    with pytest.raises((TypeError, ValueError)) as error:
        as_padding(padding, (3, 3), (1, 1), (1, 1))
    assert str(error.value).startswith("padding: ")
    assert str(error.value).endswith(f", got {padding!r}")


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (2, 1)])
def test_as_padding_has_no_same_with_a_stride(stride):
    """What "same" would mean is not clear then; "valid" is."""
    with pytest.raises(ValueError, match="^padding: 'same' needs stride 1"):
        as_padding("same", (3, 3), stride, (1, 1))
    assert as_padding("valid", (3, 3), stride, (1, 1)) == ((0, 0), (0, 0))


# How many outputs there are.


def windows(size, kernel, stride, before, after, dilation):
    """Return the pixels of every window that fits, laid from the left end on."""
    found, start = [], -before
    while True:
        window = [start + dilation * u for u in range(kernel)]
        if window[-1] >= size + after:
            return found
        found.append(window)
        start += stride


@given(drawn=axes(2))
def test_conv_output_size_counts_the_windows_that_fit(drawn):
    """The size is the number of windows; height and width are counted apart."""
    sizes, kernels, strides, padding, dilations = drawn
    margins = []
    for axis, (k, d) in enumerate(zip(kernels, dilations, strict=True)):
        if padding == "same":  # all that keeps the size, the odd one at the end
            before = (d * (k - 1)) // 2
            margins.append((before, d * (k - 1) - before))
        else:
            margins.append((0, 0) if padding == "valid" else (padding[axis],) * 2)
    lines = zip(sizes, kernels, strides, margins, dilations, strict=True)
    counts = tuple(len(windows(n, k, s, *m, d)) for n, k, s, m, d in lines)
    found = conv_output_size(sizes, kernels, strides, padding, dilations)
    assert found == counts
    assert min(found) > 0
    if padding == "same":
        assert found == sizes


@given(drawn=axes(2, same=False), lacking=st.integers(1, 4), axis=st.integers(0, 1))
def test_conv_output_size_refuses_where_no_window_fits(drawn, lacking, axis):
    """A window that lies nowhere is an error, not a size of zero."""
    sizes, kernels, strides, padding, dilations = drawn
    span = dilations[axis] * (kernels[axis] - 1) + 1
    size = list(sizes)
    size[axis] = span - 2 * padding[axis] - lacking
    if size[axis] >= 1:
        margin = (padding[axis],) * 2
        line = (size[axis], kernels[axis], strides[axis], *margin, dilations[axis])
        assert windows(*line) == []
        with pytest.raises(ValueError, match="^kernel_size: .* is larger than"):
            conv_output_size(size, kernels, strides, padding, dilations)


@given(drawn=axes(2))
def test_conv_output_size_counts_pytorchs_pixels(drawn):
    """The sizes are those of PyTorch's output (an empty batch)."""
    torch = live_pytorch()
    size, kernel, stride, padding, dilation = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = torch.nn.functional.conv2d(
            torch.zeros(1, 1, *size),
            torch.zeros(1, 1, *kernel),
            None,
            stride,
            padding,
            dilation,
        )
    got = conv_output_size(size, kernel, stride, padding, dilation)
    assert got == tuple(y.shape[2:])


def test_conv_output_size_known_values():
    """The sizes that every course computes by hand."""
    assert conv_output_size(28, 3) == 26
    assert conv_output_size(28, 5, padding=2) == 28
    assert conv_output_size(224, 7, stride=2, padding=3) == 112
    assert conv_output_size(227, 11, 4) == 55
    assert conv_output_size(7, 3, dilation=3) == 1
    assert conv_output_size(28, 4, padding="same") == 28
    assert conv_output_size(28, 4, padding="valid") == 25
    assert conv_output_size((5, 8), (3, 2), (2, 3)) == (2, 3)
    assert conv_output_size((5, 8), 3) == (3, 6)
    assert conv_output_size(np.int64(8), 3, stride=(1, 2)) == (6, 3)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "expected", "unseen"),
    [
        (10, 2, 0, 4, 1),  # 4.5 without the rounding
        (9, 2, 0, 4, 0),
        (8, 3, 0, 2, 2),
        (8, 3, 1, 3, 0),
        (3, 7, 0, 1, 0),
        (9, 7, 0, 1, 6),
    ],
)
def test_conv_output_size_rounds_down(size, stride, padding, expected, unseen):
    """What a last, too large step would look at, nobody looks at."""
    assert conv_output_size(size, 3, stride, padding) == expected
    seen = set().union(*windows(size, 3, stride, padding, padding, 1))
    assert size - 1 - max(seen & set(range(size))) == unseen


def test_conv_output_size_valid_same_full():
    """The three paddings that have names."""
    for n in range(1, 12):
        for k in range(1, n + 1):
            assert conv_output_size(n, k, padding="valid") == n - k + 1
            assert conv_output_size(n, k, padding="same") == n
            assert conv_output_size(n, k, padding=k - 1) == n + k - 1


def test_conv_output_size_is_an_int_or_a_pair_of_ints():
    """Any pair among the arguments makes the result a pair."""
    plain = {"size": 9, "kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}
    assert conv_output_size(**plain) == 4
    assert type(conv_output_size(**plain)) is int
    for name, value in plain.items():
        assert type(conv_output_size(**plain | {name: np.int32(value)})) is int
        for pair in ((value, value), [value, value], read_only(value, value)):
            found = conv_output_size(**plain | {name: pair})
            assert found == (4, 4)
            assert type(found) is tuple
            assert all(type(number) is int for number in found)
    small = np.uint8(200), np.uint8(3), 1, np.uint8(100)
    assert conv_output_size(*small) == 398  # not counted in bytes


def test_conv_output_size_of_the_largest_sizes():
    """The largest sizes allowed are still counted exactly."""
    most = 2**31 - 1
    assert conv_output_size(most, 1) == most
    assert conv_output_size(most, most) == 1
    assert conv_output_size(1, most, padding=most) == 2**31 + 1
    assert conv_output_size(5, 3, padding="same", dilation=most) == 5
    with pytest.raises(ValueError, match="^kernel_size"):
        conv_output_size(most, most, dilation=2)


REFUSED_SIZES = [
    {"size": 0},
    {"size": 5.0},
    {"size": [[1], [1, 2]]},
    {"kernel_size": 0},
    {"kernel_size": 6},
    {"kernel_size": None},
    {"stride": 0},
    {"stride": True},
    {"stride": 1.5},
    {"padding": -1},
    {"padding": "full"},
    {"padding": "same", "stride": 2},
    {"dilation": 0},
    {"dilation": (1, 2, 3)},
    {"size": ()},
    {"size": np.nan},
    {"size": (5, 2)},
    {"kernel_size": "3"},
    {"kernel_size": -3},
    {"stride": None},
    {"stride": 2**40},
    {"padding": None},
    {"padding": ((1, 1), (1, 1))},
    {"dilation": True},
    {"dilation": np.inf},
]


@pytest.mark.parametrize("changed", REFUSED_SIZES, ids=str)
def test_conv_output_size_refuses_bad_arguments(changed):
    """The message names the argument, and begins with a name."""
    right = {"size": 5, "kernel_size": 3}
    named = "kernel_size" if changed == {"size": (5, 2)} else next(iter(changed))
    assert_refused(conv_output_size, right, (changed, named))
    with pytest.raises((TypeError, ValueError), match=rf"^{named}: "):
        conv_output_size(**right | changed)


def test_a_size_that_no_array_has_is_refused_as_too_large():
    """The message says which bound was passed."""
    with pytest.raises(ValueError, match=r"^stride: must be below 2\*\*31"):
        conv_output_size(5, 3, stride=2**40)


# How much of the input an output sees.


def seen_pixels(layers):
    """Return the pixels that output 0 depends on, layer by layer, backwards."""
    seen = {0}
    for kernel, stride, dilation in reversed(layers):
        seen = {stride * i + dilation * u for i in seen for u in range(kernel)}
    return seen


def paths_to_first_output(layers):
    """Return how many paths lead from each pixel of a line to output 0.

    Every layer is a matrix of zeros and ones; their product is the gradient that
    output 0 has if all the weights are 1.
    """
    lengths = [1]
    for kernel, stride, dilation in reversed(layers):
        lengths.insert(0, stride * (lengths[0] - 1) + dilation * (kernel - 1) + 1)
    product = np.eye(lengths[0] + 4, dtype=int)  # four more, which nobody sees
    for kernel, stride, dilation in layers:
        places = windows(len(product), kernel, stride, 0, 0, dilation)
        product = np.stack([product[place].sum(axis=0) for place in places])
    return product[0]


LAYERS = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
STACKS = st.lists(LAYERS, max_size=4)


def test_the_two_oracles_on_a_case_counted_by_hand():
    """Kernel 3, pooling 2 with stride 2, kernel 3: pixels 0 to 7."""
    layers = [(3, 1, 1), (2, 2, 1), (3, 1, 1)]
    assert seen_pixels(layers) == set(range(8))
    paths = paths_to_first_output(layers)
    assert paths.tolist() == [1, 2, 3, 3, 3, 3, 2, 1, 0, 0, 0, 0]
    assert paths.sum() == 3 * 2 * 3


@given(layers=STACKS)
def test_receptive_field_reaches_from_the_first_pixel_seen_to_the_last(layers):
    """Followed backwards, output 0 ends where the formula says."""
    seen = seen_pixels(layers)
    assert min(seen) == 0
    assert receptive_field(layers) == max(seen) + 1


@given(layers=STACKS)
def test_receptive_field_is_the_reach_of_the_gradient(layers):
    """No input beyond the field has a gradient; its first and last have one."""
    (reached,) = np.nonzero(paths_to_first_output(layers))
    assert receptive_field(layers) == reached[-1] - reached[0] + 1


@given(layers=st.lists(st.tuples(st.integers(3, 4), st.integers(1, 3)), max_size=4))
def test_receptive_field_counts_pixels_where_windows_leave_no_gap(layers):
    """Without dilation, and with strides that skip nothing, all are seen."""
    seen = seen_pixels([(kernel, stride, 1) for kernel, stride in layers])
    assert receptive_field(layers) == len(seen)


@given(pairs=st.lists(st.tuples(LAYERS, LAYERS), max_size=4))
def test_receptive_field_keeps_height_and_width_apart(pairs):
    """A field of pairs is the pair of the fields of each direction."""
    layers = [tuple(zip(down, along, strict=True)) for down, along in pairs]
    rows = receptive_field([down for down, _ in pairs])
    columns = receptive_field([along for _, along in pairs])
    expected = (rows, columns) if layers else 1
    assert receptive_field(layers) == expected


@given(layers=STACKS)
def test_receptive_field_is_the_size_that_gives_one_output(layers):
    """A line as long as the field has one output left; a shorter one has none."""
    size = receptive_field(layers)
    for kernel, stride, dilation in layers:
        size = conv_output_size(size, kernel, stride, 0, dilation)
    assert size == 1
    with pytest.raises(ValueError, match="^(kernel_)?size: "):
        size = receptive_field(layers) - 1
        for kernel, stride, dilation in layers or [(1, 1, 1)]:
            size = conv_output_size(size, kernel, stride, 0, dilation)


def test_receptive_field_known_values():
    """Stacks that are counted by hand or known from papers."""
    assert receptive_field([]) == receptive_field(()) == 1
    assert receptive_field([1]) == receptive_field([(1, 5)]) == 1
    assert receptive_field([7]) == receptive_field([3, 3, 3]) == 7
    assert receptive_field([5]) == receptive_field([3, 3]) == 5
    assert receptive_field([3, (2, 2), 3]) == 8
    assert receptive_field([3] * 10) == 21
    assert receptive_field([(3, 2)] * 10) == 2047
    assert receptive_field([(3, 1, 2**level) for level in range(10)]) == 2047
    assert receptive_field([(3, 1, 2)]) == 5
    # The last pooling of AlexNet and of VGG-16; both are published.
    alexnet = [(11, 4), (3, 2), 5, (3, 2), 3, 3, 3, (3, 2)]
    assert receptive_field(alexnet) == 195
    vgg16 = [n for block in (2, 2, 3, 3, 3) for n in [3] * block + [(2, 2)]]
    assert receptive_field(vgg16) == 212


def test_receptive_field_does_not_depend_on_the_last_stride():
    """A stride counts for what comes after it, and nothing comes after the last."""
    assert receptive_field([3, (3, 1)]) == receptive_field([3, (3, 9)]) == 5
    assert receptive_field([(3, 9), 3]) == 21


def test_receptive_field_takes_layers_in_every_form():
    """Numbers, tuples and lists, pairs or not, numpy's or Python's, unchanged."""
    for one in (3, (3,), (3, 1), (3, 1, 1), [3], [3, 1, 1], np.int64(3)):
        assert receptive_field([one, (2, 2), one]) == 8
        assert receptive_field((one, (2, 2), one)) == 8
        assert type(receptive_field([one, np.uint8(2)])) is int
    pair = read_only(3, 5)
    stride = np.array([2, 1])
    with Untouched(pair, stride):
        for kernel in ((3, 5), [3, 5], pair):
            for step in ((2, 1), [2, 1], stride):
                found = receptive_field([(kernel, step), 3])
                assert found == (3 + 2 * 2, 5 + 2)
                assert type(found) is tuple
                assert all(type(number) is int for number in found)
    layers = [(3, 2), [3, 1]]
    receptive_field(layers)
    assert layers == [(3, 2), [3, 1]]


def test_receptive_field_is_a_pair_wherever_the_pair_stands():
    """One pair in any layer, in any place, makes the result a pair."""
    for place in range(3):
        layer = [3, 2, 1]
        layer[place] = (layer[place],) * 2
        assert receptive_field([3, tuple(layer), 3]) == (9, 9)
        assert receptive_field([tuple(layer), 3, 3]) == (11, 11)
    assert receptive_field([(3, (2, 1)), 3]) == (7, 5)


def test_receptive_field_may_be_larger_than_any_image():
    """Python's ints don't overflow; small integers of NumPy's don't either."""
    most = 2**31 - 1
    assert receptive_field([most] * 3) == 3 * most - 2
    deep = receptive_field([(most, most, most)] * 4)
    assert deep == 1 + sum(most * (most - 1) * most**level for level in range(4))
    assert receptive_field([(2, 2)] * 500) == 2**500
    assert receptive_field([(np.uint8(255), np.uint8(255))] * 2) == 255 + 254 * 255


REFUSED_LAYERS = [
    [()],
    [[]],
    [(3, 1, 1, 1)],
    [3, (3, 2, 1, 1), 3],
    [0],
    [(0, 1)],
    [(3, 0)],
    [(3, 1, 0)],
    [((3, 0),)],
    [-1],
    [(3, -2)],
    [3.0],
    [(3, 2.0)],
    [(3.5, 1)],
    [np.nan],
    [(3, np.nan)],
    [True],
    [(3, True)],
    [(3, np.True_)],
    [None],
    [(3, None)],
    ["3"],
    [("3", 1)],
    "33",
    ["conv"],
    [b"3"],
    [((1, 2, 3),)],
    [((1,), 1)],
    [(np.ones(3, int), 1)],
    [(np.array([3.0, 3.0]), 1)],
    [2**31],
    [(3, 2**40)],
    [{3: 2}],
    [...],
    [([3, [5]],)],
    [((3, (3, 4)), 2)],
]


@pytest.mark.parametrize("layers", REFUSED_LAYERS, ids=str)
def test_receptive_field_refuses_bad_layers(layers):
    """The message begins with the argument's name, wherever the layer stands."""
    for before in ([], [3, (2, 2)]):
        with pytest.raises((TypeError, ValueError), match="^layers: "):
            receptive_field([*before, *layers])


@pytest.mark.parametrize("layers", [3, None, np.array(3), {3: 2}, b"33"], ids=repr)
def test_receptive_field_needs_a_list(layers):
    """What is no list of layers is refused by name."""
    with pytest.raises(TypeError, match="^layers: "):
        receptive_field(layers)


# How many learned numbers there are.


class Learned:
    """A learned array, as networks of other libraries have them, too."""

    def __init__(self, *shape):
        self.data = np.ones(shape, np.float32)
        self.data.flags.writeable = False

    def __repr__(self):
        return f"Learned{self.data.shape}"


class Network:
    """Something that isn't of this package, but has parameters."""

    def __init__(self, *shapes):
        self.shapes = shapes

    def __repr__(self):
        return f"Network{self.shapes}"

    def parameters(self):
        return (Learned(*shape) for shape in self.shapes)


@given(st.lists(st.lists(st.integers(0, 6), max_size=4), max_size=5))
def test_parameter_count_adds_the_sizes_of_arrays(sizes):
    """Every shape counts as many numbers as an array of it holds."""
    expected = sum(np.empty(shape).size for shape in sizes)
    assert parameter_count(*map(tuple, sizes)) == expected
    assert parameter_count(*sizes) == expected
    assert parameter_count(Network(*sizes)) == expected
    together = parameter_count(*sizes, 7, Network((2, 3)), Network())
    assert together == expected + 7 + 6


def test_parameter_count_of_filters():
    """The counts of the chapter: depth counts, and so does the bias."""
    assert parameter_count((3, 5, 5), 1) == 76
    assert parameter_count((3, 5, 5)) == 75
    assert parameter_count((20, 3, 3)) == 180
    assert parameter_count((3, 3)) == 9
    assert parameter_count((32, 3, 3)) == 288
    assert 3 * parameter_count((64, 64, 3, 3)) == 110_592
    assert parameter_count((64, 64, 7, 7)) == 200_704
    assert parameter_count() == 0
    assert parameter_count(0) == parameter_count((0, 5)) == 0


def test_parameter_count_with_and_without_sharing():
    """The first layer of the network of 2012, as courses count it."""
    outputs = 55 * 55 * 96
    assert parameter_count((96, 3, 11, 11), 96) == 34_944
    assert parameter_count((outputs, 3, 11, 11), outputs) == 105_705_600


def test_parameter_count_of_the_network_of_1989():
    """9,760 parameters, as its paper says: shared weights, biases not shared."""
    maps = [(12, 5, 5), (12, 8, 8), (12, 8, 5, 5), (12, 4, 4)]
    assert parameter_count(*maps, (30, 12 * 4 * 4), 30, (10, 30), 10) == 9_760


def test_parameter_count_of_lenet5():
    """The numbers of the paper of 1998, layer by layer, 60,000 in all."""
    c3 = [6 * ((3, 5, 5), 1), 9 * ((4, 5, 5), 1), ((6, 5, 5), 1)]
    layers = {
        "C1": (((6, 1, 5, 5), 6), 156),
        "S2": ((6, 6), 12),
        "C3": ([part for maps in c3 for part in maps], 1_516),
        "S4": ((16, 16), 32),
        "C5": (((120, 16, 5, 5), 120), 48_120),
        "F6": (((84, 120), 84), 10_164),
    }
    for name, (parts, count) in layers.items():
        assert parameter_count(*parts) == count, name
    everything = [part for parts, _ in layers.values() for part in parts]
    assert parameter_count(*everything) == 60_000


def stack(*layers):
    """Return the shapes of layers' weights, each with that of its bias."""
    return [part for shape in layers for part in (shape, shape[0])]


# What sum(p.numel() for p in model.parameters()) gives in PyTorch.
PYTORCH_LAYERS = {
    ("Conv2d", 3, 32, 3): (stack((32, 3, 3, 3)), 896),
    ("Conv2d", 1, 6, 5): (stack((6, 1, 5, 5)), 156),
    ("Conv2d", 4, 6, (3, 2), 1, 0, 1, 2): (stack((6, 2, 3, 2)), 78),
    ("Conv1d", 4, 6, 5): (stack((6, 4, 5)), 126),
    ("Linear", 784, 10): (stack((10, 784)), 7_850),
    ("Linear", 784, 10, False): ([(10, 784)], 7_840),
}
PYTORCH_NETWORKS = {
    "LeNet-5 with dense layers": (
        stack((6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)),
        61_706,
    ),
    "torchvision's AlexNet": (
        stack((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3))
        + stack((256, 384, 3, 3), (256, 256, 3, 3))
        + stack((4096, 256 * 6 * 6), (4096, 4096), (1000, 4096)),
        61_100_840,
    ),
    "torchvision's VGG-16": (
        stack((64, 3, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3))
        + stack((256, 128, 3, 3), *[(256, 256, 3, 3)] * 2)
        + stack((512, 256, 3, 3), *[(512, 512, 3, 3)] * 5)
        + stack((4096, 512 * 7 * 7), (4096, 4096), (1000, 4096)),
        138_357_544,
    ),
}


@pytest.mark.parametrize(
    ("parts", "count"),
    [*PYTORCH_LAYERS.values(), *PYTORCH_NETWORKS.values()],
    ids=[str(name) for name in (*PYTORCH_LAYERS, *PYTORCH_NETWORKS)],
)
def test_parameter_count_is_pytorchs(parts, count):
    """The numbers that PyTorch gives, kept here."""
    assert parameter_count(*parts) == count


def test_kept_counts_are_those_of_live_pytorch(torch):
    """The layers' numbers, counted by the PyTorch that is installed."""
    for (kind, *arguments), (_, count) in PYTORCH_LAYERS.items():
        layer = getattr(torch.nn, kind)(*arguments)
        assert sum(p.numel() for p in layer.parameters()) == count


def test_parameter_count_of_layers():
    """Layers and networks count what they learn, and stay as they are."""
    assert parameter_count(ReLU()) == 0
    assert parameter_count(Linear(5, 3)) == 18
    assert parameter_count(Linear(5, 3, bias=False)) == 15
    assert parameter_count(Conv2d(4, 6, (3, 2), groups=2)) == 6 * 2 * 6 + 6
    conv, dense = Conv2d(1, 2, 3, rng=0), Linear(8, 4, rng=0)
    arrays = [p.data for layer in (conv, dense) for p in layer.parameters()]
    with Untouched(*arrays):
        assert parameter_count(conv, dense) == 20 + 36
        assert parameter_count(Sequential(conv, ReLU(), Flatten(), dense)) == 56
        assert parameter_count(dense, (3, 3), 1) == 36 + 10


def test_parameter_count_is_a_python_int():
    """Whatever is counted, and however many."""
    small = np.uint8(255), np.uint8(255)
    assert parameter_count(small) == 255 * 255  # not counted in bytes
    for parts in ((), (np.int64(3),), (small,), ((),), (Network((2, 3)),)):
        assert type(parameter_count(*parts)) is int
    most = 2**31 - 1
    assert parameter_count((most,) * 5, most) == most**5 + most


NO_PARTS = [-1, (3, -1), 3.0, (3, 5.0), np.nan, (np.nan,), True, (True, 3), None]
NO_PARTS += [(None,), "33", "", b"33", (3, "3"), [3, [4, 5]], ((3, 4), (5,))]
NO_PARTS += [{3, 4}, {3: 4}, range(3), ..., 2**31, (3, 2**31), 1 + 1j]
NO_PARTS += [np.ones((3, 4)), np.ones((3, 4), int), np.array([True, True])]
NO_PARTS += [Learned(2, 3), [Network((2, 3))], (Network(), 3)]


@pytest.mark.parametrize("part", NO_PARTS, ids=str)
def test_parameter_count_refuses_what_is_neither(part):
    """The message begins with the argument's name, wherever the part stands."""
    for parts in ((part,), (3, part), (Network((2, 3)), part, 3)):
        with pytest.raises((TypeError, ValueError), match="^parts: "):
            parameter_count(*parts)


# The walk through a network.


def test_the_walk():
    """Sizes, numbers, parameters and products, each counted by hand."""
    conv = [(32, 3), (64, 32), (64, 64)]
    shape, walked = (3, 32, 32), []
    for place, (filters, channels) in enumerate(conv):
        weights = (filters, channels, 3, 3)
        shape = (filters, *conv_output_size(shape[1:], 3))
        products = parameter_count(weights) * shape[1] * shape[2]
        walked.append((shape, parameter_count(weights, filters), products))
        if place < 2:
            shape = (filters, *conv_output_size(shape[1:], 2, stride=2))
            walked.append((shape, 0, 0))
    for units in (64, 10):
        weights = (units, parameter_count(shape))
        shape = (units,)
        walked.append((shape, parameter_count(weights, units), np.prod(weights)))
    assert walked == [
        ((32, 30, 30), 896, 777_600),
        ((32, 15, 15), 0, 0),
        ((64, 13, 13), 18_496, 3_115_008),
        ((64, 6, 6), 0, 0),
        ((64, 4, 4), 36_928, 589_824),
        ((64,), 65_600, 65_536),
        ((10,), 650, 640),
    ]
    assert sum(count for _, count, _ in walked) == 122_570


def test_the_walk_is_that_of_a_real_network():
    """The same network, built of layers, has these sizes and this count."""
    model = Sequential(
        *(Conv2d(3, 32, 3, rng=0), ReLU(), MaxPool2d(2)),
        *(Conv2d(32, 64, 3, rng=1), ReLU(), MaxPool2d(2)),
        *(Conv2d(64, 64, 3, rng=2), ReLU(), Flatten()),
        *(Linear(1024, 64, rng=3), ReLU(), Linear(64, 10, rng=4)),
    )
    assert parameter_count(model) == parameter_count(*model) == 122_570
    x, sizes = np.ones((1, 3, 32, 32), np.float32), []
    for layer in model:
        x = layer(x)
        sizes.append(x.shape[1:])
    assert sizes[::3] == [(32, 30, 30), (64, 13, 13), (64, 4, 4), (64,)]
    assert sizes[2::3] == [(32, 15, 15), (64, 6, 6), (1024,), (10,)]


def test_what_fills_the_memory():
    """Three layers of 64 filters on a photograph, as the chapter counts them."""
    layers = stack((64, 3, 3, 3), (64, 64, 3, 3), (64, 64, 3, 3))
    assert parameter_count(*layers) == 75_648
    size = conv_output_size((224, 224), 3, padding=1)
    assert size == (224, 224)
    assert 3 * parameter_count((64, *size)) == 9_633_792


def test_all():
    """What the chapter exports, and nothing else."""
    assert sorted(shapes.__all__) == [
        "as_padding",
        "as_sizes",
        "conv_output_size",
        "parameter_count",
        "receptive_field",
    ]
