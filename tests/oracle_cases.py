"""Cases of the operations: named ones, random ones; what PyTorch and SciPy give.

``scripts/record_pytorch.py`` records PyTorch's results for the named cases; the
tests compare with the recording, and with PyTorch itself where it is installed.
Nothing here imports cnnbook.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from scipy import ndimage, signal

FOLDER = Path(__file__).parent / "recorded"
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
FLOATS = st.sampled_from(["float64", "float64", "float32"])
SEEDS = st.integers(0, 2**32 - 1)


def upstream(shape, seed, dtype="float64"):
    """Return a random upstream gradient for a case's seed."""
    rng = np.random.default_rng([seed, 1])
    return rng.standard_normal(shape).astype(dtype)


@dataclass(frozen=True)
class Convolution:
    """A convolution, 1-D or 2-D by the rank of its weight."""

    x: tuple
    weight: tuple
    stride: int | tuple = 1
    padding: int | tuple | str = 0
    dilation: int | tuple = 1
    groups: int = 1
    bias: bool = True
    dtype: str = "float64"
    seed: int = 0

    @property
    def options(self):
        """Return the keyword arguments that forward and backward share."""
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def inputs(self):
        """Return x, weight and bias (None if there is none)."""
        rng = np.random.default_rng([self.seed, 0])
        x, weight, bias = (
            rng.standard_normal(shape).astype(self.dtype)
            for shape in (self.x, self.weight, self.weight[:1])
        )
        return x, weight, bias if self.bias else None


