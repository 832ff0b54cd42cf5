"""Well-known mistakes, put into the library one at a time: its tests must fail.

Each mistake changes the text of a function. In a process of its own, the function
gets the changed text's code, and the ordinary tests of its module run: against
recorded results, loops, SciPy, central differences and adjoints. One of these must
fail, and none of them was written for a mistake.
"""

import gc
import json
import multiprocessing
import os
import re
import signal
import sys
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from types import FunctionType

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("shapes", "convolution", "pooling", "backprop", "lowering")
LIMIT = 120  # seconds within which the tests of a module must end
ENOUGH = 30  # failures, if none of them is that of a comparison
# Elsewhere forking isn't there, or isn't safe: each process tries one mistake only.
FORKS = sys.platform == "linux"
WORKERS = 2 if FORKS else os.cpu_count() or 2  # processes at a time
# The loops cut their last windows short where the margin is too narrow.
ALSO_SEEN_BY = {"pooling.pool_pad": "lowering"}
# What a slip in the text of a mistake raises; it would prove nothing.
SLIPS = {"AttributeError", "ImportError", "NameError", "SyntaxError"}

# Mistakes that many functions can hold: name -> (text, what replaces it).


def margins(images):
    """Return the ways to lay the margin of images wrongly."""
    right = f"pad({images}, g.padding)"
    spread = f"np.pad({images}, ((0, 0), (0, 0), *g.padding), "
    return {
        "margins swapped": (right, f"pad({images}, g.padding[::-1])"),
        "margin before": (right, f"pad({images}, [(sum(m), 0) for m in g.padding])"),
        "margin after": (right, f"pad({images}, [(0, sum(m)) for m in g.padding])"),
        "odd zero first": (right, f"pad({images}, [m[::-1] for m in g.padding])"),
        "margin wraps": (right, spread + "'wrap')"),
        "margin repeats the edge": (right, spread + "'edge')"),
    }


def signal_margins():
    """Return the ways to lay the margin of signals wrongly."""
    start = "np.pad(x, ((0, 0),) * (x.ndim - 1) + "
    right = start + "g.padding)"
    return {
        "margin before": (right, start + "((sum(g.padding[0]), 0),))"),
        "margin after": (right, start + "((0, sum(g.padding[0])),))"),
        "odd zero first": (right, start + "(g.padding[0][::-1],))"),
        "margin wraps": (right, start + "g.padding, 'wrap')"),
        "margin repeats the edge": (right, start + "g.padding, 'edge')"),
    }


def pool_margins(images, value):
    """Return the ways to lay the margin of a pooling wrongly."""
    right = f"pool_pad({images}, geometry, {value})"
    swapped = "geometry._replace(padding=geometry.padding[::-1])"
    return {"margins swapped": (right, right.replace("geometry", swapped))}


def turned(weight, text, whose=""):
    """Return the ways to lay a kernel the wrong way round."""
    ways = {
        "kernel turned": "[..., ::-1, ::-1]",
        "kernel upside down": "[..., ::-1, :]",
        "kernel mirrored": "[..., ::-1]",
        "channels turned": "[..., ::-1, :, :]",
        "kernel and channels turned": "[..., ::-1, ::-1, ::-1]",
        "kernel transposed": f".swapaxes(-2, -1).reshape({weight}.shape)",
    }
    assert weight in text
    return {
        whose + name: (text, text.replace(weight, weight + way))
        for name, way in ways.items()
    }


def as_it_lies(name, text):
    """Return the mistake of reading an array in the order of its memory."""
    read = f"{name}.ravel(order='K').reshape({name}.shape)"
    assert name in text
    return {f"{name} read as it lies": (text, text.replace(name, read, 1))}


def biases():
    """Return the ways to add a bias wrongly."""
    right = "y += bias[:, None, None]"
    return {
        "bias forgotten": (right, "y += 0"),
        "bias once per image": (right, "y += len(y) * bias[:, None, None]"),
        "bias once per weight": (right, "y += weight[0].size * bias[:, None, None]"),
        "one bias for all": (right, "y += bias[0]"),
        "biases turned": (right, "y += bias[::-1, None, None]"),
    }


def bias_gradients(images, text):
    """Return the ways to sum the bias's gradient wrongly."""
    first = text.replace(".sum(axis=(0, ", "[0].sum(axis=(").replace("2, 3", "1, 2")
    first = first.replace("(2)", "1")
    return {
        "dbias a mean": (text, text.replace(".sum(", ".mean(")),
        "dbias a mean over the batch": (text, f"{text} / {images}"),
        "dbias of one image": (text, first),
        "dbias in float64": (text, text.replace("axis=", "dtype=np.float64, axis=")),
    }


def steps(rows, columns):
    """Return the ways to step wrongly, given the texts that cut out a window."""
    return {
        "stride down forgotten": (rows, rows.replace("i * sh", "i")),
        "stride across forgotten": (columns, columns.replace("j * sw", "j")),
        "one stride for both": (columns, columns.replace("j * sw", "j * sh")),
        "dilation down one less": (rows, rows.replace("dh", "max(dh - 1, 1)")),
        "dilation across one less": (columns, columns.replace("dw", "max(dw - 1, 1)")),
        "dilation across one more": (columns, columns.replace("dw", "(dw + 1)")),
        "one dilation for both": (columns, columns.replace("dw", "dh")),
    }


def counts():
    """Return the ways to count the pixels of an average wrongly."""
    right = "geometry, count_include_pad)"
    return {
        "divided by the pixels inside": (right, "geometry, False)"),
        "divided by the margin too": (right, "geometry, True)"),
        "count_include_pad negated": (right, "geometry, not count_include_pad)"),
    }


def pool_crops(dx):
    """Return the ways to cut the margin off a pooling's gradient wrongly."""
    done = f"return {dx}"
    return {
        "dx not cropped": (dx, "dpadded"),
        "dx cropped after": (dx, "dpadded[..., : x.shape[-2], : x.shape[-1]]"),
        "dx cropped before": (dx, "dpadded[..., -x.shape[-2] :, -x.shape[-1] :]"),
        "remainder takes a gradient": (
            done,
            "(kh, _), (sh, _), *_, (oh, _) = geometry\n"
            f"    dpadded[..., (oh - 1) * sh + kh :, :] += 1\n    {done}",
        ),
        "dx written into x": (done, f"x[...] = {dx}\n    return x"),
        "dy used up": (done, f"dy[...] = 0\n    {done}"),
    }


SLICES = (
    "i * sh : i * sh + dh * (kh - 1) + 1 : dh",
    "j * sw : j * sw + dw * (kw - 1) + 1 : dw",
)
CUTS = (
    "slice(i * sh, i * sh + dh * (kh - 1) + 1, dh)",
    "slice(j * sw, j * sw + dw * (kw - 1) + 1, dw)",
)
STEPS = "(sh, sw), (dh, dw) = g.stride, g.dilation"
IMAGES = "x if x.ndim == 4 else x[None]"
RETURN = "return y if x.ndim == 4 else y[0]"
USED_UP = {
    "x used up": (RETURN, f"x[...] = 0\n    {RETURN}"),
    "weight used up": (RETURN, f"weight[...] = 0\n    {RETURN}"),
}
LINE = "        (1, *g.stride),\n        0,\n        (1, *g.dilation),\n"
LINES = {
    "stride forgotten": (LINE, LINE.replace("*g.stride", "1")),
    "dilation forgotten": (LINE, LINE.replace("*g.dilation", "1")),
    "dilation one more": (LINE, LINE.replace("*g.dilation", "g.dilation[0] + 1")),
    "stride taken for dilation": (LINE, LINE.replace("dilation", "stride")),
    "padding twice": (LINE, LINE.replace("0,", "(0, g.padding[0][0]),")),
    "kernel turned": ("weight[:, :, None]", "weight[:, :, None, ::-1]"),
    "channels turned": ("weight[:, :, None]", "weight[:, ::-1, None]"),
}

# Backward, these give an output size that the upstream gradient doesn't have.
FORWARD_ONLY = {"stride forgotten", "dilation forgotten", "padding twice"}

# The mistakes of each function: name -> a pair, or several.

MISTAKES = {}

