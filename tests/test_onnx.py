"""The ONNX project's own test cases, run by cnnbook and held against their outputs.

The onnx package brings the cases by which every backend of the format is judged:
models, their inputs, and what must come out. The kinds "pytorch-converted",
"pytorch-operator" and "simple" are files; those of the kind "node" are put together,
from a fixed seed, when they are loaded. Each case with one of the `OPERATORS` runs
three times: by the chapters' loops, by the products of `cnnbook.lowering`, and by the
fast kernels that all layers run on. Where a model has other nodes too (the mask of an
attention is a Pad among a hundred nodes), those are computed by ONNX's own reference.
What cannot run stands in `LEFT_OUT`, with the reason, and is shown to be refused for
that reason.
"""

import math
import warnings
from collections import Counter
from functools import cache
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

import cnnbook as cb
from cnnbook import backprop, convolution, fast, lowering, pooling

with warnings.catch_warnings():
    # Making the "node" cases, onnx overflows and divides by zero on purpose.
    warnings.simplefilter("ignore", RuntimeWarning)
    import onnx
    from onnx.backend.test.loader import load_model_tests
    from onnx.reference import ReferenceEvaluator

    KINDS = {
        kind: load_model_tests(kind=kind)
        for kind in ("node", "pytorch-converted", "pytorch-operator", "simple")
    }

THREE = "three dimensions; the library's windows have one or two"
COPIES = "a margin of copied pixels; the library's pad fills it with one number"
LEFT_OUT = dict.fromkeys(
    [
        "test_averagepool_3d_default",
        "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False",
        "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True",
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False",
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "test_averagepool_3d_dilations_small",
        "test_AvgPool3d",
        "test_AvgPool3d_stride",
        "test_AvgPool3d_stride1_pad0_gpu_input",
        "test_col2im_5d",
        "test_Conv3d",
        "test_Conv3d_dilated",
        "test_Conv3d_dilated_strided",
        "test_Conv3d_groups",
        "test_Conv3d_no_bias",
        "test_Conv3d_stride",
        "test_Conv3d_stride_padding",
        "test_convtranspose_3d",
        "test_maxpool_3d_default",
        "test_maxpool_3d_dilations",
        "test_maxpool_3d_dilations_use_ref_impl",
        "test_maxpool_3d_dilations_use_ref_impl_large",
        "test_MaxPool3d",
        "test_MaxPool3d_stride",
        "test_MaxPool3d_stride_padding",
    ],
    THREE,
) | dict.fromkeys(
    [
        "test_edge_pad",
        "test_operator_pad",
        "test_reflect_pad",
        "test_ReflectionPad2d",
        "test_ReplicationPad2d",
        "test_wrap_pad",
    ],
    COPIES,
)
AT_LEAST = {  # cases right every way, counted with ONNX 1.23.2
    "AveragePool": 18,
    "Col2Im": 4,
    "Conv": 39,
    "ConvTranspose": 13,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "MaxPool": 21,
    "Pad": 24,
}
# Written down with four digits, of the inputs too: held to ONNX's own tolerance.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-3}


class NoCounterpart(Exception):
    """A case asks for what no function of the library does."""