@dataclass(frozen=True)
class Pooling:
    """A pooling; the kind of its values says what is special about them."""

    x: tuple
    kernel_size: int | tuple
    stride: int | tuple | None = None
    padding: int | tuple = 0
    dilation: int | tuple = 1
    ceil_mode: bool = False
    count_include_pad: bool = True
    values: str = "normal"
    dtype: str = "float64"
    seed: int = 0

    @property
    def window(self):
        """Return the keyword arguments that both poolings share."""
        names = ("kernel_size", "stride", "padding", "ceil_mode")
        return {name: getattr(self, name) for name in names}

    @property
    def max_options(self):
        """Return the keyword arguments of max pooling."""
        return self.window | {"dilation": self.dilation}

    @property
    def avg_options(self):
        """Return the keyword arguments of average pooling."""
        return self.window | {"count_include_pad": self.count_include_pad}

    def inputs(self):
        """Return x."""
        rng = np.random.default_rng([self.seed, 0])
        x = rng.standard_normal(self.x)
        if self.values == "ties":
            x = np.floor(2 * x)
        elif self.values == "negative":
            x = -1 - np.abs(x)
        elif self.values == "apart":  # so that a small step changes no winner
            x = rng.permutation(x.size).reshape(self.x) / 8 - 1
        elif self.values == "nan":  # one, so that a window has one at most
            x.flat[x.size // 2] = np.nan
        elif self.values == "minus infinity":
            x = np.full(self.x, -np.inf)
        return x.astype(self.dtype)


@dataclass(frozen=True)
class Unfolding:
    """Images taken apart into columns, and columns added into images."""

    x: tuple
    kernel_size: int | tuple
    stride: int | tuple = 1
    padding: int | tuple = 0
    dilation: int | tuple = 1
    dtype: str = "float64"
    seed: int = 0

    @property
    def options(self):
        """Return the keyword arguments."""
        names = ("kernel_size", "stride", "padding", "dilation")
        return {name: getattr(self, name) for name in names}

    def inputs(self):
        """Return x."""
        rng = np.random.default_rng([self.seed, 0])
        return rng.standard_normal(self.x).astype(self.dtype)


def numbered(cases, start):
    """Give every named case a seed of its own."""
    seeds = count(start)
    return {
        name: type(case)(**{**vars(case), "seed": next(seeds)})
        for name, case in cases.items()
    }


C, P, U = Convolution, Pooling, Unfolding
CONV2D = numbered(
    {
        "one_pixel": C((1, 1, 1, 1), (1, 1, 1, 1)),
        "plain": C((2, 3, 6, 5), (4, 3, 3, 2), bias=False),
        "stride": C((2, 2, 8, 9), (3, 2, 3, 2), (2, 3)),
        "stride_over_kernel": C((1, 2, 8, 9), (2, 2, 2, 1), (3, 2)),
        "padding": C((1, 2, 4, 5), (2, 2, 2, 3), padding=(1, 2)),
        "padding_over_kernel": C((1, 2, 2, 3), (2, 2, 1, 2), padding=(1, 2)),
        "dilation": C((2, 2, 8, 9), (2, 2, 3, 2), dilation=(2, 3)),
        "same_odd": C((1, 2, 4, 6), (3, 2, 3, 5), padding="same"),
        "same_even": C((1, 2, 5, 4), (3, 2, 2, 4), padding="same"),
        "same_dilated": C((1, 2, 5, 6), (2, 2, 3, 2), padding="same", dilation=(2, 3)),
        "valid": C((1, 2, 5, 4), (2, 2, 2, 3), padding="valid"),
        "groups": C((2, 4, 5, 6), (6, 2, 3, 2), groups=2),
        "depthwise": C((2, 3, 6, 5), (6, 1, 2, 3), padding=1, groups=3),
        "one_by_one": C((2, 3, 5, 4), (4, 3, 1, 1), stride=(2, 1)),
        "no_batch": C((2, 6, 5), (3, 2, 2, 3), stride=2, padding=1),
        "fills": C((2, 2, 3, 4), (3, 2, 5, 6), padding=1),
        "tall": C((1, 2, 9, 2), (2, 2, 4, 1), stride=(2, 1)),
        "wide": C((1, 2, 1, 9), (2, 2, 1, 4), stride=(1, 2)),
        "everything": C((2, 4, 8, 9), (6, 2, 3, 2), (2, 3), (1, 2), (2, 1), 2),
        "float32": C((2, 3, 6, 5), (4, 3, 3, 2), dtype="float32"),
        "float32_same": C((1, 2, 5, 4), (3, 2, 2, 4), padding="same", dtype="float32"),
        "float32_everything": C(
            (2, 4, 8, 9),
            (6, 2, 3, 2),
            (2, 3),
            (1, 2),
            (2, 1),
            2,
            dtype="float32",
        ),
    },
    1000,
)
CONV1D = numbered(
    {
        "one_number": C((1, 1, 1), (1, 1, 1)),
        "plain": C((2, 3, 9), (4, 3, 4), bias=False),
        "stride": C((2, 2, 12), (3, 2, 3), stride=2),
        "padding": C((2, 2, 5), (3, 2, 4), padding=2),
        "dilation": C((2, 2, 11), (3, 2, 3), dilation=3),
        "same_odd": C((1, 2, 7), (3, 2, 5), padding="same"),
        "same_even": C((1, 2, 7), (3, 2, 4), padding="same"),
        "groups": C((2, 4, 8), (6, 2, 3), groups=2),
        "depthwise": C((2, 3, 8), (3, 1, 2), groups=3),
        "no_batch": C((2, 9), (3, 2, 3), stride=2, padding=1),
        "everything": C((2, 4, 12), (6, 2, 3), 3, 2, 2, 2),
        "float32": C((2, 4, 12), (6, 2, 3), 3, 2, 2, 2, dtype="float32"),
    },
    2000,
)
MAX_POOL2D = numbered(
    {
        "one_pixel": P((1, 1, 1, 1), 1),
        "plain": P((2, 3, 6, 4), 2),
        "remainder": P((2, 2, 7, 5), (2, 3)),
        "overlap": P((2, 2, 7, 8), 3, 2),
        "pairs": P((2, 2, 8, 9), (3, 2), (2, 3), (1, 0)),
        "stride_over_kernel": P((1, 2, 8, 9), 2, 3),
        "padding": P((2, 2, 6, 5), 3, 2, 1),
        "negative_padding": P((2, 2, 6, 5), 3, 2, 1, values="negative"),
        "dilation": P((1, 2, 8, 9), (3, 2), 2, 0, (2, 3)),
        "ceil": P((2, 2, 6, 8), 3, 2, ceil_mode=True),
        "ceil_padding": P((2, 2, 5, 6), (3, 2), 3, 1, ceil_mode=True),
        "ceil_small": P((1, 2, 2, 2), 3, 2, ceil_mode=True),
        "everything": P(
            (2, 2, 8, 9), (3, 2), (2, 3), 1, (2, 1), True, values="negative"
        ),
        "ties": P((2, 2, 6, 6), 2, values="ties"),
        "ties_overlap": P((2, 2, 7, 6), 3, 1, 1, values="ties"),
        "nan": P((1, 2, 6, 5), 3, 2, 1, values="nan"),
        "no_batch": P((2, 5, 6), 2, 1),
        "float32": P((2, 2, 7, 6), 3, 2, 1, dtype="float32"),
        "float32_ties": P((2, 2, 7, 6), 3, 2, values="ties", dtype="float32"),
        "minus_infinity": P((1, 1, 3, 3), 3, 2, 1, values="minus infinity"),
    },
    3000,
)
AVG_POOL2D = numbered(
    {
        "one_pixel": P((1, 1, 1, 1), 1),
        "plain": P((2, 3, 6, 4), 2),
        "remainder": P((2, 2, 7, 5), (2, 3)),
        "overlap": P((2, 2, 7, 8), 3, 2),
        "stride_over_kernel": P((1, 2, 8, 9), 2, 3),
        "padding": P((2, 2, 6, 5), 3, 2, 1),
        "padding_left_out": P((2, 2, 6, 5), 3, 2, 1, count_include_pad=False),
        "pairs": P((2, 2, 8, 9), (3, 2), (2, 3), (1, 0)),
        "ceil": P((2, 2, 6, 8), 3, 2, ceil_mode=True),
        "ceil_padding": P((2, 2, 5, 6), (3, 2), 3, 1, ceil_mode=True),
        "ceil_padding_left_out": P(
            (2, 2, 5, 6), (3, 2), 3, 1, 1, True, count_include_pad=False
        ),
        "ceil_small": P((1, 2, 2, 2), 3, 2, ceil_mode=True),
        "no_batch": P((2, 5, 6), 2, 1),
        "nan": P((1, 2, 6, 5), 3, 2, 1, values="nan"),
        "float32": P((2, 2, 7, 6), 3, 2, 1, dtype="float32"),
    },
    4000,
)
UNFOLD = numbered(
    {
        "plain": U((2, 3, 5, 4), (2, 3)),
        "stride": U((2, 2, 6, 8), (3, 2), (2, 3)),
        "padding": U((1, 2, 4, 5), (2, 3), padding=(1, 2)),
        "dilation": U((1, 2, 7, 8), (3, 2), dilation=(2, 3)),
        "everything": U((2, 2, 7, 8), (3, 2), (2, 3), (1, 2), (2, 1)),
        "no_batch": U((2, 5, 6), 2, 2),
        "float32": U((2, 2, 7, 8), (3, 2), (2, 3), (1, 2), dtype="float32"),
    },
    5000,
)
NAMED = {
    "conv1d": CONV1D,
    "conv2d": CONV2D,
    "max_pool2d": MAX_POOL2D,
    "avg_pool2d": AVG_POOL2D,
    "unfold": UNFOLD,
}


def recorded(operation, name):
    """Return what was recorded for a case: its arrays by their short names."""
    prefix = f"{operation}/{name}/"
    with np.load(FOLDER / "operations.npz", allow_pickle=False) as archive:
        return {
            key.removeprefix(prefix): archive[key]
            for key in archive.files
            if key.startswith(prefix)
        }


# What PyTorch gives.


def live_pytorch():
    """Return PyTorch, or skip the test where it can't be imported."""
    import pytest

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
    except ImportError:
        pytest.skip("PyTorch isn't installed; only its recorded results were compared")
    return torch


def pytorch_results(torch, function, arrays, options, seed):
    """Return a PyTorch function's inputs, y, an upstream dy, and gradients.

    The arrays are its first arguments by name; the gradient of ``x`` is ``dx``.
    """
    given = {name: a for name, a in arrays.items() if a is not None}
    leaves = {
        name: None
        if array is None
        else torch.tensor(np.array(array, order="C"), requires_grad=True)
        for name, array in arrays.items()
    }
    with warnings.catch_warnings():  # "same" with an even kernel makes a copy
        warnings.simplefilter("ignore")
        y = function(*leaves.values(), **options)
    dy = upstream(tuple(y.shape), seed, arrays["x"].dtype)
    y.backward(torch.tensor(dy))
    gradients = {f"d{name}": leaves[name].grad.numpy() for name in given}
    return given | {"y": y.detach().numpy(), "dy": dy} | gradients


def pytorch_convolution(torch, case):
    """Return inputs, y, dy, dx, dweight and, if there is a bias, dbias."""
    f = torch.nn.functional
    function = f.conv2d if len(case.weight) == 4 else f.conv1d
    arrays = dict(zip(("x", "weight", "bias"), case.inputs(), strict=True))
    return pytorch_results(torch, function, arrays, case.options, case.seed)


def pytorch_max_pool2d(torch, case):
    """Return x, y, dy and dx of max pooling."""
    function = torch.nn.functional.max_pool2d
    arrays = {"x": case.inputs()}
    return pytorch_results(torch, function, arrays, case.max_options, case.seed)


def pytorch_avg_pool2d(torch, case):
    """Return x, y, dy and dx of average pooling."""
    function = torch.nn.functional.avg_pool2d
    arrays = {"x": case.inputs()}
    return pytorch_results(torch, function, arrays, case.avg_options, case.seed)


def pytorch_unfold(torch, case):
    """Return x, y of unfold, random columns dy, and the images dy folds into."""
    functional = torch.nn.functional
    x = case.inputs()
    y = functional.unfold(torch.tensor(x), **case.options).numpy()
    dy = upstream(y.shape, case.seed, case.dtype)
    images = functional.fold(torch.tensor(dy), x.shape[-2:], **case.options)
    return {"x": x, "y": y, "dy": dy, "folded": images.numpy()}


PYTORCH = {
    "conv1d": pytorch_convolution,
    "conv2d": pytorch_convolution,
    "max_pool2d": pytorch_max_pool2d,
    "avg_pool2d": pytorch_avg_pool2d,
    "unfold": pytorch_unfold,
}


# What SciPy gives: correlations of one channel, filters of all windows.


def spread(array, steps):
    """Return an array with zeros between its numbers, which stand `steps` apart."""
    sizes = [s * (n - 1) + 1 for s, n in zip(steps, array.shape, strict=True)]
    larger = np.zeros(sizes)
    larger[tuple(slice(None, None, s) for s in steps)] = array
    return larger


def scipy_convolution(case):
    """Return inputs, y, dy, dx and dweight, as pytorch_convolution does."""
    x, weight, bias = case.inputs()
    filters, channels, *kernel = weight.shape
    dimensions = len(kernel)
    stride = np.broadcast_to(case.stride, dimensions)
    dilation = np.broadcast_to(case.dilation, dimensions)
    span = dilation * (np.array(kernel) - 1) + 1
    if isinstance(case.padding, str):  # an odd zero of "same" comes last
        before = (span - 1) // 2 * (case.padding == "same")
        after = (span - 1) * (case.padding == "same") - before
    else:
        before = after = np.broadcast_to(case.padding, dimensions)
    size = x.shape[-dimensions:]
    images = x.reshape(-1, x.shape[-dimensions - 1], *size).astype(float)
    margins = tuple(zip(before, after, strict=True))
    padded = np.pad(images, ((0, 0), (0, 0), *margins))
    output = (np.array(padded.shape[2:]) - span) // stride + 1
    every = [tuple(slice(None, None, s) for s in steps) for steps in (stride, dilation)]
    y = np.zeros((len(images), filters, *output))
    if bias is not None:
        y += bias.reshape(-1, *(1,) * dimensions)
    dy = upstream(y.shape, case.seed, case.dtype)
    dpadded, dweight = np.zeros_like(padded), np.zeros(weight.shape)
    used = tuple(slice(n) for n in stride * (output - 1) + span)  # no remainder
    for n, f, c in np.ndindex(len(images), filters, channels):
        channel = f // (filters // case.groups) * channels + c
        wide, far = spread(weight[f, c], dilation), spread(dy[n, f], stride)
        image = padded[n, channel]
        y[n, f] += signal.correlate(image, wide, "valid", "direct")[every[0]]
        dpadded[n, channel][used] += signal.convolve(far, wide, "full", "direct")
        correlated = signal.correlate(image[used], far, "valid", "direct")
        dweight[f, c] += correlated[every[1]]
    pixels = tuple(slice(b, b + n) for b, n in zip(before, size, strict=True))
    batch = x.shape[: -dimensions - 1]
    results = {
        "y": y.reshape(*batch, *y.shape[1:]),
        "dy": dy.reshape(*batch, *dy.shape[1:]),
        "dx": dpadded[(..., *pixels)].reshape(x.shape),
        "dweight": dweight,
    }
    given = {"x": x, "weight": weight} | ({} if bias is None else {"bias": bias})
    return given | {key: a.astype(case.dtype) for key, a in results.items()}


def first_pixels(case):
    """Return, for both axes, the pixel at which each window of a pooling begins."""
    kernel, padding, dilation = (
        np.broadcast_to(v, 2).tolist()
        for v in (case.kernel_size, case.padding, case.dilation)
    )
    stride = np.broadcast_to(case.stride or kernel, 2).tolist()
    firsts = []
    for n, k, s, p, d in zip(
        case.x[-2:], kernel, stride, padding, dilation, strict=True
    ):
        span, places = d * (k - 1) + 1, [-p]
        while True:
            begin, end = places[-1] + s, places[-1] + span
            partly = case.ceil_mode and end < n + p and begin < n
            if begin + span > n + p and not partly:
                break
            places.append(begin)
        firsts.append(np.array(places))
    return firsts


def scipy_max_pool2d(case):
    """Return x and y of max pooling."""
    x = case.inputs()
    kernel, dilation = (
        np.broadcast_to(v, 2) for v in (case.kernel_size, case.dilation)
    )
    (height, width), lead = dilation * (kernel - 1) + 1, (1,) * (x.ndim - 2)
    margins = ((0, 0),) * len(lead) + ((height, height), (width, width))
    largest = ndimage.maximum_filter(
        np.pad(x, margins, constant_values=-np.inf),
        footprint=spread(np.ones(kernel), dilation).reshape(*lead, height, width) > 0,
        mode="constant",
        cval=-np.inf,
    )
    rows, columns = first_pixels(case)
    rows, columns = rows + height + height // 2, columns + width + width // 2
    return {"x": x, "y": largest[..., rows[:, None], columns]}


def scipy_avg_pool2d(case):
    """Return x, y, dy and dx of average pooling."""
    x = case.inputs()
    (kh, kw), (ph, pw) = (
        np.broadcast_to(v, 2).tolist() for v in (case.kernel_size, case.padding)
    )
    margins = ((0, 0),) * (x.ndim - 2) + ((kh, kh), (kw, kw))
    counted = np.pad(np.zeros(x.shape[-2:]), margins[-2:])
    if not case.count_include_pad:
        ph = pw = 0
    counted[kh - ph : ph - kh, kw - pw : pw - kw] = 1
    rows, columns = first_pixels(case)
    places = ..., (rows + kh)[:, None], columns + kw
    box = np.ones((1,) * (x.ndim - 2) + (kh, kw))
    sums = signal.correlate(np.pad(x.astype(float), margins), box, "valid", "direct")
    counts = signal.correlate(counted, np.ones((kh, kw)), "valid", "direct")[places]
    y = (sums[places] / counts).astype(case.dtype)
    dy = upstream(y.shape, case.seed, case.dtype)
    shares = np.zeros_like(sums)
    shares[places] = dy / counts
    dx = signal.convolve(shares, box, "full", "direct")[..., kh:-kh, kw:-kw]
    return {"x": x, "y": y, "dy": dy, "dx": dx.astype(case.dtype)}


# Random cases.


@st.composite
def axes(draw, dimensions, same=True):
    """Draw sizes, kernel, stride, padding and dilation that fit together."""
    words = ["numbers", "numbers", "numbers", "same", "valid"] if same else [0]
    word = draw(st.sampled_from(words))
    sizes, kernel, stride, padding, dilation = [], [], [], [], []
    for _ in range(dimensions):
        k, d = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        p = 0 if word in ("same", "valid") else draw(st.integers(0, 2))
        span = d * (k - 1) + 1
        least = 1 if word == "same" else max(1, span - 2 * p)
        sizes.append(least + draw(st.integers(0, 5)))
        kernel.append(k)
        stride.append(1 if word == "same" else draw(st.integers(1, 3)))
        padding.append(p)
        dilation.append(d)
    return (
        tuple(sizes),
        tuple(kernel),
        tuple(stride),
        word if word in ("same", "valid") else tuple(padding),
        tuple(dilation),
    )


BATCHES = st.sampled_from([(), (1,), (2,), (3,)])


@st.composite
def convolutions(draw, dimensions=2, dtype=FLOATS):
    """Draw a convolution: batch, groups, channels and sizes at random."""
    sizes, kernel, stride, padding, dilation = draw(axes(dimensions))
    groups, inside, outside = (draw(st.integers(1, m)) for m in (3, 2, 2))
    if dimensions == 1:
        stride, dilation = stride[0], dilation[0]
        padding = padding if isinstance(padding, str) else padding[0]
    return Convolution(
        (*draw(BATCHES), groups * inside, *sizes),
        (groups * outside, inside, *kernel),
        stride,
        padding,
        dilation,
        groups,
        draw(st.booleans()),
        draw(dtype),
        draw(SEEDS),
    )


@st.composite
def poolings(draw, kinds=("normal", "ties", "negative"), dilate=True):
    """Draw a pooling in which every window holds a pixel of the input."""
    ceil_mode = draw(st.booleans())
    sizes, kernel, stride, padding, dilation = [], [], [], [], []
    for _ in range(2):
        k, s = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        d = draw(st.integers(1, 2)) if dilate else 1
        p = draw(st.integers(0, k // 2))
        n = max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 5))
        assume(p == 0 or n >= d)  # else a window could lie beside the input
        sizes.append(n)
        kernel.append(k)
        stride.append(s)
        padding.append(p)
        dilation.append(d)
    return Pooling(
        (*draw(BATCHES), draw(st.integers(1, 2)), *sizes),
        tuple(kernel),
        draw(st.sampled_from([None, tuple(stride)])),
        tuple(padding),
        tuple(dilation),
        ceil_mode,
        draw(st.booleans()),
        draw(st.sampled_from(kinds)),
        draw(FLOATS),
        draw(SEEDS),
    )


@st.composite
def unfoldings(draw):
    """Draw images with a window to take them apart."""
    sizes, kernel, stride, padding, dilation = draw(axes(2, same=False))
    return Unfolding(
        (*draw(BATCHES), draw(st.integers(1, 3)), *sizes),
        kernel,
        stride,
        padding,
        dilation,
        draw(FLOATS),
        draw(SEEDS),
    )


# How an array may lie in memory, and how results are compared.


def every_second(array):
    """Return the values as every second element of a larger array."""
    larger = np.full([2 * n for n in array.shape], np.nan, array.dtype)
    view = larger[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def backwards(array):
    """Return the values as a view with negative strides."""
    turn = (slice(None, None, -1),) * array.ndim
    return array[turn].copy()[turn]


def transposed(array):
    """Return the values as a view whose first axis is the last in memory."""
    return np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0)


def channels_last(array):
    """Return the values as a view whose second axis is the last in memory."""
    if array.ndim < 3:
        return array.copy()
    return np.moveaxis(np.moveaxis(array, -1, 1).copy(), 1, -1)


def read_only(array):
    """Return a copy that can't be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "every second": every_second,
    "Fortran": np.asfortranarray,
    "backwards": backwards,
    "transposed": transposed,
    "channels last": channels_last,
    "read-only": read_only,
}


def assert_same(actual, expected, what="", tolerance=None):
    """Compare shape, dtype and values (relative to the largest)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype, what
    if tolerance is None:
        tolerance = TOLERANCE[str(expected.dtype)]
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max(initial=0)))
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * scale, err_msg=what
    )