MISTAKES["shapes.as_padding"] = {
    "odd zero first": (
        "(total // 2, total - total // 2)",
        "(total - total // 2, total // 2)",
    ),
    "same on both sides": ("(total // 2, total - total // 2)", "(total, total)"),
    "same without dilation": ("d * (k - 1)", "(k - 1)"),
    "same of k zeros": ("d * (k - 1)", "d * k"),
    "valid like same": (' * (padding == "same")', ""),
    "all before": ("(p, p) for p", "(2 * p, 0) for p"),
    "all after": ("(p, p) for p", "(0, 2 * p) for p"),
    "height and width swapped": (
        "len(kernel), least=0)",
        "len(kernel), least=0)[::-1]",
    ),
}
MISTAKES["shapes.conv_output_size"] = {
    "rounded up": ("room // s + 1", "-(-room // s) + 1"),
    "last window dropped": ("room // s + 1", "room // s"),
    "dilation one more": ("- d * (k - 1) - 1", "- (d + 1) * (k - 1) - 1"),
    "span of dilation times kernel": ("- d * (k - 1) - 1", "- d * k"),
    "dilation forgotten": ("- d * (k - 1) - 1", "- k"),
    "padding once": ("n + before + after - d", "n + before - d"),
    "strides swapped": ("sizes, kernels, strides,", "sizes, kernels, strides[::-1],"),
    "kernels swapped": ("sizes, kernels, strides,", "sizes, kernels[::-1], strides,"),
    "dilations swapped": ("dilations, margins,", "dilations[::-1], margins,"),
    "margins swapped": ("dilations, margins,", "dilations, margins[::-1],"),
}
MISTAKES["shapes.receptive_field"] = {
    "grows by the kernel": ("(kernel[axis] - 1)", "kernel[axis]"),
    "a layer's own stride counts": [
        ("            jump[axis] *= stride[axis]\n", ""),
        (
            "        for axis in (0, 1):\n",
            "        for axis in (0, 1):\n            jump[axis] *= stride[axis]\n",
        ),
    ],
    "strides added": ("jump[axis] *= stride", "jump[axis] += -1 + stride"),
    "only the last stride": ("jump[axis] *= stride", "jump[axis] = stride"),
    "strides forgotten": ("jump[axis] *= stride[axis]", "pass"),
    "dilation forgotten": ("dilation[axis] * (kernel", "(kernel"),
    "dilation one more": ("dilation[axis] * (kernel", "(dilation[axis] + 1) * (kernel"),
    "last layer first": ("for layer in layers", "for layer in list(layers)[::-1]"),
    "height and width swapped": ("else tuple(field)", "else tuple(field[::-1])"),
}

MISTAKES["convolution.correlate2d"] = {
    "kernel turned": ("* kernel)", "* kernel[::-1, ::-1])"),
    "kernel upside down": ("* kernel)", "* kernel[::-1])"),
    "kernel mirrored": ("* kernel)", "* kernel[:, ::-1])"),
    "kernel transposed": ("* kernel)", "* kernel.T.reshape(kernel.shape))"),
    "margins swapped": (
        "((kh - 1, kh - 1), (kw - 1, kw - 1))",
        "((kw - 1, kw - 1), (kh - 1, kh - 1))",
    ),
    "odd zero above": ("((kh - 1) // 2, kh // 2)", "(kh // 2, (kh - 1) // 2)"),
    "odd zero to the left": ("((kw - 1) // 2, kw // 2)", "(kw // 2, (kw - 1) // 2)"),
    "margin wraps": ("margins[mode])\n", "margins[mode], 'wrap')\n"),
    "margin repeats the edge": ("margins[mode])\n", "margins[mode], 'edge')\n"),
    "float64": ("kw + 1), a.dtype)", "kw + 1))"),
    "last row dropped": ("(*y.shape)", "(y.shape[0] - 1, y.shape[1])"),
    "last column dropped": ("(*y.shape)", "(y.shape[0], y.shape[1] - 1)"),
    "kernel used up": ("    return y", "    kernel[...] = 0\n    return y"),
    **as_it_lies("a", "a, margins[mode])\n"),
    **as_it_lies("kernel", "kernel)\n    return y"),
}
MISTAKES["convolution.correlate1d"] = {
    "the other middle": ("(len(kernel) - 1) // 2", "len(kernel) // 2"),
    "the middle of 2-D": ('if mode == "same":', "if False:"),
    "mode forgotten": ("kernel[None], mode)", "kernel[None])"),
    "kernel turned": ("kernel[None], mode)", "kernel[None, ::-1], mode)"),
}
MISTAKES["convolution.convolve2d"] = {
    "kernel not turned": ("kernel[::-1, ::-1], mode)", "kernel, mode)"),
    "only upside down": ("kernel[::-1, ::-1], mode)", "kernel[::-1], mode)"),
    "only mirrored": ("kernel[::-1, ::-1], mode)", "kernel[:, ::-1], mode)"),
    "kernel turned twice": (
        "kernel[::-1, ::-1], mode)",
        "kernel[::-1, ::-1][::-1, ::-1], mode)",
    ),
    "not turned for same": ('kernel[::-1, ::-1], "full")', 'kernel, "full")'),
    "the other middle down": ("(kernel.shape[0] - 1) // 2", "kernel.shape[0] // 2"),
    "the other middle across": ("(kernel.shape[1] - 1) // 2", "kernel.shape[1] // 2"),
    "kernel turned in place": (
        "    return correlate2d(a, kernel[::-1, ::-1], mode)",
        "    kernel[:] = kernel[::-1, ::-1].copy()\n"
        "    return correlate2d(a, kernel, mode)",
    ),
}
MISTAKES["convolution.convolve1d"] = {
    "kernel not turned": ("return convolve2d(", "return correlate2d("),
    "mode forgotten": ("kernel[None], mode)", "kernel[None])"),
    "arguments swapped": (
        "convolve2d(a[None], kernel[None]",
        "convolve2d(kernel[None], a[None]",
    ),
}
MISTAKES["convolution.conv_geometry"] = {
    "padding once": ("n + sum(m) for", "n + m[0] for"),
    "rounded up": ("(n, k, s, 0, d)", "(n + s - 1, k, s, 0, d)"),
    "strides swapped": ("Geometry(strides, m", "Geometry(strides[::-1], m"),
    "margins swapped": ("margins, dilations, g", "margins[::-1], dilations, g"),
    "dilations swapped": ("margins, dilations, g", "margins, dilations[::-1], g"),
    "sizes by the other stride": (
        "zip(padded, kernel, strides, dil",
        "zip(padded, kernel, strides[::-1], dil",
    ),
    "padding before": (
        "Geometry(strides, margins",
        "Geometry(strides, tuple((sum(m), 0) for m in margins)",
    ),
    "odd zero first": (
        "Geometry(strides, margins",
        "Geometry(strides, tuple(m[::-1] for m in margins)",
    ),
}
MISTAKES["convolution.pad"] = {
    "before and after swapped": (
        "(x.ndim - 2) + margins",
        "(x.ndim - 2) + tuple(m[::-1] for m in margins)",
    ),
    "all before": (
        "(x.ndim - 2) + margins",
        "(x.ndim - 2) + tuple((sum(m), 0) for m in margins)",
    ),
    "all after": (
        "(x.ndim - 2) + margins",
        "(x.ndim - 2) + tuple((0, sum(m)) for m in margins)",
    ),
    "height and width swapped": (
        "(x.ndim - 2) + margins",
        "(x.ndim - 2) + margins[::-1]",
    ),
    "leading axes instead": (
        "((0, 0),) * (x.ndim - 2) + margins",
        "margins + ((0, 0),) * (x.ndim - 2)",
    ),
    "value forgotten": (", constant_values=value", ""),
    "margin wraps": (", constant_values=value", ", mode='wrap'"),
    "margin repeats the edge": (", constant_values=value", ", mode='edge'"),
    "no copy without a margin": (
        "    return np.pad(",
        "    if not np.any(margins):\n        return x\n    return np.pad(",
    ),
    **as_it_lies("x", "x, ((0, 0),) *"),
}
MISTAKES["convolution.conv2d"] = {
    **turned("weight[f]", "* weight[f])"),
    **margins(IMAGES),
    **biases(),
    **steps(*SLICES),
    "dilation down one more": (SLICES[0], SLICES[0].replace("dh", "(dh + 1)")),
    **USED_UP,
    "strides swapped": (STEPS, STEPS.replace("sh, sw", "sw, sh")),
    "dilations swapped": (STEPS, STEPS.replace("dh, dw", "dw, dh")),
    "dilation forgotten": (STEPS, STEPS + "\n    dh = dw = 1"),
    "groups interleaved": (
        "first : first + channels,",
        "f // (filters // g.groups) :: g.groups,",
    ),
    "filters interleaved": ("f // (filters // g.groups) *", "f % g.groups *"),
    "groups ignored": ("f // (filters // g.groups) *", "0 *"),
    "one channel on": ("// g.groups) * channels", "// g.groups)"),
    "rounded up": (
        "    y = np.zeros((len(padded), filters, *g.output), x.dtype)\n",
        "    size = [-(-(n - d * (k - 1) - 1) // s) + 1 for n, k, s, d in zip("
        "padded.shape[2:], (kh, kw), g.stride, g.dilation)]\n"
        "    padded = np.pad(padded, ((0, 0), (0, 0), (0, sh), (0, sw)))\n"
        "    y = np.zeros((len(padded), filters, *size), x.dtype)\n",
    ),
    "last row dropped": (
        "np.ndindex(*y.shape)",
        "np.ndindex(*y.shape[:2], y.shape[2] - 1, y.shape[3])",
    ),
    "last column dropped": (
        "np.ndindex(*y.shape)",
        "np.ndindex(*y.shape[:3], y.shape[3] - 1)",
    ),
    "last image dropped": (
        "np.ndindex(*y.shape)",
        "np.ndindex(len(y) - 1 or 1, *y.shape[1:])",
    ),
    "a mean instead of a sum": ("= np.sum(", "= np.mean("),
    "float64": ("*g.output), x.dtype)", "*g.output))"),
    "batch axis kept": (RETURN, "return y"),
    **as_it_lies("x", "pad(x if"),
    **as_it_lies("weight", "* weight[f])"),
}
MISTAKES["convolution.conv1d"] = {
    **LINES,
    **signal_margins(),
    "bias forgotten": ("        bias,\n", "        None,\n"),
    **as_it_lies("x", "np.pad(x, ("),
    **as_it_lies("weight", "weight[:, :, None]"),
    "x used up": ("return y[", "x[...] = 0\n    return y["),
}