class Windows(NamedTuple):
    """Where a node lays its windows: an entry for each dimension."""

    kernel: tuple
    strides: tuple
    dilations: tuple
    margins: tuple  # (before, after)
    ceil: bool

    def outputs(self, size):
        """Return how many windows there are in every dimension."""
        counts = []
        for n, k, s, d, (before, after) in zip(size, *self[:4], strict=True):
            room = n + before + after - d * (k - 1) - 1
            count = (-(-room // s) if self.ceil else room // s) + 1
            if self.ceil and (count - 1) * s >= n + before:
                count -= 1  # it would begin in the margin after the last pixel
            counts.append(count)
        return counts

    def reach(self, size):
        """Return the margins that the windows reach into, be they too wide."""
        margins = []
        for n, o, k, s, d, (before, _) in zip(
            size, self.outputs(size), *self[:4], strict=True
        ):
            last = (o - 1) * s + d * (k - 1) + 1
            margins.append((before, max(last - n - before, 0)))
        return margins

    def padding(self, most=None):
        """Return the margins as the library's `padding`, or None if it takes none."""
        fit = all(a == b for a, b in self.margins)
        fit &= most is None or all(
            a <= m for (a, _), m in zip(self.margins, most, strict=True)
        )
        return tuple(a for a, _ in self.margins) if fit else None


def attributes(node):
    """Return the attributes of a node by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def split(pads):
    """Return pads (every before, every after) as pairs (before, after)."""
    half = len(pads) // 2
    return [(int(a), int(b)) for a, b in zip(pads[:half], pads[half:], strict=True)]


def windows(node, size, kernel):
    """Return where a node lays its windows over an input of this size."""
    if len(size) > 2:
        raise NoCounterpart(THREE)
    a = attributes(node)
    ones = (1,) * len(size)
    assert tuple(a.get("kernel_shape", kernel)) == tuple(kernel)
    strides, dilations = a.get("strides", ones), a.get("dilations", ones)
    word = a.get("auto_pad", b"NOTSET").decode()
    assert word in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    margins = []
    if word.startswith("SAME"):
        for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            margin = (total // 2, total - total // 2)
            margins.append(margin if word == "SAME_UPPER" else margin[::-1])
    else:
        pads = a.get("pads") if word == "NOTSET" else None
        margins = split(pads or [0] * 2 * len(size))
    ceil = bool(a.get("ceil_mode", 0))
    return Windows(
        tuple(kernel), tuple(strides), tuple(dilations), tuple(margins), ceil
    )


def pooling_windows(node, x):
    """Return signals as images one pixel high, and where their windows lie."""
    w = windows(node, x.shape[2:], attributes(node)["kernel_shape"])
    if x.ndim == 4:
        return x, w
    flat = (1, 1, 1, (0, 0))
    entries = [(one, *own) for one, own in zip(flat, w[:4], strict=True)]
    return x[:, :, None], Windows(*entries, w.ceil)


def conv(ways, node, x, weight, bias=None):
    """Conv: what conv1d and conv2d do; uneven margins are laid on before."""
    w = windows(node, x.shape[2:], weight.shape[2:])
    convolve = ways.conv1d if x.ndim == 3 else ways.conv2d
    padding = w.padding()
    if padding is None:
        x, padding = ways.pad(x, ((0, 0), *w.margins)[-2:]), 0
    groups = attributes(node).get("group", 1)
    return [convolve(x, weight, bias, w.strides, padding, w.dilations, groups)]


def conv_transpose(ways, node, x, weight, bias=None):
    """ConvTranspose: the gradient of a convolution with respect to its input."""
    if x.ndim > 4:
        raise NoCounterpart(THREE)
    a = attributes(node)
    w = windows(node, x.shape[2:], weight.shape[2:])
    more = a.get("output_padding", (0,) * len(w.kernel))
    full = [
        s * (n - 1) + d * (k - 1) + 1
        for n, k, s, d in zip(x.shape[2:], *w[:3], strict=True)
    ]
    size = a.get("output_shape")
    word = a.get("auto_pad", b"NOTSET")
    if size is None and word.startswith(b"SAME"):
        size = [n * s for n, s in zip(x.shape[2:], w.strides, strict=True)]
    if size is None:
        starts = [before for before, _ in w.margins]
        size = [
            f + m - sum(margin)
            for f, m, margin in zip(full, more, w.margins, strict=True)
        ]
    else:
        totals = [max(f + m - n, 0) for f, m, n in zip(full, more, size, strict=True)]
        starts = [t // 2 if word == b"SAME_UPPER" else t - t // 2 for t in totals]
    backward = ways.conv1d_backward if x.ndim == 3 else ways.conv2d_backward
    groups = a.get("group", 1)
    images = np.zeros((len(x), weight.shape[1] * groups, *full), x.dtype)
    y, _, _ = backward(x, images, weight, w.strides, 0, w.dilations, groups)
    margins = [
        (0, max(start + n - f, 0))
        for start, n, f in zip(starts, size, full, strict=True)
    ]
    y = ways.pad(y, ((0, 0), *margins)[-2:])
    y = y[(..., *(slice(b, b + n) for b, n in zip(starts, size, strict=True)))]
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * len(size))
    return [y]


def max_pool(ways, node, x):
    """MaxPool: max_pool2d; its Indices, from where max_pool2d_backward sends ones."""
    assert x.ndim > 2
    images, w = pooling_windows(node, x)
    padding, before = w.padding([k // 2 for k in w.kernel]), (0, 0)
    height, width = images.shape[2:]
    if padding is None:
        margins = w.reach(images.shape[2:])
        before = [a for a, _ in margins]
        images = ways.pad(images, margins, -np.inf)
        w, padding = w._replace(ceil=False), 0
    how = (w.kernel, w.strides, padding, w.dilations, w.ceil)
    y = ways.max_pool2d(images, *how)
    shape = y.shape[:2] + y.shape[-(x.ndim - 2) :]
    if len(node.output) == 1:
        return [y.reshape(shape)]
    indices = np.zeros(y.shape, np.int64)
    for place in np.ndindex(*y.shape):
        dy = np.zeros_like(y)
        dy[place] = 1
        dx = ways.max_pool2d_backward(dy, images, *how)
        ((n, c, i, j),) = np.argwhere(dx)
        i, j = i - before[0], j - before[1]
        columns_first = attributes(node).get("storage_order", 0)
        within = j * height + i if columns_first else i * width + j
        indices[place] = (n * images.shape[1] + c) * height * width + within
    return [y.reshape(shape), indices.reshape(shape)]


def average_pool(ways, node, x):
    """AveragePool: avg_pool2d; what it does not take, as a mean over a mean of ones.

    It does not take uneven margins, margins over half the window, and dilations; the
    mean of a dilated window is a convolution with equal weights.
    """
    images, w = pooling_windows(node, x)
    padding = w.padding([k // 2 for k in w.kernel])
    every = bool(attributes(node).get("count_include_pad", 0))
    dilated = max(w.dilations) > 1
    if padding is not None and not dilated:
        y = ways.avg_pool2d(images, w.kernel, w.strides, padding, w.ceil, every)
    else:

        def mean(z):
            if not dilated:
                return ways.avg_pool2d(z, w.kernel, w.strides)
            shape = (z.shape[1], 1, *w.kernel)
            equal = np.full(shape, 1 / math.prod(w.kernel), z.dtype)
            return ways.conv2d(z, equal, None, w.strides, 0, w.dilations, z.shape[1])

        size = images.shape[2:]
        margins = w.reach(size)
        counted = []
        for n, (a, b), (before, after) in zip(size, margins, w.margins, strict=True):
            place = np.arange(-a, n + b)
            low, high = (-before, n + after) if every else (0, n)
            counted.append((place >= low) & (place < high))
        ones = np.outer(*counted).astype(x.dtype)[None, None]
        y = mean(ways.pad(images, margins)) / mean(ones)
    return [y if x.ndim == 4 else y[:, :, 0]]


def global_pool(pool):
    """Return a global pooling, the pooling of one window as large as the image."""

    def run(ways, node, x):
        if x.ndim > 4:
            raise NoCounterpart(THREE)
        images = x if x.ndim == 4 else x[:, :, None]
        y = getattr(ways, pool)(images, images.shape[2:])
        return [y if x.ndim == 4 else y[:, :, 0]]

    return run


def col2im(ways, node, columns, image_shape, block_shape):
    """Col2Im: col2im; uneven margins are cut off afterwards."""
    w = windows(node, image_shape, block_shape)
    size, padding = [int(n) for n in image_shape], w.padding()
    if padding is not None:
        how = (size, w.kernel, w.strides, padding, w.dilations)
        return [ways.col2im(columns, *how)]
    whole = [n + sum(m) for n, m in zip(size, w.margins, strict=True)]
    y = ways.col2im(columns, whole, w.kernel, w.strides, 0, w.dilations)
    (top, _), (left, _) = w.margins
    return [y[..., top : top + size[0], left : left + size[1]]]


def col2im_loops(columns, output_size, kernel_size, stride, padding, dilation):
    """Add columns into images by a convolution's gradient, with one-hot filters."""
    area = math.prod(int(k) for k in kernel_size)
    count, rows, _ = columns.shape
    one_hot = np.tile(np.eye(area, dtype=columns.dtype), (rows // area, 1))
    filters = one_hot.reshape(rows, 1, *kernel_size)
    images = np.zeros((count, rows // area, *output_size), columns.dtype)
    how = (stride, padding, dilation)
    output = cb.conv_output_size(tuple(output_size), tuple(kernel_size), *how)
    dy = columns.reshape(count, rows, *output)
    return backprop.conv2d_backward(dy, images, filters, *how, rows // area)[0]


def constant_pad(ways, node, x, pads=None, value=None, axes=None):
    """Pad: pad, on the last two axes at once, and on any other axis brought there."""
    a = attributes(node)
    mode = a.get("mode", b"constant")
    if mode in (b"reflect", b"edge", b"wrap"):
        raise NoCounterpart(COPIES)
    assert mode == b"constant"
    pads = a["pads"] if pads is None else pads
    value = a.get("value", 0.0) if value is None else np.asarray(value).item()
    axes = range(x.ndim) if axes is None else [int(axis) % x.ndim for axis in axes]
    margins = [(0, 0)] * (x.ndim + 2)  # two axes are there in any case
    for axis, margin in zip(axes, split(pads), strict=True):
        margins[axis + 2] = margin
    y = ways.pad(x[None, None], margins[-2:], value)
    for axis, margin in enumerate(margins[:-2]):
        if margin != (0, 0):
            turned = ways.pad(np.moveaxis(y, axis, -1), ((0, 0), margin), value)
            y = np.moveaxis(turned, -1, axis)
    return [y[0, 0]]


OPERATORS = {
    "AveragePool": average_pool,
    "Col2Im": col2im,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": global_pool("avg_pool2d"),
    "GlobalMaxPool": global_pool("max_pool2d"),
    "MaxPool": max_pool,
    "Pad": constant_pad,
}
WAYS = {
    "loops": SimpleNamespace(
        conv1d=convolution.conv1d,
        conv2d=convolution.conv2d,
        pad=convolution.pad,
        max_pool2d=pooling.max_pool2d,
        avg_pool2d=pooling.avg_pool2d,
        conv1d_backward=backprop.conv1d_backward,
        conv2d_backward=backprop.conv2d_backward,
        max_pool2d_backward=backprop.max_pool2d_backward,
        col2im=col2im_loops,
    ),
    "products": SimpleNamespace(
        conv1d=lowering.conv1d,
        conv2d=lowering.conv2d,
        pad=convolution.pad,  # there is one only
        max_pool2d=lowering.max_pool2d,
        avg_pool2d=lowering.avg_pool2d,
        conv1d_backward=lowering.conv1d_backward,
        conv2d_backward=lowering.conv2d_backward,
        max_pool2d_backward=lowering.max_pool2d_backward,
        col2im=lowering.col2im,
    ),
    "fast": SimpleNamespace(
        conv1d=fast.conv1d,
        conv2d=fast.conv2d,
        pad=convolution.pad,
        max_pool2d=fast.max_pool2d,
        avg_pool2d=fast.avg_pool2d,
        conv1d_backward=fast.conv1d_backward,
        conv2d_backward=fast.conv2d_backward,
        max_pool2d_backward=fast.max_pool2d_backward,
        col2im=lowering.col2im,  # there is no other one
    ),
}


def operators(graph):
    """Yield the operators of a graph, and of the graphs in its nodes."""
    for node in graph.node:
        yield node.op_type
        for a in node.attribute:
            for inner in [a.g, *a.graphs]:
                yield from operators(inner)


def collect():
    """Return, by name, the cases with one of the operators: which, case and model."""
    found = {}
    for case in chain.from_iterable(KINDS.values()):
        model = case.model or onnx.load(Path(case.model_dir) / "model.onnx")
        used = {*chain(*map(operators, [model.graph, *model.functions]))}
        if used & OPERATORS.keys():
            assert case.name not in found
            found[case.name] = (min(used & OPERATORS.keys()), case, model)
    return dict(sorted(found.items()))


CASES = collect()
RUN = [name for name in CASES if name not in LEFT_OUT]


def data_sets(case):
    """Return the inputs and outputs of a case, as arrays."""
    if case.data_sets is not None:
        return case.data_sets
    sets = []
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        parts = []
        for what in ("input", "output"):
            files = [folder / f"{what}_{i}.pb" for i in range(99)]
            parts.append(
                [
                    onnx.numpy_helper.to_array(onnx.load_tensor(file))
                    for file in files
                    if file.exists()
                ]
            )
        sets.append(parts)
    return sets


def by_cnnbook(ways, node, values):
    """Compute one node with the library; the result has the type of the input."""
    arrays = [v.astype(np.float32) if is_bfloat16(v) else v for v in values]
    results = OPERATORS[node.op_type](ways, node, *arrays)
    dtype = values[0].dtype
    if dtype == np.float32:
        assert results[0].dtype == np.float32
    first = results[0].astype(dtype)
    assert dtype.kind not in "biu" or np.array_equal(first, results[0])
    return [first, *results[1:]]


def is_bfloat16(value):
    """Whether an array holds a type that is not NumPy's own, and so not ours."""
    return value is not None and value.dtype.name == "bfloat16"


def by_reference(node, values, opsets):
    """Compute one node with ONNX's own reference."""
    given = {n: v for n, v in zip(node.input, values, strict=True) if n}
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [onnx.ValueInfoProto(name=name) for name in given],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    with np.errstate(invalid="ignore"):  # a mask's infinity minus infinity
        return ReferenceEvaluator(graph, opsets=opsets).run(None, given)


def computed(ways, model, inputs):
    """Return the outputs of a model whose `OPERATORS` the library computes."""
    graph = model.graph
    opsets = {o.domain: o.version for o in model.opset_import}
    values = {"": None}
    values |= {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    names = [i.name for i in graph.input if i.name not in values]
    values |= dict(zip(names, inputs, strict=True))
    ours = 0
    for node in graph.node:
        arguments = [values[name] for name in node.input]
        if node.op_type in OPERATORS:
            results = by_cnnbook(ways, node, arguments)
            ours += 1
        else:
            results = by_reference(node, arguments, opsets)
        values |= dict(zip(node.output, results, strict=True))
    assert ours == sum(o in OPERATORS for o in operators(graph)) > 0
    return [values[o.name] for o in graph.output]


@cache
def outcome(name, way):
    """Run a case; return None if its outputs are right, else the error."""
    _, case, model = CASES[name]
    sets = data_sets(case)
    assert sets
    try:
        for inputs, outputs in sets:
            results = computed(WAYS[way], model, inputs)
            assert len(results) == len(outputs) > 0
            for result, output in zip(results, outputs, strict=True):
                assert result.shape == output.shape
                tolerance = 1e-2 if output.dtype.itemsize == 2 else 1e-5
                tolerance = ROUNDED.get(name, tolerance)
                np.testing.assert_allclose(
                    result.astype(np.float64),
                    output.astype(np.float64),
                    rtol=tolerance,
                    atol=tolerance,
                )
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RUN)
def test_outputs_are_those_of_onnx(name, way):
    """What comes out of a case is what ONNX says must come out."""
    error = outcome(name, way)
    if error is not None:
        raise error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_refused_for_the_reason_given(name, way):
    """A case in the table exists, and asks for what the table says."""
    error = outcome(name, way)
    assert isinstance(error, NoCounterpart)
    assert str(error) == LEFT_OUT[name]


def test_every_case_is_run_or_left_out(capsys):
    """No case is forgotten; the numbers are printed, whether they are right or not."""
    assert LEFT_OUT.keys() <= CASES.keys()
    cases = Counter(operator for operator, *_ in CASES.values())
    left = Counter(CASES[name][0] for name in LEFT_OUT)
    passed = {
        way: Counter(CASES[name][0] for name in RUN if outcome(name, way) is None)
        for way in WAYS
    }
    with capsys.disabled():
        print(f"\nThe cases of ONNX {onnx.__version__} that cnnbook gets right:")
        for operator in OPERATORS:
            print(
                f"  {operator:18}{cases[operator]:3} cases,"
                + "".join(f"{passed[way][operator]:3} by {way}," for way in WAYS)
                + f"{left[operator]:3} left out"
            )
        for reason in (THREE, COPIES):
            names = [name for name in LEFT_OUT if LEFT_OUT[name] == reason]
            print(f"  {len(names)} left out: {reason}")
    for operator in OPERATORS:
        for way in WAYS:
            assert passed[way][operator] >= AT_LEAST[operator]
            assert passed[way][operator] + left[operator] == cases[operator]