def assert_adjoint(products, tolerance=1e-12):
    """Compare inner products of pairs of arrays, relative to their terms."""
    values = [float(np.vdot(a, b)) for a, b in products]
    scale = max(float(np.vdot(abs(a), abs(b))) for a, b in products)
    spread = max(values) - min(values)
    assert spread <= tolerance * scale, values


def assert_convolution(function, case, results):
    """Compare a forward pass with PyTorch's results."""
    arrays = [results.get(name) for name in ("x", "weight", "bias")]
    with Untouched(*arrays):
        y = function(*arrays, **case.options)
    assert_same(y, results["y"], "y")


def assert_convolution_backward(function, case, results):
    """Compare the gradients of a convolution with PyTorch's results."""
    arrays = [results[name] for name in ("dy", "x", "weight")]
    with Untouched(*arrays):
        dx, dweight, dbias = function(*arrays, **case.options)
    assert_same(dx, results["dx"], "dx")
    assert_same(dweight, results["dweight"], "dweight")
    summed = results["dy"].sum(axis=tuple(range(-len(case.weight) + 2, 0)))
    batched = len(case.x) == len(case.weight)
    expected = results.get("dbias", summed.sum(axis=0) if batched else summed)
    assert_same(dbias, expected, "dbias")


def assert_pooling(function, options, results):
    """Compare a forward pass of a pooling with PyTorch's results."""
    with Untouched(results["x"]):
        y = function(results["x"], **options)
    assert_same(y, results["y"], "y")