MISTAKES["pooling.pool_output_size"] = {
    "ceil_mode ignored": (
        "(-(-room // stride) if ceil_mode else room // stride)",
        "room // stride",
    ),
    "always rounded up": ("if ceil_mode else room // stride", ""),
    "window beyond the image kept": ("count -= 1", "pass"),
    "window at the end kept": (">= size + padding", "> size + padding"),
    "window in the margin kept": (">= size + padding", ">= size + 2 * padding"),
    "window past the pixels dropped": (">= size + padding", ">= size"),
    "padding once": ("room = size + 2 * padding", "room = size + padding"),
    "dilation one more": ("- dilation * (", "- (dilation + 1) * ("),
    "dilation forgotten": ("- dilation * (kernel - 1)", "- (kernel - 1)"),
    "span of dilation times kernel": (
        "- dilation * (kernel - 1) - 1\n",
        "- dilation * kernel\n",
    ),
    "last window dropped": ("// stride) + 1", "// stride)"),
}
GEOMETRY = "(kernel, strides, margins, dilations, output)"
MISTAKES["pooling.pool_geometry"] = {
    "stride 1 unless told": ("kernel if stride is None", "(1, 1) if stride is None"),
    "kernel swapped": (GEOMETRY, GEOMETRY.replace("kernel", "kernel[::-1]")),
    "strides swapped": (GEOMETRY, GEOMETRY.replace("strides", "strides[::-1]")),
    "margins swapped": (GEOMETRY, GEOMETRY.replace("margins", "margins[::-1]")),
    "dilations swapped": (GEOMETRY, GEOMETRY.replace("dilations", "dilations[::-1]")),
    "padding forgotten": ("(n, k, s, p, d, ceil_mode)", "(n, k, s, 0, d, ceil_mode)"),
    "sizes by the other stride": (
        "x.shape[-2:], kernel, strides,",
        "x.shape[-2:], kernel, strides[::-1],",
    ),
}
MISTAKES["pooling.pool_pad"] = {
    "zeros instead of the value": ("tuple(margins), value)", "tuple(margins), 0.0)"),
    "margins swapped": ("tuple(margins), value)", "tuple(margins[::-1]), value)"),
    "before and after swapped": (
        "(p, max(last - n - p, 0))",
        "(max(last - n - p, 0), p)",
    ),
    "all before": ("(p, max(last - n - p, 0))", "(p + max(last - n - p, 0), 0)"),
    "all after": ("(p, max(last - n - p, 0))", "(0, p + max(last - n - p, 0))"),
    "nothing after": ("max(last - n - p, 0)", "0"),
    "one more after": ("max(last - n - p, 0)", "max(last - n - p + 1, 0)"),
    "margin wraps": (
        "pad(x, tuple(margins), value)",
        "np.pad(x, ((0, 0),) * (x.ndim - 2) + tuple(margins), 'wrap')",
    ),
    "margin repeats the edge": (
        "pad(x, tuple(margins), value)",
        "np.pad(x, ((0, 0),) * (x.ndim - 2) + tuple(margins), 'edge')",
    ),
}
POOLED = "(kh, kw), (sh, sw), _,"
MISTAKES["pooling.max_pool2d"] = {
    **steps(*SLICES),
    "dilation down one more": (SLICES[0], SLICES[0].replace("dh", "(dh + 1)")),
    **pool_margins("x", "-np.inf"),
    "zeros in the margin": ("-np.inf", "0.0"),
    "the least float in the margin": ("-np.inf", "np.finfo(x.dtype).min"),
    "a maximum with zero": (
        "window.max(axis=(-2, -1))",
        "window.max((-2, -1), initial=0)",
    ),
    "NaN ignored": (
        "window.max(axis=(-2, -1))",
        "np.fmax.reduce(window, axis=(-2, -1))",
    ),
    "largest magnitude": ("window.max(", "abs(window).max("),
    "one maximum for all channels": (
        "window.max(axis=(-2, -1))",
        "window.max(axis=(-3, -2, -1))[..., None]",
    ),
    "kernel swapped": (POOLED, POOLED.replace("kh, kw", "kw, kh")),
    "strides swapped": (POOLED, POOLED.replace("sh, sw", "sw, sh")),
    "dilations swapped": ("(dh, dw), output", "(dw, dh), output"),
    "last row dropped": ("np.ndindex(*output)", "np.ndindex(output[0] - 1, output[1])"),
    "last column dropped": (
        "np.ndindex(*output)",
        "np.ndindex(output[0], output[1] - 1)",
    ),
    "float64": ("*output), x.dtype)", "*output))"),
    "x used up": ("    return y", "    x[...] = 0\n    return y"),
    **as_it_lies("x", "pool_pad(x, "),
}
MISTAKES["pooling.avg_pool2d"] = {
    **counts(),
    **pool_margins("x", "0.0"),
    "divided by the whole window": ("/ counts[i, j]", "/ (kh * kw)"),
    "divided by the kernel's height": ("/ counts[i, j]", "/ kh"),
    "not divided": ("/ counts[i, j]", ""),
    "the mean of what is cut out": (
        "window.sum(axis=(-2, -1)) / counts[i, j]",
        "window.mean(axis=(-2, -1))",
    ),
    "counts transposed": ("counts[i, j]", "counts.T.reshape(output)[i, j]"),
    "NaN ignored": ("window.sum(", "np.nan_to_num(window).sum("),
    "stride down forgotten": ("i * sh : i * sh + kh", "i : i + kh"),
    "stride across forgotten": ("j * sw : j * sw + kw", "j : j + kw"),
    "kernel swapped": (POOLED, POOLED.replace("kh, kw", "kw, kh")),
    "strides swapped": (POOLED, POOLED.replace("sh, sw", "sw, sh")),
    "last row dropped": ("np.ndindex(*output)", "np.ndindex(output[0] - 1, output[1])"),
    "last column dropped": (
        "np.ndindex(*output)",
        "np.ndindex(output[0], output[1] - 1)",
    ),
    "float64": ("*output), x.dtype)", "*output))"),
    "x used up": ("    return y", "    x[...] = 0\n    return y"),
    **as_it_lies("x", "pool_pad(x, "),
}
MISTAKES["pooling.window_counts"] = {
    "count_include_pad negated": ("if count_include_pad", "if not count_include_pad"),
    "count_include_pad ignored": ("if count_include_pad", "if True"),
    "never with the margin": ("if count_include_pad", "if False"),
    "windows begin at the pixels": ("np.arange(o) * s - p", "np.arange(o) * s"),
    "stride forgotten": ("np.arange(o) * s - p", "np.arange(o) - p"),
    "margin counted without end": (
        "np.minimum(start + k, high)",
        "(start + k if count_include_pad else np.minimum(start + k, high))",
    ),
    "margin on one side": ("(-p, n + p)", "(-p, n)"),
    "cut off before only": ("np.minimum(start + k, high)", "(start + k)"),
    "cut off after only": ("np.maximum(start, low)", "start"),
    "height and width swapped": ("np.outer(*counts)", "np.outer(*counts[::-1])"),
    "sides added": ("np.outer(*counts)", "np.add.outer(*counts)"),
}