def assert_pooling_backward(function, options, results):
    """Compare the gradient of a pooling with PyTorch's results."""
    with Untouched(results["dy"], results["x"]):
        dx = function(results["dy"], results["x"], **options)
    assert_same(dx, results["dx"], "dx")


def assert_any_layout(function, *arrays):
    """Check that a function gives the same wherever its arrays lie in memory."""
    single = isinstance(function(*arrays), np.ndarray)
    call = (lambda *a: (function(*a),)) if single else function
    plain = call(*(array.copy() for array in arrays))
    for name, layout in LAYOUTS.items():
        laid = [layout(array) for array in arrays]
        with Untouched(*laid):
            result = call(*laid)
        for k, (a, b) in enumerate(zip(result, plain, strict=True)):
            assert_same(a, b, f"{name}, result {k}")


def assert_own(results, *arrays):
    """Check that results can be written to, and share memory with nothing."""
    for k, result in enumerate(results):
        assert result.flags.writeable
        for other in (*arrays, *results[:k]):
            assert not np.shares_memory(result, other)
        numbers = np.arange(result.size, dtype=result.dtype).reshape(result.shape)
        result[...] = numbers
        np.testing.assert_array_equal(result, numbers)  # nor one place with another


class Untouched:
    """Arrays that must be, in the end, what they were in the beginning."""

    def __init__(self, *arrays):
        self.arrays = [a for a in arrays if isinstance(a, np.ndarray)]
        self.copies = [array.copy() for array in self.arrays]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            for array, copy in zip(self.arrays, self.copies, strict=True):
                np.testing.assert_array_equal(array, copy, strict=True)