DX = "crop(dpadded, g.padding).reshape(x.shape)"
CROPS = {
    "dx not cropped": (DX, "dpadded if x.ndim == 4 else dpadded[0]"),
    "dx cropped after": (
        DX,
        "dpadded[..., : x.shape[-2], : x.shape[-1]].reshape(x.shape)",
    ),
    "dx cropped before": (
        DX,
        "dpadded[..., -x.shape[-2] :, -x.shape[-1] :].reshape(x.shape)",
    ),
    "dx cropped by the odd zero": (
        DX,
        DX.replace("g.padding", "[m[::-1] for m in g.padding]"),
    ),
    "dx cropped one pixel off": (
        DX,
        "np.roll(dpadded, [-m[0] - 1 for m in g.padding], (-2, -1))"
        "[..., : x.shape[-2], : x.shape[-1]].reshape(x.shape)",
    ),
}
GRADIENTS = "return dx, dweight, upstream.sum(axis=(0, 2, 3))"
WEIGHTS = "dweight[f] += upstream[n, f, i, j] * padded[window]"
PIXELS = "dpadded[window] += upstream[n, f, i, j] * weight[f]"
MISTAKES["backprop.conv2d_backward"] = {
    **turned("weight[f]", PIXELS, "dx: "),
    **turned("padded[window]", WEIGHTS, "dweight: "),
    **margins("images"),
    **steps(*CUTS),
    **CROPS,
    **bias_gradients("len(upstream)", "upstream.sum(axis=(0, 2, 3))"),
    "strides swapped": (STEPS, STEPS.replace("sh, sw", "sw, sh")),
    "dilations swapped": (STEPS, STEPS.replace("dh, dw", "dw, dh")),
    "dilation forgotten": (STEPS, STEPS + "\n    dh = dw = 1"),
    "groups interleaved": (
        "slice(first, first + channels)",
        "slice(f // (filters // g.groups), None, g.groups)",
    ),
    "filters interleaved": ("f // (filters // g.groups) *", "f % g.groups *"),
    "groups ignored": ("f // (filters // g.groups) *", "0 *"),
    "dweight assigned": ("dweight[f] +=", "dweight[f] ="),
    "dx assigned": ("dpadded[window] +=", "dpadded[window] ="),
    "dweight a mean over the batch": (
        GRADIENTS,
        GRADIENTS.replace("dweight", "dweight / len(images)"),
    ),
    "dx a mean over the batch": (
        GRADIENTS,
        GRADIENTS.replace("dx", "dx / len(images)"),
    ),
    "remainder takes a gradient": (
        f"    dx = {DX}",
        "    dpadded[:, :, (g.output[0] - 1) * sh + dh * (kh - 1) + 1 :] += dy.mean()\n"
        f"    dx = {DX}",
    ),
    "last row dropped": (
        "np.ndindex(*upstream.shape)",
        "np.ndindex(*upstream.shape[:2], upstream.shape[2] - 1, upstream.shape[3])",
    ),
    "last column dropped": (
        "np.ndindex(*upstream.shape)",
        "np.ndindex(*upstream.shape[:3], upstream.shape[3] - 1)",
    ),
    "dx in float64": ("np.zeros_like(padded)", "np.zeros(padded.shape)"),
    "dweight in float64": ("np.zeros_like(weight)", "np.zeros(weight.shape)"),
    "dx written into x": (GRADIENTS, f"x[...] = dx\n    {GRADIENTS}"),
    "dweight written into weight": (
        GRADIENTS,
        f"weight[...] = dweight\n    {GRADIENTS}",
    ),
    "dy used up": (
        GRADIENTS,
        "dbias = upstream.sum(axis=(0, 2, 3))\n    dy[...] = 0\n"
        "    return dx, dweight, dbias",
    ),
    **as_it_lies("images", "pad(images, g"),
    **as_it_lies("upstream", "upstream[n, f, i, j] * padded"),
    **as_it_lies("weight", "* weight[f]"),
}
MISTAKES["backprop.crop"] = {
    "top and bottom swapped": (
        "top : x.shape[-2] - bottom",
        "bottom : x.shape[-2] - top",
    ),
    "left and right swapped": (
        "left : x.shape[-1] - right",
        "right : x.shape[-1] - left",
    ),
    "only before": (
        "top : x.shape[-2] - bottom, left : x.shape[-1] - right",
        "top + bottom :, left + right :",
    ),
    "only after": (
        "top : x.shape[-2] - bottom, left : x.shape[-1] - right",
        ": x.shape[-2] - top - bottom, : x.shape[-1] - left - right",
    ),
}
LINE_DX = "dx[..., 0, before : padded.shape[-1] - after]"
MISTAKES["backprop.conv1d_backward"] = {
    **{name: LINES[name] for name in LINES if name not in FORWARD_ONLY},
    **signal_margins(),
    "dx cropped after": (LINE_DX, "dx[..., 0, : x.shape[-1]]"),
    "dx cropped before": (LINE_DX, "dx[..., 0, before + after :]"),
    "dx cropped by the odd zero": (
        LINE_DX,
        "dx[..., 0, after : padded.shape[-1] - before]",
    ),
    "dx not cropped": (LINE_DX, "dx[..., 0, :]"),
    "dx turned": (LINE_DX, f"{LINE_DX}[..., ::-1]"),
    "dweight turned": ("dweight[:, :, 0]", "dweight[:, :, 0, ::-1]"),
    "dbias forgotten": ("        dbias,\n    )", "        0 * dbias,\n    )"),
    **as_it_lies("x", "np.pad(x, ("),
    **as_it_lies("weight", "weight[:, :, None]"),
    **as_it_lies("dy", "dy[..., None, :]"),
}
WINNER = """\
            winner = pixels[np.argmax(window[pixels])]  # the first maximum
            u, v = divmod(winner, kw)
            dpadded[(*image, i * sh + u * dh, j * sw + v * dw)] += dy[place]
"""
WINNERS = """\
            winners = pixels[window[pixels] == window[pixels].max()]
            for u, v in zip(*divmod(winners, kw)):
                dpadded[(*image, i * sh + u * dh, j * sw + v * dw)] += dy[place]
"""
POOL_DX = "dpadded[..., ph : ph + x.shape[-2], pw : pw + x.shape[-1]]"
MISTAKES["backprop.max_pool2d_backward"] = {
    **steps(*CUTS),
    **pool_margins("x", "-np.inf"),
    **pool_crops(POOL_DX),
    "dx cropped by margins swapped": (
        POOL_DX,
        "dpadded[..., pw : pw + x.shape[-2], ph : ph + x.shape[-1]]",
    ),
    "ties to every winner": (WINNER, WINNERS),
    "ties shared": (WINNER, WINNERS.replace("dy[place]", "dy[place] / len(winners)")),
    "ties to the last": (
        "pixels[np.argmax(window[pixels])]",
        "pixels[::-1][np.argmax(window[pixels[::-1]])]",
    ),
    "ties to the first column": (
        "            winner = pixels[",
        "            pixels = pixels[np.lexsort((pixels // kw, pixels % kw))]\n"
        "            winner = pixels[",
    ),
    "the margin wins": ("np.flatnonzero(inside[rows, columns])", "np.arange(kh * kw)"),
    "a margin of zeros wins": [
        ("pool_pad(x, geometry, -np.inf)", "pool_pad(x, geometry, 0.0)"),
        ("np.flatnonzero(inside[rows, columns])", "np.arange(kh * kw)"),
    ],
    "NaN ignored": ("np.argmax(window[pixels])", "np.nanargmax(window[pixels])"),
    "the least pixel wins": ("np.argmax(", "np.argmin("),
    "overlaps assigned": ("+= dy[place]", "= dy[place]"),
    "rows counted by the height": ("divmod(winner, kw)", "divmod(winner, kh)"),
    "place transposed": ("u, v = divmod", "v, u = divmod"),
    "place not stepped down": ("i * sh + u * dh", "i + u * dh"),
    "place not stepped across": ("j * sw + v * dw", "j + v * dw"),
    "place not dilated down": ("i * sh + u * dh", "i * sh + u"),
    "place not dilated across": ("j * sw + v * dw", "j * sw + v"),
    "kernel swapped": ("(kh, kw), (sh, sw), (ph", "(kw, kh), (sh, sw), (ph"),
    "strides swapped": ("(kh, kw), (sh, sw), (ph", "(kh, kw), (sw, sh), (ph"),
    "last row dropped": (
        "np.ndindex(*dy.shape)",
        "np.ndindex(*dy.shape[:-2], output[0] - 1, output[1])",
    ),
    "last column dropped": (
        "np.ndindex(*dy.shape)",
        "np.ndindex(*dy.shape[:-1], output[1] - 1)",
    ),
    "float64": ("np.zeros_like(padded)", "np.zeros(padded.shape)"),
    **as_it_lies("x", "pool_pad(x, geometry, -"),
    **as_it_lies("dy", "dy[place]"),
}
MISTAKES["backprop.avg_pool2d_backward"] = {
    **counts(),
    **pool_crops(POOL_DX),
    "dx cropped by margins swapped": (
        POOL_DX,
        "dpadded[..., pw : pw + x.shape[-2], ph : ph + x.shape[-1]]",
    ),
    "divided by the whole window": ("/ counts[i, j]", "/ (kh * kw)"),
    "divided by the kernel's height": ("/ counts[i, j]", "/ kh"),
    "not divided": ("/ counts[i, j]", ""),
    "counts transposed": ("counts[i, j]", "counts.T.reshape(output)[i, j]"),
    "overlaps assigned": ("+= share", "= share"),
    "stride down forgotten": ("i * sh : i * sh + kh", "i : i + kh"),
    "stride across forgotten": ("j * sw : j * sw + kw", "j : j + kw"),
    "kernel swapped": ("(kh, kw), (sh, sw), (ph", "(kw, kh), (sh, sw), (ph"),
    "strides swapped": ("(kh, kw), (sh, sw), (ph", "(kh, kw), (sw, sh), (ph"),
    "only to the first pixel": (
        "i * sh + kh, j * sw : j * sw + kw",
        "i * sh + 1, j * sw : j * sw + 1",
    ),
    "last row dropped": ("np.ndindex(*output)", "np.ndindex(output[0] - 1, output[1])"),
    "last column dropped": (
        "np.ndindex(*output)",
        "np.ndindex(output[0], output[1] - 1)",
    ),
    "float64": (
        "np.zeros_like(pool_pad(x, geometry, 0.0))",
        "np.zeros(pool_pad(x, geometry, 0.0).shape)",
    ),
    **as_it_lies("dy", "dy[..., i, j, None, None]"),
}