# Versions of an operation, and what is the same for all of them.


class Version(NamedTuple):
    """A version of an operation, and the slower one that it replaces."""

    operation: str
    forward: Callable
    backward: Callable
    slower: Callable
    slower_backward: Callable

    @property
    def dimensions(self):
        """Return 1 for signals and 2 for images."""
        return int(self.operation[-2])

    def options(self, case):
        """Return the keyword arguments that a case gives to this operation."""
        if self.operation == "max_pool2d":
            return case.max_options
        return case.avg_options if self.operation == "avg_pool2d" else case.options


def draw_case(data, form, **kinds):
    """Draw a case of a version's operation."""
    if form.operation.startswith("conv"):
        return data.draw(convolutions(form.dimensions, **kinds))
    return data.draw(poolings(dilate=form.operation == "max_pool2d", **kinds))


def assert_results(form, case, results):
    """Compare a version, forward and, if there are gradients, backward."""
    options = form.options(case)
    if form.operation.startswith("conv"):
        assert_convolution(form.forward, case, results)
        assert_convolution_backward(form.backward, case, results)
    else:
        assert_pooling(form.forward, options, results)
        if "dx" in results:
            assert_pooling_backward(form.backward, options, results)


def assert_all_same(actual, expected):
    """Compare results, one or several."""
    if isinstance(expected, np.ndarray):
        actual, expected = (actual,), (expected,)
    for k, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert_same(a, b, f"result {k}")