WINDOWS = "windows[:, :, ::sh, ::sw, ::dh, ::dw]"
SLIDING = "np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(2, 3))"
MISTAKES["lowering.window_view"] = {
    "windows turned": (f"return {WINDOWS}", f"return {WINDOWS}[..., ::-1, ::-1]"),
    "windows upside down": (f"return {WINDOWS}", f"return {WINDOWS}[..., ::-1, :]"),
    "windows mirrored": (f"return {WINDOWS}", f"return {WINDOWS}[..., ::-1]"),
    "channels turned": (f"return {WINDOWS}", f"return {WINDOWS}[:, ::-1]"),
    "strides swapped": (WINDOWS, WINDOWS.replace("sh, ::sw", "sw, ::sh")),
    "stride on one axis": (WINDOWS, WINDOWS.replace("::sw", "::1")),
    "stride counted from the end": (
        f"    return {WINDOWS}",
        "    right = (windows.shape[3] - 1) % sw\n"
        f"    return {WINDOWS.replace('::sw', 'right::sw')}",
    ),
    "dilations swapped": (WINDOWS, WINDOWS.replace("dh, ::dw", "dw, ::dh")),
    "dilation one less": (
        WINDOWS,
        WINDOWS.replace("dh, ::dw", "max(dh - 1, 1), ::max(dw - 1, 1)")
        + "[..., :kh, :kw]",
    ),
    "dilation forgotten": (
        WINDOWS,
        WINDOWS.replace("dh, ::dw", "1, ::1") + "[..., :kh, :kw]",
    ),
    "steps of C order": (
        SLIDING,
        f"{SLIDING}\n"
        "    c = np.empty(padded.shape, padded.dtype).strides\n"
        "    windows = np.lib.stride_tricks.as_strided("
        "padded, windows.shape, (*c, *c[2:]))",
    ),
}
EINSUM = "            weight[filters],\n            optimize"
MISTAKES["lowering.conv2d_einsum"] = {
    **turned("weight[filters]", EINSUM),
    **margins(IMAGES),
    **biases(),
    **USED_UP,
    "strides swapped": ("g.stride, g", "g.stride[::-1], g"),
    "dilations swapped": ("g.dilation)", "g.dilation[::-1])"),
    "channels interleaved": (
        "windows[:, channels]",
        "windows[:, channels.start // weight.shape[1] :: g.groups]",
    ),
    "filters interleaved": (
        "y[:, filters] =",
        "y[:, channels.start // weight.shape[1] :: g.groups] =",
    ),
    "groups ignored": ("windows[:, channels]", "windows[:, : weight.shape[1]]"),
    "last row dropped": (RETURN, f"y[..., -1, :] = 0\n    {RETURN}"),
    "last column dropped": (RETURN, f"y[..., -1] = 0\n    {RETURN}"),
    "rows and columns swapped": ("->nfij", "->nfji"),
    "float64": ("*g.output), x.dtype)", "*g.output))"),
    "batch axis kept": (RETURN, "return y"),
    **as_it_lies("x", "pad(x if"),
    **as_it_lies("weight", "weight[filters]"),
}
MISTAKES["lowering.group_slices"] = {
    "channels interleaved": ("slice(k * c, (k + 1) * c)", "slice(k, None, groups)"),
    "filters interleaved": ("slice(k * f, (k + 1) * f)", "slice(k, None, groups)"),
    "channels of the first group": ("slice(k * c, (k + 1) * c)", "slice(c)"),
    "groups turned": (
        "slice(k * c, (k + 1) * c)",
        "slice(-(k + 1) * c, -k * c or None)",
    ),
    "last group dropped": ("range(groups)", "range(groups - 1 or 1)"),
}
MISTAKES["lowering.add_windows"] = {
    "overlaps assigned": ("] += parts", "] = parts"),
    "kernel turned": ("parts[:, :, u, v]", "parts[:, :, kh - 1 - u, kw - 1 - v]"),
    "kernel upside down": ("parts[:, :, u, v]", "parts[:, :, kh - 1 - u, v]"),
    "kernel mirrored": ("parts[:, :, u, v]", "parts[:, :, u, kw - 1 - v]"),
    "channels turned": ("parts[:, :, u, v]", "parts[:, ::-1, u, v]"),
    "dilation forgotten": ("u * dh, v * dw", "u, v"),
    "dilations swapped": ("u * dh, v * dw", "u * dw, v * dh"),
    "dilation down one less": ("u * dh, v * dw", "u * max(dh - 1, 1), v * dw"),
    "dilation across one less": ("u * dh, v * dw", "u * dh, v * max(dw - 1, 1)"),
    "stride across forgotten": ("left + sw * (ow - 1) + 1 : sw", "left + ow"),
    "stride down forgotten": ("top + sh * (oh - 1) + 1 : sh", "top + oh"),
    "last row dropped": [
        ("top + sh * (oh - 1) + 1 : sh", "top + sh * (oh - 2) + 1 : sh"),
        ("parts[:, :, u, v]", "parts[:, :, u, v, :-1]"),
    ],
    "remainder takes a gradient": (
        "    return images",
        "    end = sh * (oh - 1) + dh * (kh - 1) + 1\n"
        "    images[..., end:, :] = 1\n    return images",
    ),
    "gradients begin at one": ("np.zeros(", "np.ones("),
    "float64": ("*size), parts.dtype)", "*size))"),
}
EINSUM_PARTS = "            weight[filters],\n            upstream"
MISTAKES["lowering.conv2d_einsum_backward"] = {
    **turned("weight[filters]", EINSUM_PARTS, "dx: "),
    **turned("dweight", GRADIENTS, "dweight: "),
    **margins("images"),
    **CROPS,
    **bias_gradients("len(upstream)", "upstream.sum(axis=(0, 2, 3))"),
    "strides of windows swapped": (
        "weight.shape[2:], g.stride, g",
        "weight.shape[2:], g.stride[::-1], g",
    ),
    "strides of parts swapped": (
        "padded.shape[2:], g.stride, g",
        "padded.shape[2:], g.stride[::-1], g",
    ),
    "dilations of windows swapped": (
        "weight.shape[2:], g.stride, g.dilation",
        "weight.shape[2:], g.stride, g.dilation[::-1]",
    ),
    "dilations of parts swapped": (
        "padded.shape[2:], g.stride, g.dilation",
        "padded.shape[2:], g.stride, g.dilation[::-1]",
    ),
    "stride of parts forgotten": (
        "padded.shape[2:], g.stride, g",
        "padded.shape[2:], (1, 1), g",
    ),
    "dilation of parts forgotten": (
        "padded.shape[2:], g.stride, g.dilation",
        "padded.shape[2:], g.stride, (1, 1)",
    ),
    "dx of the last group alone": (
        "dpadded[:, channels] =",
        "dpadded[:, : weight.shape[1]] =",
    ),
    "dweight of one group": ("windows[:, channels]", "windows[:, : weight.shape[1]]"),
    "groups ignored for dx": (
        EINSUM_PARTS,
        EINSUM_PARTS.replace("filters", ": len(weight) // g.groups"),
    ),
    "dweight a mean over the batch": (
        GRADIENTS,
        GRADIENTS.replace("dweight", "dweight / len(images)"),
    ),
    "dweight of one image": (
        "windows[:, channels],\n            upstream[:, filters]",
        "windows[:1, channels],\n            upstream[:1, filters]",
    ),
    "dweight a mean over the pixels": (
        GRADIENTS,
        GRADIENTS.replace("dweight", "dweight / upstream[0, 0].size"),
    ),
    "dx in float64": ("np.zeros_like(padded)", "np.zeros(padded.shape)"),
    "dweight in float64": ("np.zeros_like(weight)", "np.zeros(weight.shape)"),
    "dx written into x": (GRADIENTS, f"x[...] = dx\n    {GRADIENTS}"),
    "dweight written into weight": (
        GRADIENTS,
        f"weight[...] = dweight\n    {GRADIENTS}",
    ),
    "dy used up": (
        GRADIENTS,
        "dbias = upstream.sum(axis=(0, 2, 3))\n    dy[...] = 0\n"
        "    return dx, dweight, dbias",
    ),
    **as_it_lies("images", "pad(images, g"),
    **as_it_lies(
        "upstream",
        "upstream[:, filters],\n            optimize=bool(optimize),\n        )\n"
        "        parts",
    ),
    **as_it_lies("weight", EINSUM_PARTS),
}
UNFOLDED = "windows.transpose(0, 1, 4, 5, 2, 3)"
ORDERS = {
    "channels last": (UNFOLDED, "windows.transpose(0, 4, 5, 1, 2, 3)"),
    "kernel transposed": (UNFOLDED, "windows.transpose(0, 1, 5, 4, 2, 3)"),
    "pixels transposed": (UNFOLDED, "windows.transpose(0, 1, 4, 5, 3, 2)"),
    "pixels before the kernel": (UNFOLDED, "windows"),
    "windows turned": (UNFOLDED, f"windows[..., ::-1, ::-1]{UNFOLDED[7:]}"),
    "windows upside down": (UNFOLDED, f"windows[..., ::-1, :]{UNFOLDED[7:]}"),
    "windows mirrored": (UNFOLDED, f"windows[..., ::-1]{UNFOLDED[7:]}"),
    "channels turned": (UNFOLDED, f"windows[:, ::-1]{UNFOLDED[7:]}"),
    "last row dropped": (
        UNFOLDED,
        "(windows * (np.arange(windows.shape[2]) < windows.shape[2] - 1)"
        f"[:, None, None, None]).astype(windows.dtype){UNFOLDED[7:]}",
    ),
}
MISTAKES["lowering.im2col"] = {
    **ORDERS,
    "margins swapped": ("else x[None], margins)", "else x[None], margins[::-1])"),
    "margin before": (
        "else x[None], margins)",
        "else x[None], [(sum(m), 0) for m in margins])",
    ),
    "odd zero first": (
        "else x[None], margins)",
        "else x[None], [m[::-1] for m in margins])",
    ),
    "margin wraps": (
        f"pad({IMAGES}, margins)",
        f"np.pad({IMAGES}, ((0, 0), (0, 0), *margins), 'wrap')",
    ),
    "strides swapped": (
        "kernel, strides, dilations)\n    rows",
        "kernel, strides[::-1], dilations)\n    rows",
    ),
    "dilations swapped": (
        "kernel, strides, dilations)\n    rows",
        "kernel, strides, dilations[::-1])\n    rows",
    ),
    "batch axis kept": (
        "return columns if x.ndim == 4 else columns[0]",
        "return columns",
    ),
    "float64": (f"{UNFOLDED}.reshape", f"{UNFOLDED}.astype(np.float64).reshape"),
    "x used up": ("    return columns", "    x[...] = 0\n    return columns"),
    **as_it_lies("x", "pad(x if"),
}
MISTAKES["lowering.conv2d"] = {
    **turned("weight", "weight.reshape(shape)"),
    **biases(),
    **USED_UP,
    "filters interleaved": (
        "weight.reshape(shape)",
        "weight.reshape(-1, g.groups, shape[2]).swapaxes(0, 1)",
    ),
    "groups turned": ("rows, columns", "rows[::-1], columns"),
    "groups ignored": ("rows, columns", "rows, columns[:, :1]"),
    "rows and columns swapped": (
        "len(weight), *g.output)",
        "len(weight), *g.output[::-1]).swapaxes(2, 3).reshape("
        "len(images), len(weight), *g.output)",
    ),
    "float64": ("np.matmul(rows", "np.matmul(rows.astype(np.float64)"),
    "batch axis kept": (RETURN, "return y"),
    "weight in the order of memory": (
        "weight.reshape(shape)",
        'weight.reshape(shape, order="A")',
    ),
    **as_it_lies("x", "images = x if"),
    **as_it_lies("weight", "weight.reshape(shape)"),
}
MISTAKES["lowering.grouped_columns"] = {
    **ORDERS,
    **margins("images"),
    "channels interleaved": (
        "    return windows",
        "    windows = np.concatenate("
        "[windows[:, k :: g.groups] for k in range(g.groups)], 1)\n"
        "    return windows",
    ),
    "strides swapped": ("g.stride, g", "g.stride[::-1], g"),
    "dilations swapped": ("g.dilation)", "g.dilation[::-1])"),
    **as_it_lies("images", "pad(images, g"),
}
MISTAKES["lowering.col2im"] = {
    "not cropped": ("images = crop(images, margins)", "pass"),
    "cropped after": (
        "crop(images, margins)",
        "images[..., :height, :width]",
    ),
    "cropped before": (
        "crop(images, margins)",
        "images[..., -height:, -width:]",
    ),
    "cropped by margins swapped": (
        "crop(images, margins)",
        "crop(images, margins[::-1])",
    ),
    "strides swapped": (
        "size, strides, dilations)\n    images",
        "size, strides[::-1], dilations)\n    images",
    ),
    "dilations swapped": (
        "size, strides, dilations)\n    images",
        "size, strides, dilations[::-1])\n    images",
    ),
    "kernel transposed": (
        "channels, *kernel, *output)",
        "channels, *kernel[::-1], *output).swapaxes(2, 3)",
    ),
    "pixels transposed": (
        "channels, *kernel, *output)",
        "channels, *kernel, *output[::-1]).swapaxes(4, 5)",
    ),
    "channels last": (
        "columns.reshape(count, channels, *kernel, *output)",
        "np.moveaxis(columns.reshape(count, *kernel, channels, *output), 3, 1)",
    ),
    "batch axis kept": (
        "return images if columns.ndim == 3 else images[0]",
        "return images",
    ),
    "columns used up": ("    return images", "    columns[...] = 0\n    return images"),
    **as_it_lies("columns", "columns.reshape(count"),
}
PRODUCTS = {
    "dweight assigned": (".sum(\n        axis=0\n    )", "[-1]"),
    "dweight of one image": (".sum(\n        axis=0\n    )", "[0]"),
    "dweight a mean over the batch": (".sum(\n        axis=0\n    )", ".mean(axis=0)"),
}
SUMMED = "return dx.reshape(x.shape), dweight.reshape(weight.shape), dbias"
ADDED = "crop(add_windows(parts, size, g.stride, g.dilation), g.padding)"
FULL = "add_windows(parts, size, g.stride, g.dilation)"
MISTAKES["lowering.conv2d_backward"] = {
    **turned("weight", "rows = weight.reshape(", "dx: "),
    **turned("dweight.reshape(weight.shape)", SUMMED, "dweight: "),
    **PRODUCTS,
    **bias_gradients("n", "dy.reshape(n, len(weight), pixels).sum(axis=(0, 2))"),
    "dx cropped after": (ADDED, f"{FULL}[..., : x.shape[-2], : x.shape[-1]]"),
    "dx cropped before": (ADDED, f"{FULL}[..., -x.shape[-2] :, -x.shape[-1] :]"),
    "dx not cropped": [
        (ADDED, FULL),
        (SUMMED, "return dx, dweight.reshape(weight.shape), dbias"),
    ],
    "dx cropped by the odd zero": (
        ADDED,
        ADDED.replace("g.padding", "[m[::-1] for m in g.padding]"),
    ),
    "strides of parts swapped": ("size, g.stride, g", "size, g.stride[::-1], g"),
    "dilations of parts swapped": ("g.dilation), g", "g.dilation[::-1]), g"),
    "stride of parts forgotten": ("size, g.stride, g", "size, (1, 1), g"),
    "dilation of parts forgotten": ("g.dilation), g", "(1, 1)), g"),
    "filters interleaved": (
        "dy.reshape(n, g.groups, filters, pixels)",
        "dy.reshape(n, filters, g.groups, pixels).swapaxes(1, 2)",
    ),
    "groups turned for dx": ("rows.swapaxes(1, 2), u", "rows[::-1].swapaxes(1, 2), u"),
    "groups turned for dweight": (
        "columns.swapaxes(2, 3)",
        "columns[:, ::-1].swapaxes(2, 3)",
    ),
    "groups ignored for dx": ("rows.swapaxes(1, 2), u", "rows[:1].swapaxes(1, 2), u"),
    "groups ignored for dweight": (
        "columns.swapaxes(2, 3)",
        "columns[:, :1].swapaxes(2, 3)",
    ),
    "dx a mean over the batch": (
        SUMMED,
        SUMMED.replace("dx.reshape(x.shape)", "dx.reshape(x.shape) / n"),
    ),
    "dx in float64": ("dcolumns.reshape(n", "dcolumns.astype(float).reshape(n"),
    "dweight in float64": (
        "columns.swapaxes(2, 3)",
        "columns.swapaxes(2, 3).astype(float)",
    ),
    "dx written into x": (SUMMED, f"x[...] = dx.reshape(x.shape)\n    {SUMMED}"),
    "dweight written into weight": (
        SUMMED,
        f"weight[...] = dweight.reshape(weight.shape)\n    {SUMMED}",
    ),
    "dy used up": (SUMMED, f"dy[...] = 0\n    {SUMMED}"),
    "dy in the order of memory": (
        "dy.reshape(n, g.groups, filters, pixels)",
        'dy.reshape((n, g.groups, filters, pixels), order="A")',
    ),
    "weight in the order of memory": (
        "weight.reshape(g.groups, filters, length)",
        'weight.reshape((g.groups, filters, length), order="A")',
    ),
    **as_it_lies("x", "images = x if"),
    **as_it_lies("weight", "rows = weight.reshape("),
    **as_it_lies("dy", "upstream = dy.reshape("),
}
MISTAKES["lowering.conv1d"] = MISTAKES["convolution.conv1d"] | {
    "x used up": ("return lines[", "x[...] = 0\n    return lines["),
}
LINE_DX = "dx[..., 0, before : before + x.shape[-1]]"
MISTAKES["lowering.conv1d_backward"] = {
    **{name: LINES[name] for name in LINES if name not in FORWARD_ONLY},
    **signal_margins(),
    "dx cropped after": (LINE_DX, "dx[..., 0, : x.shape[-1]]"),
    "dx cropped before": (LINE_DX, "dx[..., 0, -x.shape[-1] :]"),
    "dx cropped by the odd zero": (
        "before = g.padding[0][0]",
        "before = g.padding[0][1]",
    ),
    "dx not cropped": (LINE_DX, "dx[..., 0, :]"),
    "dx turned": (LINE_DX, f"{LINE_DX}[..., ::-1]"),
    "dweight turned": ("dweight[:, :, 0]", "dweight[:, :, 0, ::-1]"),
    "dbias forgotten": ("dweight[:, :, 0], dbias", "dweight[:, :, 0], 0 * dbias"),
    **as_it_lies("x", "np.pad(x, ("),
    **as_it_lies("weight", "weight[:, :, None]"),
    **as_it_lies("dy", "dy[..., None, :]"),
}
MAXIMUM = "windows.max(axis=(-2, -1))"
LAID = "geometry.kernel, geometry.stride, geometry.dilation"
MISTAKES["lowering.max_pool2d_windows"] = {
    **pool_margins(IMAGES, "-np.inf"),
    "zeros in the margin": ("-np.inf", "0.0"),
    "the least float in the margin": ("-np.inf", "np.finfo(x.dtype).min"),
    "a maximum with zero": (MAXIMUM, "windows.max(axis=(-2, -1), initial=0)"),
    "NaN ignored": (MAXIMUM, "np.fmax.reduce(windows, axis=(-2, -1))"),
    "largest magnitude": (MAXIMUM, f"abs({MAXIMUM})"),
    "strides swapped": (LAID, LAID.replace("stride", "stride[::-1]")),
    "dilations swapped": (LAID, LAID.replace("dilation", "dilation[::-1]")),
    "dilation forgotten": (LAID, LAID.replace("geometry.dilation", "(1, 1)")),
    "kernel swapped": (LAID, LAID.replace("kernel", "kernel[::-1]")),
    "last row dropped": (RETURN, f"y = y[:, :, :-1]\n    {RETURN}"),
    "float64": (MAXIMUM, "windows.max(axis=(-2, -1)).astype(np.float64)"),
    "batch axis kept": (RETURN, "return y"),
    "x used up": USED_UP["x used up"],
    **as_it_lies("x", "pool_pad(x if"),
}
PLACE = "u * dh, v * dw"
DOWN = "slice(top, top + sh * (oh - 1) + 1, sh)"
ACROSS = "slice(left, left + sw * (ow - 1) + 1, sw)"
MISTAKES["lowering.pool_slices"] = {
    "the last place first": ("np.ndindex(kh, kw)", "list(np.ndindex(kh, kw))[::-1]"),
    "columns before rows": (
        "    for u, v in np.ndindex(kh, kw):",
        "    for v, u in np.ndindex(kw, kh):",
    ),
    "kernel swapped": ("np.ndindex(kh, kw)", "np.ndindex(kw, kh)"),
    "last place dropped": ("np.ndindex(kh, kw)", "np.ndindex(kh, kw - 1 or 1)"),
    "dilation forgotten": (PLACE, "u, v"),
    "dilations swapped": (PLACE, "u * dw, v * dh"),
    "dilation one less": (PLACE, "u * max(dh - 1, 1), v * max(dw - 1, 1)"),
    "stride down forgotten": (DOWN, "slice(top, top + oh)"),
    "stride across forgotten": (ACROSS, "slice(left, left + ow)"),
    "last row dropped": (DOWN, DOWN.replace("oh - 1", "oh - 2")),
}
MISTAKES["lowering.max_pool2d"] = {
    **pool_margins("x", "-np.inf"),
    "zeros in the margin": ("-np.inf", "0.0"),
    "the least float in the margin": ("-np.inf", "np.finfo(x.dtype).min"),
    "a maximum with zero": ("padded[next(places)].copy()", "0 * padded[next(places)]"),
    "NaN ignored": ("np.maximum(", "np.fmax("),
    "first slice not copied": ("padded[next(places)].copy()", "padded[next(places)]"),
    "first place forgotten": (
        "    for place in places",
        "    y[...] = -np.inf\n    for place in places",
    ),
    "a sum": ("np.maximum(", "np.add("),
    "last row dropped": ("    return y", "    y[..., -1, :] = 0\n    return y"),
    "float64": (".copy()", ".astype(np.float64)"),
    "x used up": ("    return y", "    x[...] = 0\n    return y"),
    **as_it_lies("x", "pool_pad(x, g"),
}
POOL_DX = "dpadded[..., top : top + x.shape[-2], left : left + x.shape[-1]]"
MISTAKES["lowering.max_pool2d_backward"] = {
    **pool_margins("x", "-np.inf"),
    **pool_crops(POOL_DX),
    "dx cropped by margins swapped": ("top, left = geo", "left, top = geo"),
    "ties to every winner": ("inside[place] & ~taken", "inside[place]"),
    "taken forgotten": ("        taken |= won\n", ""),
    "only the last is taken": ("taken |= won", "taken = won"),
    "ties to the last": (
        "in pool_slices(geometry)",
        "in list(pool_slices(geometry))[::-1]",
    ),
    "the margin wins": ("inside[place] & ~taken", "~taken"),
    "NaN ignored": (" | (unknown & np.isnan(padded[place]))", ""),
    "every NaN wins": ("(unknown & np.isnan(padded[place]))", "unknown"),
    "overlaps assigned": ("dpadded[place] +=", "dpadded[place] ="),
    "float64": ("np.zeros_like(padded)", "np.zeros(padded.shape)"),
    **as_it_lies("x", "pool_pad(x, g"),
    **as_it_lies("dy", "np.where(won, dy"),
}
MISTAKES["lowering.avg_pool2d"] = {
    **counts(),
    **pool_margins("x", "0.0"),
    "divided by the whole window": (
        "y / counts",
        "y / y.dtype.type(geometry.kernel[0] * geometry.kernel[1])",
    ),
    "not divided": ("y / counts", "y"),
    "counts transposed": ("y / counts", "y / counts.T.reshape(counts.shape)"),
    "first slice not copied": ("padded[next(places)].copy()", "padded[next(places)]"),
    "first place forgotten": (".copy()", ".copy() * 0"),
    "the last place alone": ("y += padded", "y[...] = padded"),
    "float64": (".astype(x.dtype)", ""),
    "x used up": ("    return y", "    x[...] = 0\n    return y"),
    **as_it_lies("x", "pool_pad(x, g"),
}
MISTAKES["lowering.avg_pool2d_backward"] = {
    **counts(),
    **pool_crops(POOL_DX),
    "dx cropped by margins swapped": ("top, left = geo", "left, top = geo"),
    "not divided": ("dpadded[place] += share", "dpadded[place] += dy"),
    "divided by the whole window": (
        "dpadded[place] += share",
        "dpadded[place] += dy / dy.dtype.type(geometry.kernel[0] * geometry.kernel[1])",
    ),
    "overlaps assigned": ("+= share", "= share"),
    "only to the first pixel": (
        "in pool_slices(geometry)",
        "in [next(pool_slices(geometry))]",
    ),
    "float64": (
        "np.zeros_like(pool_pad(x, geometry, 0.0))",
        "np.zeros(pool_pad(x, geometry, 0.0).shape)",
    ),
    **as_it_lies("dy", "share = dy /"),
}