def assert_equals_slower(form, arrays, options, seed=0):
    """Compare a version with the slower one; return all results."""
    y = form.forward(*arrays, **options)
    assert_same(y, form.slower(*arrays, **options))
    arrays = upstream(y.shape, seed, y.dtype), *arrays[:2]
    gradients = form.backward(*arrays, **options)
    assert_all_same(gradients, form.slower_backward(*arrays, **options))
    return y, *(gradients if isinstance(gradients, tuple) else (gradients,))


# No image, channel or filter: the leading sizes of x and of the weight, groups.
NOTHING = {
    "batch": ((0, 4), (6, 2), 2),
    "channels": ((2, 0), (3, 0), 1),
    "channels in groups": ((2, 0), (4, 0), 2),
    "filters": ((2, 4), (0, 4), 1),
    "filters in groups": ((2, 4), (0, 2), 2),
    "anything": ((0, 0), (0, 0), 3),
    "channels without batch": ((0,), (3, 0), 1),
}


def assert_any_numbers(form):
    """Check mixed precision, whole numbers and lists against the slower version."""
    case = NAMED[form.operation]["everything"]
    arrays = [np.round(4 * array) for array in case.inputs()]
    for dtypes in ("eee", "fef", "ffd", "fdf", "dff", "fif", "bil"):
        typed = [a.astype(t) for a, t in zip(arrays, dtypes, strict=True)]
        assert_equals_slower(form, typed, case.options)
        listed = [a.tolist() for a in typed]
        y = form.forward(*listed, **case.options)
        assert_same(y, form.slower(*arrays, **case.options), tolerance=1e-6)


def assert_adjoint_version(form, case):
    """Check that forward and backward are adjoint, in float64."""
    options, convolves = form.options(case), form.operation.startswith("conv")
    arrays = case.inputs()[:2] if convolves else [case.inputs()]
    arrays = [a.astype(float) for a in arrays]
    y = form.forward(*arrays, **options)
    dy = upstream(y.shape, case.seed)
    gradients = form.backward(dy, *arrays, **options)
    gradients = gradients[:2] if convolves else (gradients,)
    assert_adjoint([(y, dy), *zip(arrays, gradients, strict=True)])