# The network: from layers to models.

NETWORK = json.loads((ROOT / "tests" / "network_mistakes.json").read_text("utf-8"))
for function, mistakes in NETWORK.items():
    MISTAKES[function] = {
        name: (edit["right"], edit["wrong"]) for name, edit in mistakes.items()
    }


# How a mistake is made, and how the tests of its module end.


@dataclass(frozen=True)
class Mistake:
    """A function of the package, and the pairs of texts that make it wrong."""

    function: str
    name: str
    edits: tuple = ()

    def __str__(self):
        return f"{self.function}: {self.name}"

    @property
    def module(self):
        """Return the name of the function's module."""
        return self.function.split(".")[0]

    @property
    def tested_with(self):
        """Return the modules whose tests should notice."""
        also = ALSO_SEEN_BY.get(self.function)
        return {self.module, also} if also else {self.module}

    def text(self, source):
        """Return the function's text with the mistake in it.

        Raises
        ------
        LookupError
            If the module's text isn't what the mistake was written for.
        """
        name = self.function.split(".")[1]
        sections = re.split(r"^# %%.*#(\w+)\n", source, flags=re.MULTILINE)
        right = dict(zip(sections[1::2], sections[2::2], strict=True)).get(name)
        if right is None:
            raise LookupError(f"{self}: there is no such function any more")
        text = right
        for old, new in self.edits:
            if right.count(old) != 1 or text.count(old) != 1:
                raise LookupError(
                    f"{self}: {old!r} is there {right.count(old)} times, not once; "
                    "write the mistake anew for what the function is now"
                )
            text = text.replace(old, new)
        if self.edits and text == right:
            raise LookupError(f"{self}: it changes nothing")
        return text

    def make(self):
        """Give the function, wherever it has been imported, the mistaken code."""
        module = sys.modules[f"cnnbook.{self.module}"]
        source = Path(module.__file__).read_text(encoding="utf-8")
        name = self.function.split(".")[1]
        names = dict(vars(module))
        exec(compile(self.text(source), str(self), "exec"), names)
        exchange(getattr(module, name), names[name])