def assert_layouts(form, name):
    """Check a named case in any layout, forward and backward."""
    case, results = NAMED[form.operation][name], recorded(form.operation, name)
    options = form.options(case)
    keys = ("x", "weight", "bias") if form.operation.startswith("conv") else ("x",)
    given = [results[key] for key in keys if key in results]
    assert_any_layout(lambda *a: form.forward(*a, **options), *given)
    given = [results["dy"], *given[:2]]
    assert_any_layout(lambda *a: form.backward(*a, **options), *given)


def assert_own_results(form, padding, shape):
    """Check that results share no memory with arguments, nor with each other."""
    x = np.ones(shape if form.dimensions == 2 else shape[:-1])
    channels, places = x.shape[-form.dimensions - 1], (1,) * form.dimensions
    if form.operation.startswith("conv"):
        kernel = np.ones((channels, channels, *places))
        given = {"weight": kernel, "padding": padding}
        arrays = [x, kernel, np.ones(channels)]
    else:
        given = {"kernel_size": 1 + padding, "stride": 1, "padding": padding}
        arrays = [x]
    with Untouched(*arrays):
        y = form.forward(x, **given)
        dy = np.ones_like(y)
        gradients = form.backward(dy, x, **given)
        several = gradients if isinstance(gradients, tuple) else (gradients,)
        with Untouched(dy):
            assert_own([y, *several], dy, *arrays)


def assert_nothing_convolved(form, nothing, dtype):
    """Check a case of `NOTHING`."""
    lead, filters, groups = NOTHING[nothing]
    sizes, kernel = (5, 6)[: form.dimensions], (2, 3)[: form.dimensions]
    x, weight = np.ones((*lead, *sizes), dtype), np.ones((*filters, *kernel), dtype)
    bias = np.arange(filters[0]).astype(dtype) + 1
    options = {"padding": 1, "groups": groups}
    y, _, dweight, _ = assert_equals_slower(form, [x, weight, bias], options)
    if x.size == 0:
        assert_same(y, np.zeros_like(y) + bias.reshape(-1, *(1,) * form.dimensions))
        assert not dweight.any()


def assert_nothing_pooled(form, lead):
    """Check a pooling without images or channels."""
    for dtype in (np.float32, np.float64):
        x = np.ones((*lead, 7, 6), dtype)
        y, dx = assert_equals_slower(form, [x], {"kernel_size": (3, 2)})
        assert_same(y, np.ones((*lead, 2, 3), dtype))
        assert_same(dx, x)


# Calls that must be refused: what is wrong -> (changed arguments, the argument
# that the message names).