def exchange(right, wrong):
    """Give a function another's code; give a class another's, method by method."""
    if not isinstance(right, type):
        right.__code__, right.__defaults__ = wrong.__code__, wrong.__defaults__
        return
    for name, value in vars(wrong).items():
        if isinstance(value, FunctionType) and name in vars(right):
            exchange(vars(right)[name], value)
        elif not name.startswith("__"):
            setattr(right, name, value)


def every_mistake():
    """Return the mistakes of all functions."""
    return [
        Mistake(function, name, (edits,) if isinstance(edits, tuple) else tuple(edits))
        for function, mistakes in MISTAKES.items()
        for name, edits in mistakes.items()
    ]


class Trial:
    """A plugin that runs, for each of some mistakes, the tests until one notices."""

    def __init__(self, mistakes, sender):
        self.mistakes = mistakes
        self.sender = sender
        self.failures, self.passed = [], 0
        self.noticed = {}  # a test that noticed -> the functions with the mistakes

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        """Put the tests first that notice most, soon."""
        items.sort(
            key=lambda item: (
                "recorded" not in item.name,
                "layout" not in item.name,
                "refuse" in item.name or hasattr(item.function, "hypothesis"),
            )
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        """Try every mistake, where that can be done in a process of its own."""
        if session.testsfailed:
            return None  # pytest says what it couldn't collect
        gc.freeze()
        for mistake in self.mistakes:
            if not FORKS:
                self.run(session, mistake)
                continue
            reading, writing = os.pipe()
            process = os.fork()
            if not process:
                signal.alarm(LIMIT)
                os.write(writing, self.run(session, mistake).encode())
                os._exit(0)
            os.close(writing)
            with open(reading, encoding="utf-8") as said:
                self.noticed.setdefault(said.read(), set()).add(mistake.function)
            _, status = os.waitpid(process, 0)
            if status:
                self.sender.send((mistake, f"its process ended with {status}"))
        return True

    def run(self, session, mistake):
        """Make a mistake, run its tests, send how they end; return which noticed."""
        self.failures, self.passed = [], 0
        try:
            mistake.make()
            names = [f"test_{module}.py" for module in mistake.tested_with]
            items = [item for item in session.items if item.path.name in names]
            items.sort(key=lambda item: self.promise(item, mistake), reverse=True)
            for item, following in zip(items, [*items[1:], None], strict=True):
                hook = item.ihook.pytest_runtest_protocol
                hook(item=item, nextitem=following)
                if len(self.failures) >= ENOUGH or self.shown(mistake):
                    break
            verdict = self.verdict(mistake)
        except Exception as error:  # the mistake itself is mistaken
            verdict = f"{type(error).__name__}: {error}"
        self.sender.send((mistake, verdict))
        return self.failures[-1][0] if self.failures else ""

    def promise(self, item, mistake):
        """Return how likely a test notices, from what it noticed before."""
        functions = self.noticed.get(item.name, ())
        return bool(functions) + (mistake.function in functions)

    def pytest_runtest_logreport(self, report):
        """Count the tests that pass."""
        self.passed += report.when == "call" and report.passed

    def pytest_exception_interact(self, node, call):
        """Note which test failed, and why."""
        error = call.excinfo.value
        errors = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        kinds = [kind.__name__ for e in errors for kind in type(e).__mro__[:-3]]
        self.failures.append((node.name, call.when, kinds))

    def shown(self, mistake):
        """Return whether a test has shown that the numbers are wrong.

        Or that a promised error isn't raised, or that NumPy warns of a number that is
        none. After a swap, and between layers, shapes may not fit any more.
        """
        wanted = {"AssertionError", "Failed", "Warning"}
        if "swapped" in mistake.name or mistake.function in NETWORK:
            wanted |= {"ValueError", "IndexError"}
        return any(wanted & set(kinds) for *_, kinds in self.failures)

    def verdict(self, mistake):
        """Return "caught", "survived", or what else happened."""
        if self.passed and not self.failures:
            return "survived"
        slips = any(SLIPS & set(kinds) for *_, kinds in self.failures)
        called = all(when == "call" for _, when, _ in self.failures)
        if self.shown(mistake) and called and not slips:
            return "caught"
        return f"no comparison failed; {self.passed} passed, but {self.failures}"


class NoPyTorch:
    """A finder that hides PyTorch: what was recorded of it must do."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Refuse PyTorch, and leave every other module to others."""
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def try_mistakes(mistakes, sender, output):
    """Try some mistakes in this process, which is only there for that."""
    with open(output, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.meta_path.insert(0, NoPyTorch)
    os.chdir(ROOT)
    hypothesis.settings.register_profile(
        "mistakes",
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],  # no shrinking
    )
    modules = sorted({m for mistake in mistakes for m in mistake.tested_with})
    pytest.main(
        [
            *(f"tests/test_{module}.py" for module in modules),
            "--quiet",
            "--capture=no",
            "--assert=plain",
            "--tb=native",
            "-p_hypothesis_pytestplugin",
            "-pno:cacheprovider",
            "-pno:unraisableexception",
            "--hypothesis-profile=mistakes",
            f"--basetemp={output}.folder",
        ],
        plugins=[Trial(mistakes, sender)],
    )


class Trials:
    """Processes that try mistakes, a few at a time; what they say is kept."""

    def __init__(self, folder, mistakes):
        self.folder = folder
        self.verdicts = {}
        self.running = {}
        shares = WORKERS if FORKS else len(mistakes)
        self.waiting = [mistakes[k::shares] for k in range(shares)][::-1]
        self.context = multiprocessing.get_context("spawn")

    def verdict(self, mistake):
        """Return what the tests say of a mistake, waiting for it if need be."""
        while mistake not in self.verdicts:
            while self.waiting and len(self.running) < WORKERS:
                self.start(self.waiting.pop())
            ready = connection.wait(list(self.running), 2 * LIMIT)
            for receiver in ready:
                self.receive(receiver)
            for process, *_ in [] if ready else self.running.values():
                process.kill()  # nothing ends: receive will say so
        return self.verdicts[mistake]

    def start(self, mistakes):
        """Start a process that tries some mistakes."""
        receiver, sender = self.context.Pipe(duplex=False)
        output = self.folder / f"{len(self.waiting)}.txt"
        arguments = mistakes, sender, str(output)
        process = self.context.Process(target=try_mistakes, args=arguments)
        process.start()
        sender.close()
        self.running[receiver] = process, mistakes, output

    def receive(self, receiver):
        """Keep what a process says; if it has ended, say so for what it left out."""
        process, mistakes, output = self.running[receiver]
        try:
            mistake, verdict = receiver.recv()
            self.verdicts[mistake] = verdict
        except EOFError:
            process.join()
            receiver.close()
            del self.running[receiver]
            said = output.read_text("utf-8", "replace")[-3000:]
            for mistake in mistakes:
                self.verdicts.setdefault(mistake, f"not tried; pytest said:\n{said}")

    def stop(self):
        """End what still runs."""
        for receiver, (process, *_) in self.running.items():
            process.kill()
            process.join()
            receiver.close()


@pytest.fixture(scope="session")
def trials(request, tmp_path_factory):
    """Return the trials of the mistakes that were asked for."""
    asked = [
        item.callspec.params["mistake"]
        for item in request.session.items
        if "trials" in getattr(item, "fixturenames", ())
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        trials = Trials(tmp_path_factory.mktemp("trials"), asked)
        yield trials
        trials.stop()


UNTOUCHED = {function.split(".")[0]: function for function in MISTAKES}
NOT_CAUGHT = {
    "the same in other words": ("    return 0 + y\n", "survived"),
    "a slip": ("    return yy\n", "no comparison failed; .*NameError"),
    "not Python": ("    return return y\n", "SyntaxError"),
    "the end of the process": ("    __import__('os')._exit(3)\n", "ended|not tried"),
}


@pytest.mark.parametrize(
    "mistake", [Mistake(name, "none") for name in UNTOUCHED.values()], ids=str
)
def test_the_tests_pass_where_there_is_no_mistake(trials, mistake):
    """So what fails below fails for the mistake."""
    verdict = trials.verdict(mistake)
    assert verdict == "survived", verdict


@pytest.mark.parametrize("mistake", every_mistake(), ids=str)
def test_the_ordinary_tests_catch(trials, mistake):
    """A comparison fails in the tests of the module."""
    verdict = trials.verdict(mistake)
    assert verdict == "caught", verdict


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        (Mistake("pooling.max_pool2d", name, (("    return y\n", text),)), expected)
        for name, (text, expected) in NOT_CAUGHT.items()
    ],
    ids=list(NOT_CAUGHT),
)
def test_what_is_no_mistake_does_not_count_as_caught(trials, mistake, expected):
    """Only a failed comparison counts, not a change that can't run."""
    assert re.match(f".*({expected})", trials.verdict(mistake), re.DOTALL)