ONES = np.ones
REFUSED = {
    "rank too low": ({"x": ONES((5, 5))}, "x"),
    "rank too high": ({"x": ONES((1, 1, 4, 5, 5))}, "x"),
    "x a number": ({"x": 3.0}, "x"),
    "x None": ({"x": None}, "x"),
    "x objects": ({"x": ONES((1, 4, 5, 6)).astype(object)}, "x"),
    "x text": ({"x": np.full((1, 4, 5, 6), "1")}, "x"),
    "x complex": ({"x": ONES((1, 4, 5, 6)) + 0j}, "x"),
    "x ragged": ({"x": [[[1.0, 2.0], [3.0]]]}, "x"),
    "stride 0": ({"stride": 0}, "stride"),
    "stride negative": ({"stride": (1, -1)}, "stride"),
    "stride float": ({"stride": 2.0}, "stride"),
    "stride bool": ({"stride": True}, "stride"),
    "stride bool in a pair": ({"stride": (1, np.True_)}, "stride"),
    "stride text": ({"stride": "2"}, "stride"),
    "stride of three": ({"stride": (1, 1, 1)}, "stride"),
    "stride ragged": ({"stride": [[1], [1, 2]]}, "stride"),
    "padding negative": ({"padding": -1}, "padding"),
    "padding float": ({"padding": 1.0}, "padding"),
    "padding bool": ({"padding": (False, 1)}, "padding"),
    "padding an unknown word": ({"padding": "full"}, "padding"),
    "padding None": ({"padding": None}, "padding"),
}
REFUSED_DILATIONS = {
    "dilation 0": ({"dilation": 0}, "dilation"),
    "dilation float": ({"dilation": 1.5}, "dilation"),
    "dilation bool": ({"dilation": True}, "dilation"),
    "dilation None": ({"dilation": None}, "dilation"),
}
REFUSED_CONVOLUTIONS = {
    **REFUSED,
    **REFUSED_DILATIONS,
    "channels differ": ({"x": ONES((1, 3, 5, 6))}, "x|weight"),
    "x without rows": ({"x": ONES((1, 4, 0, 6))}, "x"),
    "weight too large": ({"weight": ONES((2, 4, 6, 2))}, "weight"),
    "weight too large, dilated": ({"dilation": (3, 1)}, "weight|dilation"),
    "weight without rows": ({"weight": ONES((2, 4, 0, 2))}, "weight"),
    "weight of rank 3": ({"weight": ONES((2, 4, 3))}, "weight"),
    "weight None": ({"weight": None}, "weight"),
    "weight complex": ({"weight": ONES((2, 4, 3, 2)) * 1j}, "weight"),
    "weight ragged": ({"weight": [[[[1.0], [1.0, 2.0]]]]}, "weight"),
    "groups for no channels": ({"groups": 3}, "groups"),
    "groups for no filters": ({"groups": 4}, "groups"),
    "groups with a full weight": ({"groups": 2}, "weight"),
    "groups that leave a channel": (
        {"groups": 3, "weight": ONES((3, 1, 3, 2))},
        "groups",
    ),
    "dilation beyond the width": ({"dilation": (1, 6)}, "weight"),
    "groups 0": ({"groups": 0}, "groups"),
    "groups float": ({"groups": 1.0}, "groups"),
    "groups bool": ({"groups": True}, "groups"),
    "same with a stride": ({"padding": "same", "stride": 2}, "padding"),
}
REFUSED_BIASES = {
    "bias too long": ({"bias": ONES(3)}, "bias"),
    "bias of rank 0": ({"bias": 1.0}, "bias"),
    "bias of rank 2": ({"bias": ONES((2, 1))}, "bias"),
    "bias complex": ({"bias": ONES(2) * 1j}, "bias"),
}
REFUSED_UPSTREAM = {
    "dy too large": ({"dy": ONES((1, 2, 9, 9))}, "dy"),
    "dy without batch": ({"dy": ONES((2, 3, 5))}, "dy"),
    "dy a number": ({"dy": 1.0}, "dy"),
    "dy None": ({"dy": None}, "dy"),
    "dy text": ({"dy": np.full((1, 2, 3, 5), "1")}, "dy"),
    "dy complex": ({"dy": ONES((1, 2, 3, 5)) + 0j}, "dy"),
}
REFUSED_SIGNALS = {
    "rank too low": ({"x": ONES(9)}, "x"),
    "rank too high": ({"x": ONES((1, 4, 9, 1))}, "x"),
    "x None": ({"x": None}, "x"),
    "channels differ": ({"x": ONES((1, 3, 9))}, "x|weight"),
    "weight of rank 4": ({"weight": ONES((2, 4, 3, 1))}, "weight"),
    "weight too large": ({"weight": ONES((2, 4, 10))}, "weight"),
    "stride pair": ({"stride": (1, 2)}, "stride"),
    "stride 0": ({"stride": 0}, "stride"),
    "stride float": ({"stride": 1.0}, "stride"),
    "stride bool": ({"stride": True}, "stride"),
    "padding negative": ({"padding": -1}, "padding"),
    "padding an unknown word": ({"padding": "full"}, "padding"),
    "same with a stride": ({"padding": "same", "stride": 2}, "padding"),
    "dilation 0": ({"dilation": 0}, "dilation"),
    "groups": ({"groups": 3}, "groups"),
}
REFUSED_SIGNAL_UPSTREAM = {
    "dy too short": ({"dy": ONES((1, 2, 6))}, "dy"),
    "dy None": ({"dy": None}, "dy"),
}
REFUSED_POOL_UPSTREAM = {
    "dy too large": ({"dy": ONES((1, 4, 5, 6))}, "dy"),
    "dy without batch": ({"dy": ONES((4, 2, 3))}, "dy"),
    "dy None": ({"dy": None}, "dy"),
    "dy complex": ({"dy": ONES((1, 4, 2, 3)) * 1j}, "dy"),
}
REFUSED_POOLINGS = {
    **REFUSED,
    "padding a word": ({"padding": "same"}, "padding"),
    "padding over half": ({"padding": 2}, "padding"),
    "kernel_size too large": ({"kernel_size": (6, 2)}, "kernel_size"),
    "kernel_size 0": ({"kernel_size": 0}, "kernel_size"),
    "kernel_size float": ({"kernel_size": 2.0}, "kernel_size"),
    "kernel_size bool": ({"kernel_size": True}, "kernel_size"),
    "kernel_size None": ({"kernel_size": None}, "kernel_size"),
}


def convolution_arguments():
    """Return right arguments, of which the refused calls change one."""
    return {"x": ONES((1, 4, 5, 6)), "weight": ONES((2, 4, 3, 2))}


def signal_arguments():
    """Return right arguments, of which the refused calls change one."""
    return {"x": ONES((1, 4, 9)), "weight": ONES((2, 4, 3))}


def pooling_arguments():
    """Return right arguments, of which the refused calls change one."""
    return {"x": ONES((1, 4, 5, 6)), "kernel_size": 2}


def assert_refused(function, arguments, refused):
    """Check that a call is refused, naming the argument, and changes nothing."""
    import pytest

    changed, name = refused
    arguments = arguments | changed
    match = rf"(?<![\w'])({name})(?![\w'])"
    with (
        Untouched(*arguments.values()),
        pytest.raises((ValueError, TypeError), match=match),
    ):
        function(**arguments)


def refusals(versions, *tables):
    """Parametrize a test with every version and everything that is refused."""
    import pytest

    refused = {name: wrong for table in tables for name, wrong in table.items()}
    return pytest.mark.parametrize(
        ("form", "refused"),
        [
            pytest.param(form, refused[name], id=f"{key}: {name}")
            for key, form in versions.items()
            for name in refused
        ],
    )


def assert_refused_alike(function, slower, right, refused):
    """Check that a call is refused with the very words of the slower version."""
    import pytest

    assert_refused(function, right, refused)
    words = []
    for each in (function, slower):
        with pytest.raises((ValueError, TypeError)) as caught:
            each(**(right | refused[0]))
        words.append((caught.type, str(caught.value)))
    assert words[0] == words[1]