@pytest.mark.parametrize(
    ("function", "edit", "expected"),
    [
        ("pooling.max_pool2d", ("no such text", ""), "is there 0 times"),
        ("pooling.max_pool2d", ("geometry", ""), r"is there [2-9] times"),
        ("pooling.max_pool2d", ("return y", "return y"), "changes nothing"),
        ("pooling.min_pool2d", ("return y", ""), "no such function"),
    ],
)
def test_a_mistake_that_no_longer_fits_says_so(function, edit, expected):
    """The text must be there, once, and the message names the mistake."""
    source = (ROOT / "cnnbook" / "pooling.py").read_text(encoding="utf-8")
    mistake = Mistake(function, "a name", (edit,))
    with pytest.raises(LookupError, match=f"^{function}: a name: .*{expected}"):
        mistake.text(source)


def test_every_function_has_mistakes():
    """A new function of these modules needs mistakes of its own."""
    written = set()
    for module in MODULES:
        source = (ROOT / "cnnbook" / f"{module}.py").read_text(encoding="utf-8")
        names = re.findall(r"^def (\w+)", source, re.MULTILINE)
        written |= {f"{module}.{name}" for name in names}
    checks = {"shapes.as_sizes", "convolution.check_pixels", "backprop.check_upstream"}
    exempt = checks | {"shapes.parameter_count"}
    assert set(MISTAKES) - set(NETWORK) == written - exempt
