"""Well-known mistakes, put into the library one at a time: its tests must fail.

Each mistake changes the text of a function. In a process of its own, the function
gets the changed text's code, and the ordinary tests of its module run: against
recorded results, loops, SciPy, central differences and adjoints. One of these must
fail, and none of them was written for a mistake. Before that, all of them run without
a mistake, and show which functions they call: those that call the mistaken one, soon,
and that have noticed its other mistakes, come first.
"""

import ast
import contextlib
import functools
import gc
import inspect
import itertools
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from types import FunctionType

import hypothesis
import numpy as np
import oracle_cases
import pytest
import test_fast
import test_threads

from cnnbook import (
    convolution,
    fast,
    layers,
    losses,
    lowering,
    optimizers,
    pooling,
    threads,
    training,
)

ROOT = Path(__file__).resolve().parent.parent
MODULES = (
    "shapes",
    "convolution",
    "pooling",
    "backprop",
    "lowering",
    "threads",
    "fast",
)
HERE = Path(__file__)
# Checked by what is at the end of this file, and by a few tests of their own.
CHECKED_HERE = {
    "fast": (
        "test_every_operation_equals_recorded_pytorch",
        "test_convolutions_take_any_layout",
        "test_poolings_take_any_layout",
    ),
    "threads": (),
}
LIMIT = 120  # seconds within which the tests of a module must end
ENOUGH = 100  # failures, if none of them is that of a comparison
# Elsewhere forking isn't there, or isn't safe: each process tries one mistake only.
FORKS = sys.platform == "linux"
AT_ONCE = os.cpu_count() or 2  # mistakes that are tried at a time
# The loops cut their last windows short where the margin is too narrow.
ALSO_SEEN_BY = {"pooling.pool_pad": "lowering"}
# What a slip in the text of a mistake raises; it would prove nothing.
SLIPS = {"ImportError", "NameError", "SyntaxError"}

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

BIAS = "bias.reshape(g.groups, 1, f, 1)"
BIAS_EACH = "bias.reshape(g.groups, 1, f, 1, 1)"
LOOK = "            if bias is not None:\n                part"
WEIGHT = "weight.reshape(g.groups, f, c, kh, kw)"
DEALT = "weight.reshape(f, g.groups, c, kh, kw).swapaxes(0, 1)"
RANGE = "pieces(oh, oh, duration(weight, g, n))"
TAPS = "used.start * depth : used.stop * depth"
FIRST_TAPS = ": (used.stop - used.start) * depth"
EDGES = "part[:, :, :, : to.start] = part[:, :, :, to.stop :] = 0"
CHANNELS = "images.reshape(height, g.groups, c, width, n).swapaxes(0, 1)"
WIDE = "images.reshape(height, g.groups, c, width * n).swapaxes(0, 1)"
MISTAKES["fast.planes"] = {
    "rows and columns swapped": ("(2, 1, 3, 0)", "(3, 1, 2, 0)"),
    "images before columns": ("(2, 1, 3, 0)", "(2, 1, 0, 3)"),
    "channels first": ("(2, 1, 3, 0)", "(1, 2, 3, 0)"),
    "gaps": (
        "np.ascontiguousarray(images.transpose(2, 1, 3, 0))",
        "images.transpose(2, 1, 3, 0)",
    ),
    "always a copy": ("np.ascontiguousarray(", "np.array("),
    "float64": ("3, 0))", "3, 0), np.float64)"),
    **as_it_lies("x", "x if x.ndim == 4"),
}
MISTAKES["fast.unplanes"] = {
    "rows and columns swapped": ("(3, 1, 0, 2)", "(3, 1, 2, 0)"),
    "the same way again": ("(3, 1, 0, 2)", "(2, 1, 3, 0)"),
    "batch axis kept": ("images if like.ndim == 4 else images[0]", "images"),
    "batch axis lost": (
        "like.ndim == 4",
        "like.ndim == 4 and len(images) > 1",
    ),
    "a copy": ("(3, 1, 0, 2)", "(3, 1, 0, 2).copy()"),
}
MISTAKES["fast.axes"] = {
    "padding after": ("p[0] if", "p[1] if"),
    "padding of both sides": ("p[0] if", "sum(p) if"),
    "height and width swapped": (
        "return Axis(*height), Axis(*width)",
        "return Axis(*width), Axis(*height)",
    ),
    "strides swapped": ("zip(g.stride,", "zip(g.stride[::-1],"),
    "dilations swapped": ("g.dilation, strict", "g.dilation[::-1], strict"),
    "margins swapped": ("in g.padding)", "in g.padding[::-1])"),
    "stride taken for dilation": ("g.dilation, strict", "g.stride, strict"),
    "dilation taken for stride": ("zip(g.stride,", "zip(g.dilation,"),
}
MISTAKES["fast.meeting"] = {
    "padding added": ("- axis.before", "+ axis.before"),
    "padding forgotten": (" - axis.before", ""),
    "dilation forgotten": ("tap * axis.dilation", "tap"),
    "dilation one more": ("tap * axis.dilation", "tap * (axis.dilation + 1)"),
    "dilation one less": ("tap * axis.dilation", "tap * max(axis.dilation - 1, 1)"),
    "first rounded down": ("-(shift // axis.stride)", "-shift // axis.stride"),
    "first one later": ("-(shift // axis.stride)", "-(shift // axis.stride) + 1"),
    "last one less": ("(size - 1 - shift)", "(size - 2 - shift)"),
    "last output left out": ("outputs.stop - 1, (", "outputs.stop - 2, ("),
    "stride of the inputs forgotten": (
        "slice(begin, end, axis.stride)",
        "slice(begin, begin + count)",
    ),
    "begin without the stride": ("first * axis.stride + shift", "first + shift"),
    "outputs counted from zero": (
        "slice(first - outputs.start, first - outputs.start + count)",
        "slice(first, first + count)",
    ),
    "less than nothing": ("max(0, last - first + 1)", "last - first + 1"),
}
MISTAKES["fast.geometry"] = {
    "options left out": ("repr(options)", "len(options)"),
    "one option left out": ("repr(options)", "repr(options[1:])"),
    "whole numbers like others": (
        "repr(options)",
        "str([float(o) if isinstance(o, int) else o for o in options])",
    ),
    "shapes left out": ("find, shapes, repr", "find, len(shapes), repr"),
    "shape of the bias left out": ("in arrays)", "in arrays[:2])"),
    "images left out": ("else array.shape for", "else array.shape[1:] for"),
    "rule left out": ("key = find, shapes", "key = shapes"),
    "without end": (">= 1000", ">= 10**9"),
    "never found again": ("if key not in GEOMETRIES:", "if True:"),
}
MISTAKES["fast.lower"] = {
    "not cleared": (EDGES, "pass"),
    "not cleared before": (EDGES, "part[:, :, :, to.stop :] = 0"),
    "not cleared after": (EDGES, "part[:, :, :, : to.start] = 0"),
    "edge repeated": (EDGES, EDGES.replace("= 0", "= grouped[:, :, :, :1]")),
    "channels interleaved": (
        CHANNELS,
        "images.reshape(height, c, g.groups, width, n).transpose(2, 0, 1, 3, 4)",
    ),
    "columns counted from zero": (
        "width, axis, columns)",
        "width, axis, slice(0, count))",
    ),
    "axes swapped": ("axes(g)[1]", "axes(g)[0]"),
    "kernel mirrored": ("lowered[:, :, v]", "lowered[:, :, kw - 1 - v]"),
    "last tap left out": ("range(kw)", "range(kw - 1 or 1)"),
    "channels before taps": (
        "return lowered.reshape",
        "return np.ascontiguousarray(lowered.swapaxes(2, 3)).reshape",
    ),
    "float64": ("empty(shape, images.dtype)", "empty(shape, np.float64)"),
}
ABOVE = "-(top // axis.dilation)"
BELOW = "-((top - height) // axis.dilation)"
MISTAKES["fast.runs"] = {
    "one tap too few above": (
        ABOVE,
        f"{ABOVE} + (top < 0 and top > -height)",
    ),
    "one tap too few below": (BELOW, "(height - 1 - top) // axis.dilation"),
    "dilation above forgotten": (ABOVE, "-top"),
    "dilation below forgotten": (BELOW, "(height - top)"),
    "rounded the other way above": (ABOVE, "-top // axis.dilation"),
    "taps beyond the kernel": (f"min(taps, {BELOW})", BELOW),
    "less than nothing": (f"max(first, min(taps, {BELOW}))", f"min(taps, {BELOW})"),
    "stride forgotten": ("output * axis.stride", "output"),
    "padding forgotten": (" - axis.before", ""),
    "padding added": ("- axis.before", "+ axis.before"),
    "first row left out": ("range(start, stop)", "range(start + 1, stop)"),
    "last row left out": ("range(start, stop)", "range(start, stop - 1)"),
    "rows counted from zero": ("range(start, stop)", "range(stop - start)"),
    "too many rows at once": (" and output - found[-1][0] < most", ""),
    "one row more at once": ("< most:", "<= most:"),
    "one row fewer at once": ("< most:", "< most - 1:"),
    "row by row": ("if found and ", "if False and "),
    "other taps in one run": ("found[-1][2:] == [first, last] and ", ""),
    "other last taps in one run": (
        "found[-1][2:] == [first, last]",
        "found[-1][2] == first",
    ),
    "other first taps in one run": (
        "found[-1][2:] == [first, last]",
        "found[-1][3] == last",
    ),
    "a run's last row forgotten": ("found[-1][1] += 1", "pass"),
    "a run begins with two": ("[output, output + 1,", "[output, output + 2,"),
}
STEPPED = "(across, down * axis.stride, down * axis.dilation, along, step)"
MISTAKES["fast.stacks"] = {
    "stride forgotten": (STEPPED, STEPPED.replace("axis.stride", "1")),
    "dilation forgotten": (STEPPED, STEPPED.replace("axis.dilation", "1")),
    "dilation one less": (
        STEPPED,
        STEPPED.replace("axis.dilation", "max(axis.dilation - 1, 1)"),
    ),
    "stride and dilation swapped": (
        STEPPED,
        "(across, down * axis.dilation, down * axis.stride, along, step)",
    ),
    "steps of another layout": (
        STEPPED,
        STEPPED.replace("across", "down * height"),
    ),
    "too many rows at once": ("*span, most)", "*span, 10**9)"),
    "row by row": ("*span, most)", "*span, 1)"),
    "the first rows for all": (
        "span = outputs.start, outputs.stop",
        "span = 0, outputs.stop - outputs.start",
    ),
    "the last row of the source left out": ("runs(height,", "runs(height - 1,"),
    "rows counted from zero": (
        "slice(start - outputs.start, end - outputs.start)",
        "slice(start, end)",
    ),
    "last row left out": (
        "span = outputs.start, outputs.stop",
        "span = outputs.start, outputs.stop - 1",
    ),
    "first row left out": (
        "span = outputs.start, outputs.stop",
        "span = outputs.start + 1, outputs.stop",
    ),
    "kernel upside down": (
        "            ).reshape(shape)",
        "            )[:, :, ::-1].reshape(shape)",
    ),
    "taps behind the numbers": (
        "            ).reshape(shape)",
        "            ).swapaxes(2, 3).reshape(shape)",
    ),
    "taps counted from the first": (
        "slice(first, stop), stack",
        "slice(0, stop - first), stack",
    ),
    "first tap's row": (" + first * axis.dilation", " + first"),
}
CUT_UP = "array.reshape(*shape, count, n // count).swapaxes(-2, -3)"
MISTAKES["fast.cut"] = {
    "axis not swapped back": (".swapaxes(-2, -3)", ""),
    "axes behind one another": (".swapaxes(-2, -3)", ".swapaxes(-1, -3)"),
    "columns dealt out": (
        CUT_UP,
        "np.moveaxis(array.reshape(*shape, n // count, count), -1, -3)",
    ),
    "blocks turned": (CUT_UP, f"{CUT_UP}[..., ::-1, :, :]"),
    "columns of a block turned": (CUT_UP, f"{CUT_UP}[..., ::-1]"),
    "a copy": (CUT_UP, f"{CUT_UP}.copy()"),
    "never cut": ("    *shape, n", "    count = 1\n    *shape, n"),
}
MISTAKES["fast.multiply"] = {
    "never cut": ("if count > 1:", "if False:"),
    "cut as the rows need": ("stack.shape[-1], math", "stack.shape[-2], math"),
    "the work of one row": ("math.prod(matrix.shape[-2:])", "matrix.shape[-1]"),
    "the work of all matrices": ("matrix.shape[-2:]", "matrix.shape"),
    "blocks too narrow": (", 64)", ", 1)"),
    "blocks too wide": (", 64)", ", 128)"),
    "matrices of the first blocks": ("matrix[..., None, :, :]", "matrix"),
    "blocks mixed up": ("cut(stack, count), cut", "cut(stack, count)[:, :, ::-1], cut"),
    "blocks of the output mixed up": (
        "cut(out, count)",
        "cut(out, count)[..., ::-1, :, :]",
    ),
    "written to a copy": ("cut(out, count)", "cut(out.copy(), count)"),
    "matrix turned": ("product(matrix, s", "product(matrix[..., ::-1], s"),
}
MISTAKES["fast.gather"] = {
    "kernel transposed": ("(0, 1, 3, 4, 2)", "(0, 1, 4, 3, 2)"),
    "channels before taps": (f"{WEIGHT}.transpose(0, 1, 3, 4, 2)", WEIGHT),
    "kernel turned": (WEIGHT, f"{WEIGHT}[..., ::-1, ::-1]"),
    "kernel upside down": (WEIGHT, f"{WEIGHT}[..., ::-1, :]"),
    "kernel mirrored": (WEIGHT, f"{WEIGHT}[..., ::-1]"),
    "filters interleaved": (WEIGHT, DEALT),
    "groups turned": (WEIGHT, f"{WEIGHT}[::-1]"),
    "last chunk left out": (
        "pieces(ow, most)",
        "(pieces(ow, most)[:-1] or [slice(0, 1)])",
    ),
    "first rows left out": (RANGE, f"{RANGE}[1:]"),
    "first taps at every edge": (TAPS, FIRST_TAPS),
    "bias forgotten": ("if bias is not None:", "if False:"),
    "products of the first rows": ("part[:, o])", "part[:, : o.stop - o.start])"),
    "bias once per range of rows": (
        "            if bias is not None:\n                part +=",
        "                if bias is not None:\n                    part +=",
    ),
    "bias once per row of the kernel": (BIAS, f"kh * {BIAS}"),
    "one bias for all": (BIAS, "bias[0]"),
    "biases turned": (BIAS, BIAS.replace("bias", "bias[::-1]")),
}
MISTAKES["fast.duration"] = {
    "batch forgotten": ("* n * len(weight)", "* len(weight)"),
    "filters forgotten": ("* n * len(weight)", "* n"),
    "outputs forgotten": ("math.prod(g.output) * n", "n"),
    "kernel forgotten": ("math.prod(weight.shape[1:])", "1"),
    "rows of the kernel forgotten": ("weight.shape[1:]", "weight.shape[::3]"),
}
MISTAKES["fast.gathers"] = {
    "stride down": ("g.stride[1]", "g.stride[0]"),
    "stride forgotten": ("g.stride[1] > 1 or ", ""),
    "the other way round": ("< 2 * len(weight)", ">= 2 * len(weight)"),
    "groups forgotten": ("g.groups * math", "math"),
    "columns taken for rows": ("shape[1:3]", "shape[1::2]"),
    "at equal cost": ("< 2 * len(weight)", "<= 2 * len(weight)"),
}
MISTAKES["fast.spread"] = {
    "kernel transposed": ("(0, 4, 1, 3, 2)", "(0, 3, 1, 4, 2)"),
    "channels before taps": ("(0, 4, 1, 3, 2)", "(0, 4, 1, 2, 3)"),
    "filters before taps": ("(0, 4, 1, 3, 2)", "(0, 1, 4, 3, 2)"),
    "kernel upside down": (WEIGHT, f"{WEIGHT}[..., ::-1, :]"),
    "kernel mirrored": ("for v in range(kw)]", "for v in range(kw)[::-1]]"),
    "filters interleaved": (WEIGHT, DEALT),
    "channels interleaved": (
        WIDE,
        "images.reshape(height, c, g.groups, width * n).transpose(2, 0, 1, 3)",
    ),
    "not cleared": ("0 if bias is None", "part if bias is None"),
    "bias forgotten": (f"0 if bias is None else {BIAS_EACH}", "0"),
    "bias once per tap": (BIAS_EACH, f"kw * {BIAS_EACH}"),
    "one bias for all": (BIAS_EACH, "bias[0]"),
    "biases turned": (BIAS_EACH, BIAS_EACH.replace("bias", "bias[::-1]")),
    "first rows left out": (
        "pieces(oh, most, duration(weight, g, n))",
        "pieces(oh, most, duration(weight, g, n))[1:]",
    ),
    "axes swapped": ("(rows_axis, columns_axis) =", "(columns_axis, rows_axis) ="),
}
MISTAKES["fast.add_products"] = {
    "assigned": ("+= by_tap", "= by_tap"),
    "first taps at every edge": (
        "used.start * each : used.stop * each",
        ": (used.stop - used.start) * each",
    ),
    "last tap left out": ("(pairs if", "(pairs[:-1] if"),
    "taps turned": ("by_tap[:, :, v, ", "by_tap[:, :, -1 - v, "),
    "filters before taps": [
        (
            "len(pairs), part.shape[2], -1",
            "part.shape[2], len(pairs), -1",
        ),
        ("by_tap[:, :, v, :, source]", "by_tap[:, :, :, v, source]"),
    ],
    "filters turned": ("by_tap[:, :, v, :, source]", "by_tap[:, :, v, ::-1, source]"),
    "added at the first columns": (
        "part[:, o, :, to]",
        "part[:, o, :, : by_tap[0, 0, 0, 0, source].shape[0]]",
    ),
    "the first columns added": (
        "by_tap[:, :, v, :, source]",
        "by_tap[:, :, v, :, : part[0, 0, 0, to].shape[0]]",
    ),
}
MISTAKES["fast.convolve"] = {
    "bias forgotten": ("way(images, weight, bias,", "way(images, weight, None,"),
    "kernel turned": ("way(images, weight,", "way(images, weight[..., ::-1, ::-1],"),
    "images turned": ("way(images,", "way(images[..., ::-1],"),
    "rows and columns swapped": (
        "(g.output[0], len(weight), g.output[1],",
        "(g.output[1], len(weight), g.output[0],",
    ),
    "float64": ("empty(shape, images.dtype)", "empty(shape, np.float64)"),
    "nothing done": ("    way(images", "    0 and way(images"),
}
DONE = "    return unplanes(convolve(planes(x), weight, bias, g), x)"
STRIDES = "stride, padding, dilation, groups, 2)"
MISTAKES["fast.conv2d"] = {
    **turned("weight", DONE),
    "bias forgotten": ("weight, bias, g), x)", "weight, None, g), x)"),
    "biases turned": (
        "weight, bias, g), x)",
        "weight, None if bias is None else bias[::-1], g), x)",
    ),
    "stride and dilation swapped": (
        STRIDES,
        "dilation, padding, stride, groups, 2)",
    ),
    "groups forgotten in the layout": (
        "weight, bias, g), x)",
        "np.roll(weight, g.groups - 1, 0), bias, g), x)",
    ),
    "batch axis kept": ("bias, g), x)", "bias, g), x if x.ndim == 4 else x[None])"),
    "x used up": (
        DONE,
        f"{DONE.replace('return', 'y =')}\n    x[...] = 0\n    return y",
    ),
    "float64": ("planes(x)", "planes(x.astype(float))"),
    **as_it_lies("x", "planes(x)"),
    **as_it_lies("weight", "weight, bias, g), x)"),
}
ADDED_UP = "products.sum(axis=(1, 2))"
BLOCKS = "part[:, o].reshape(*shape, n // count, f)"
DBIAS = "rows.sum(axis=(1, 2))"
OVER_ROWS = "upstream.sum(axis=0)"
MISTAKES["fast.weight_gradients"] = {
    "kernel transposed": ("(0, 4, 3, 1, 2)", "(0, 4, 3, 2, 1)"),
    "kernel upside down": ("by_tap.transpose", "by_tap[:, ::-1].transpose"),
    "kernel mirrored": ("by_tap.transpose", "by_tap[:, :, ::-1].transpose"),
    "channels turned": ("by_tap.transpose", "by_tap[:, :, :, ::-1].transpose"),
    "filters interleaved": (
        "upstream[:, :, columns].reshape(shape).transpose(1, 0, 3, 2)",
        "upstream[:, :, columns].reshape(oh, f, g.groups, -1).transpose(2, 0, 3, 1)",
    ),
    "last chunk left out": (
        "pieces(ow, most):",
        "(pieces(ow, most)[:-1] or [slice(0, 1)]):",
    ),
    "overlaps assigned": ("sums[k, :, taken] +=", "sums[k, :, taken] ="),
    "rows of a range not added": (ADDED_UP, "products[:, -1].sum(axis=1)"),
    "the first block alone": (ADDED_UP, "products[:, :, 0].sum(axis=1)"),
    "the last block alone": (ADDED_UP, "products[:, :, -1].sum(axis=1)"),
    "a mean over the blocks": (ADDED_UP, "products.mean(axis=2).sum(axis=1)"),
    "blocks turned": (BLOCKS, f"{BLOCKS}[:, :, ::-1]"),
    "blocks dealt out": (
        BLOCKS,
        "part[:, o].reshape(*shape[:2], n // count, count, f).swapaxes(2, 3)",
    ),
    "blocks of the first rows": (BLOCKS, BLOCKS.replace("o]", ": o.stop - o.start]")),
    "never cut": ("blocks(n, taps * f, 256)", "1"),
    "blocks too short": ("taps * f, 256)", "taps * f, 1)"),
    "blocks too long": ("taps * f, 256)", "taps * f, 512)"),
    "the work of one filter": ("taps * f, 256)", "taps, 256)"),
    "first range of rows alone": ("sums.sum(axis=0)", "sums[0]"),
    "a mean over the ranges": ("sums.sum(axis=0)", "sums.mean(axis=0)"),
    "first taps at every edge": (
        "slice(used.start * depth, used.stop * depth)",
        "slice((used.stop - used.start) * depth)",
    ),
    "the first rows of dy": ("dy[:, by_rows[k]]", "dy"),
    "dweight in float64": ("kh * depth, f), images.dtype)", "kh * depth, f))"),
    "dbias a mean": (DBIAS, "rows.mean(axis=(1, 2))"),
    "dbias of one row": (OVER_ROWS, "upstream[0]"),
    "dbias of one column": (DBIAS, "rows[:, 0].sum(axis=1)"),
    "dbias of one image": (DBIAS, "rows[..., 0].sum(axis=1)"),
    "dbias in float64": (DBIAS, DBIAS.replace("axis", "dtype=float, axis")),
    "dbias turned": (DBIAS, f"{DBIAS}[::-1]"),
}
MISTAKES["fast.input_gradients"] = {
    "kernel not turned": ("met[::-1]]", "met]"),
    "kernel turned twice": ("met[::-1]]", "met[::-1][::-1]]"),
    "kernel mirrored": ("for v in range(kw)]", "for v in range(kw)[::-1]]"),
    "channels before taps": ("(0, 4, 2, 3, 1)", "(0, 2, 4, 3, 1)"),
    "channels turned": (
        "by_tap[:, :, :, met[::-1]]",
        "by_tap[:, :, ::-1, met[::-1]]",
    ),
    "filters interleaved": (
        "upstream.reshape(oh, g.groups, f, ow * n).swapaxes(0, 1)",
        "upstream.reshape(oh, f, g.groups, ow * n).transpose(2, 0, 1, 3)",
    ),
    "not cleared": ("    dx[...] = 0\n", ""),
    "phases without the padding": (
        "(phase + before - u * dilation) %",
        "(phase - u * dilation) %",
    ),
    "phases without the dilation": (
        "(phase + before - u * dilation) %",
        "(phase + before - u) %",
    ),
    "phases turned": (
        "(phase + before - u * dilation) %",
        "(phase + before + u * dilation) %",
    ),
    "phases mixed up": ("jobs += [(phase,", "jobs += [(stride - 1 - phase,"),
    "first phase alone": ("range(min(stride, height))", "range(1)"),
    "last phase left out": (
        "range(min(stride, height))",
        "range(min(stride, height) - 1 or 1)",
    ),
    "stride one more in the phases": (
        "dx[phase::stride]",
        "dx[phase :: stride + (stride > 1)]",
    ),
    "taps one apart": (
        "(met[1] - met[0]) * dilation // stride if len(met) > 1 else 1",
        "1",
    ),
    "dilation between taps forgotten": (
        "(met[1] - met[0]) * dilation // stride if",
        "((met[1] - met[0]) // stride or 1) if",
    ),
    "padding of the taps one more": ("Axis(1, -first,", "Axis(1, 1 - first,"),
    "the first tap's place": ("met[-1] * dilation) //", "met[0] * dilation) //"),
    "rows counted from zero": (
        "dx[phase::stride][rows]",
        "dx[phase::stride][: rows.stop - rows.start]",
    ),
    "first rows left out": ("for rows in cuts]", "for rows in cuts[1:]]"),
    "float64": ("width, n), upstream.dtype)", "width, n), np.float64)"),
}
TRIPLE = "return dx, *gradients"
LIKE = "upstream, x.shape[-2:], weight, g), x)"
MISTAKES["fast.conv2d_backward"] = {
    **turned("weight", LIKE, "dx: "),
    "dweight turned": (
        TRIPLE,
        "return dx, gradients[0][..., ::-1, ::-1], gradients[1]",
    ),
    "dweight mirrored": (TRIPLE, "return dx, gradients[0][..., ::-1], gradients[1]"),
    "dweight a mean over the batch": (
        TRIPLE,
        "return dx, gradients[0] / upstream.shape[3], gradients[1]",
    ),
    "dbias forgotten": (TRIPLE, "return dx, gradients[0], 0 * gradients[1]"),
    "dx never": ("if input_gradient:", "if False:"),
    "dx unasked": ("if input_gradient:", "if True:"),
    "dx written into x": (TRIPLE, f"x[...] = 0 if dx is None else dx\n    {TRIPLE}"),
    "dweight written into weight": (
        TRIPLE,
        f"weight[...] = gradients[0]\n    {TRIPLE}",
    ),
    "dy used up": (TRIPLE, f"dy[...] = 0\n    {TRIPLE}"),
    "batch axis kept": (LIKE, LIKE[:-1] + " if x.ndim == 4 else x[None])"),
    "height and width swapped": (LIKE, LIKE.replace("[-2:]", "[:-3:-1]")),
    "stride and dilation swapped": (
        STRIDES,
        "dilation, padding, stride, groups, 2)",
    ),
    **as_it_lies("x", "planes(x)"),
    **as_it_lies("dy", "planes(dy)"),
    **as_it_lies("weight", LIKE),
}
BOTH = "dataclasses.replace(g, **both)"
MISTAKES["fast.flat"] = {
    "row last": ("(first, *getattr(g, name))", "(*getattr(g, name), first)"),
    "margin above the row": ('"padding": (0, 0)', '"padding": (1, 0)'),
    "stride forgotten": (BOTH, BOTH.replace("both", 'both | {"stride": (1, 1)}')),
    "dilation forgotten": (BOTH, BOTH.replace("both", 'both | {"dilation": (1, 1)}')),
    "padding forgotten": (
        BOTH,
        BOTH.replace("both", 'both | {"padding": ((0, 0), (0, 0))}'),
    ),
    "odd zero first": (
        BOTH,
        BOTH.replace("both", 'both | {"padding": ((0, 0), both["padding"][1][::-1])}'),
    ),
}
MISTAKES["fast.conv1d"] = {
    "kernel turned": ("weight[:, :, None]", "weight[:, :, None, ::-1]"),
    "channels turned": ("weight[:, :, None]", "weight[:, ::-1, None]"),
    "bias forgotten": ("bias, g)\n    return", "None, g)\n    return"),
    "signals turned": ("x[..., None, :]", "x[..., None, ::-1]"),
    "result turned": ("rows)[..., 0, :]", "rows)[..., 0, ::-1]"),
    "x used up": ("    return un", "    x[...] = 0\n    return un"),
    "float64": ("planes(rows)", "planes(rows.astype(float))"),
    **as_it_lies("x", "rows = x["),
    **as_it_lies("weight", "weight[:, :, None]"),
}
MISTAKES["fast.conv1d_backward"] = {
    "kernel turned": ("weight[:, :, None]", "weight[:, :, None, ::-1]"),
    "dx turned": ("rows)[..., 0, :]", "rows)[..., 0, ::-1]"),
    "dweight turned": ("dweight[:, :, 0]", "dweight[:, :, 0, ::-1]"),
    "dbias forgotten": ("0], dbias", "0], 0 * dbias"),
    "dx never": ("if input_gradient:", "if False:"),
    "dx unasked": ("if input_gradient:", "if True:"),
    "dx in float64": (
        "input_gradients(upstream, ",
        "input_gradients(upstream.astype(float), ",
    ),
    "dy used up": ("    return dx", "    dy[...] = 0\n    return dx"),
    **as_it_lies("x", "= x[..., None, :], "),
    **as_it_lies("weight", "weight[:, :, None]"),
    **as_it_lies("dy", "dy[..., None, :]"),
}
EVERY = "in np.ndindex(*g.kernel)"
MISTAKES["fast.window_places"] = {
    "last place first": (EVERY, "in list(np.ndindex(*g.kernel))[::-1]"),
    "columns before rows": [
        (EVERY, "in np.ndindex(*g.kernel[::-1])"),
        ("zip(place,", "zip(place[::-1],"),
    ],
    "last place dropped": (EVERY, "in list(np.ndindex(*g.kernel))[:-1]"),
    "kernel swapped": (EVERY, "in np.ndindex(*g.kernel[::-1])"),
    "axes swapped": ("axes(g), outputs", "axes(g)[::-1], outputs"),
    "outputs swapped": ("outputs, strict", "outputs[::-1], strict"),
    "sizes swapped": ("zip(place, size,", "zip(place, size[::-1],"),
    "windows and pixels swapped": (
        "((i, slice(None), j), (top, slice(None), left))",
        "((top, slice(None), left), (i, slice(None), j))",
    ),
    "rows counted from zero": (
        "slice(start, stop), slice",
        "slice(0, stop - start), slice",
    ),
    "as many columns as rows": ("slice(0, g.output[1])", "slice(0, g.output[0])"),
    "dilation forgotten": ("axes(g)", "[a._replace(dilation=1) for a in axes(g)]"),
    "dilation one more": (
        "axes(g)",
        "[a._replace(dilation=a.dilation + 1) for a in axes(g)]",
    ),
    "margin forgotten": ("axes(g)", "[a._replace(before=0) for a in axes(g)]"),
    "one stride for both": (
        "axes(g)",
        "[a._replace(stride=g.stride[0]) for a in axes(g)]",
    ),
    "last row dropped": (
        "slice(start, stop)",
        "slice(start, max(start + 1, stop - 1))",
    ),
    "last column dropped": (
        "slice(0, g.output[1])",
        "slice(0, max(1, g.output[1] - 1))",
    ),
}
MISTAKES["fast.places"] = {
    "always kept": ("if math.prod(g.kernel) < 100", "if True"),
    "never kept": ("if math.prod(g.kernel) < 100", "if False"),
    "size turned": ("tuple(size)", "tuple(size)[::-1]"),
}
LARGER = "np.maximum(best[to], numbers, out=y[to])"
PLACED = "np.maximum(index[to], place, out=index[to])"
MISTAKES["fast.maxima"] = {
    "zeros in the margin": ("y[...] = -np.inf", "y[...] = 0"),
    "the least float in the margin": (
        "y[...] = -np.inf",
        "y[...] = np.finfo(y.dtype).min",
    ),
    "margin not cleared": ("y[...] = -np.inf", "pass"),
    "index not cleared": ("index[...] = 0", "pass"),
    "first place forgotten": ("y[to] = first", "y[to] = -np.inf"),
    "the only place forgotten": ("if others and not", "if not"),
    "compared with the first place only": ("        best = y\n", ""),
    "places counted from zero": ("start=1)", "start=0)"),
    "ties to the last": ("np.greater(", "np.greater_equal("),
    "the smaller one wins": ("np.greater(", "np.less("),
    "places added": (PLACED, PLACED.replace("maximum", "add")),
    "the last comparison's place": (PLACED, "index[to] = place"),
    "NaN ignored": (LARGER, LARGER.replace("maximum", "fmax")),
    "NaN's place forgotten": ("math.isnan(", "0 * math.isnan("),
    "the last NaN wins": (
        "reversed(list(enumerate(found))):\n            index[to][np.isnan",
        "enumerate(found):\n            index[to][np.isnan",
    ),
    "the last minus infinity wins": (
        "reversed(list(enumerate(found))):\n            index[to][(",
        "enumerate(found):\n            index[to][(",
    ),
    "minus infinity to the margin": ("(y == -np.inf).any()", "False"),
    "every minus infinity's place": (" & (y[to] == -np.inf)", ""),
    "every NaN's place": ("[np.isnan(numbers)] = k", "[np.isnan(y[to])] = k"),
    "a sum": (LARGER, LARGER.replace("maximum", "add")),
    "the least": (LARGER, LARGER.replace("maximum", "minimum")),
    "the last place alone": (LARGER, "y[to] = numbers"),
}
BELOW_ZERO = "np.less_equal(y, 0)"
CUT_OFF = "np.maximum(y, np.zeros(y.shape[2:], y.dtype), out=y)"
MISTAKES["fast.cut_off"] = {
    "index kept": ("if index is not None:", "if False:"),
    "index of zero kept": (BELOW_ZERO, "np.less(y, 0)"),
    "index of NaN lost": (BELOW_ZERO, "np.logical_not(y > 0)"),
    "index of what is above zero": (BELOW_ZERO, "np.greater(y, 0)"),
    "index of the last place instead": ("type(nobody)", "type(nobody - 1)"),
    "index of all": ("below * index", "1 * index"),
    "index added": ("np.maximum(index,", "np.add(index,"),
    "nothing cut off": (CUT_OFF, "pass"),
    "NaN cut off": (CUT_OFF, CUT_OFF.replace("maximum", "fmax")),
    "cut off above": (CUT_OFF, CUT_OFF.replace("maximum", "minimum")),
    "largest magnitude": (CUT_OFF, "np.abs(y, out=y)"),
    "cut off at one": (CUT_OFF, CUT_OFF.replace("zeros", "ones")),
}
SUM = 'np.einsum("i->", array.ravel(order="K"))'
MISTAKES["fast.is_finite"] = {
    "infinity counted": (f"math.isfinite({SUM})", f"not math.isnan({SUM})"),
    "NaN counted": (f"math.isfinite({SUM})", f"not math.isinf({SUM})"),
    "the other way round": ("return math", "return not math"),
    "the first number alone": (SUM, "array.ravel()[:1].sum()"),
    "the first row alone": (SUM, SUM.replace("array.ravel", "array[:1].ravel")),
}
MISTAKES["fast.hand_back"] = {
    "overlaps assigned": ("gradient += dy[to] * won", "gradient[...] = dy[to] * won"),
    "added where it is written": (
        "np.multiply(dy[to], won, out=gradient)",
        "gradient += dy[to] * won",
    ),
    "once negated": ("elif once:", "elif not once:"),
    "once of what is no number ignored": (
        "given if once else gradient + given",
        "gradient + given",
    ),
    "overlaps of what is no number assigned": (
        "given if once else gradient + given",
        "given",
    ),
    "NaN spread": ("if not finite:", "if False:"),
    "to all later places": ("index[to] == k", "index[to] <= k"),
    "to the next place": ("index[to] == k", "index[to] + 1 == k"),
    "to every place": ("index[to] == k", "index[to] >= 0"),
    "last place left out": (
        "in enumerate(where)",
        "in list(enumerate(where))[:-1]",
    ),
    "first place left out": ("in enumerate(where)", "in [*enumerate(where)][1:]"),
    "places counted from one": ("enumerate(where)", "enumerate(where, 1)"),
    "gradient lost": ("dx[at]", "dx[at].copy()"),
}
POOL_ROWS = "pieces(oh, oh, images.size * 7e-10)"
MISTAKES["fast.pool_max"] = {
    "rectify forgotten": ("if rectify:", "if False:"),
    "always rectified": ("if rectify:", "if True:"),
    "the last place is nobody": (
        "part, math.prod(g.kernel))",
        "part, math.prod(g.kernel) - 1)",
    ),
    "an index unasked": ("if with_index else None", "if True else None"),
    "first rows left out": (POOL_ROWS, f"{POOL_ROWS}[1:]"),
    "last rows left out": (POOL_ROWS, f"{POOL_ROWS}[:-1]"),
    "the first rows' windows": (
        "places(g, size, rows)",
        "places(g, size, slice(0, rows.stop - rows.start))",
    ),
    "the first rows' index": ("index[rows]", "index[: rows.stop - rows.start]"),
    "the first rows' maxima": (
        "rows), y[rows], part)",
        "rows), y[: rows.stop - rows.start], part)",
    ),
    "the first rows rectified": (
        "cut_off(y[rows],",
        "cut_off(y[: rows.stop - rows.start],",
    ),
    "channels turned": ("maxima(images,", "maxima(images[:, ::-1],"),
    "images turned": ("maxima(images,", "maxima(images[..., ::-1],"),
    "rows and columns swapped": ("(oh, channels, ow, n)", "(ow, channels, oh, n)"),
    "height and width swapped": ("x.shape[-2:]", "x.shape[:-3:-1]"),
    "float64": ("n), x.dtype)", "n), np.float64)"),
    "x used up": ("    return y, index", "    x[...] = 0\n    return y, index"),
    **as_it_lies("x", "planes(x)"),
}
ONCE = "once = g.stride == g.kernel and g.dilation == (1, 1)"
MISTAKES["fast.unpool_max"] = {
    "once where windows overlap": (ONCE, "once = True"),
    "once in spite of dilation": (ONCE, "once = g.stride == g.kernel"),
    "once by the height": (ONCE, "once = g.stride[0] == g.kernel[0]"),
    "not cleared": ("        dx[...] = 0\n", "        pass\n"),
    "remainder not cleared": (" and all(o * k == n for o, k, n in tiles)", ""),
    "remainder of the width not cleared": ("in tiles)", "in list(tiles)[:1])"),
    "remainder of the height not cleared": ("in tiles)", "in list(tiles)[1:])"),
    "margin forgotten": (" and g.padding == (0, 0)", ""),
    "cleared where windows are tiles": ("if not tiled:", "if tiled:"),
    "cleared to one": ("dx[...] = 0", "dx[...] = 1"),
    "first part left out": ("dx.size * 6e-10)", "dx.size * 6e-10)[1:]"),
    "last part left out": ("dx.size * 6e-10)", "dx.size * 6e-10)[:-1]"),
    "always as many parts as rows": ("count = oh if once else channels", "count = oh"),
    "always as many parts as channels": (
        "count = oh if once else channels",
        "count = channels",
    ),
    "parts of rows for channels": (
        "(part, all_channels) if once else (all_rows, part)",
        "(all_rows, part)",
    ),
    "parts of channels for rows": (
        "(part, all_channels) if once else (all_rows, part)",
        "(part, all_channels)",
    ),
    "the first rows' windows": (
        "places(g, size, rows)",
        "places(g, size, slice(0, rows.stop - rows.start))",
    ),
    "the first rows' index": (
        "index[rows, c]",
        "index[: rows.stop - rows.start, c]",
    ),
    "the first rows of dy": (
        "upstream[rows, c]",
        "upstream[: rows.stop - rows.start, c]",
    ),
    "channels turned": (
        "hand_back(upstream[rows, c]",
        "hand_back(upstream[rows, ::-1][:, c]",
    ),
    "the first channels' gradient": (
        "dx[:, c], once",
        "dx[:, : c.stop - c.start], once",
    ),
    "never once": ("dx[:, c], once)", "dx[:, c])"),
    "batch axis kept": ("unplanes(dx, dy)", "unplanes(dx, dx)"),
    "height and width swapped": (
        "(height, width) = planes(dy), size",
        "(width, height) = planes(dy), size",
    ),
    "float64": ("n), dy.dtype)", "n), np.float64)"),
    "dy used up": ("    return un", "    dy[...] = 0\n    return un"),
    **as_it_lies("dy", "planes(dy)"),
}
GIVEN = "kernel_size, stride, padding, dilation, ceil_mode)\n    "
GIVENS = {
    "ceil_mode forgotten": (GIVEN, GIVEN.replace("ceil_mode", "False")),
    "dilation forgotten": (GIVEN, GIVEN.replace("dilation", "1")),
    "padding forgotten": (GIVEN, GIVEN.replace("padding", "0")),
    "stride forgotten": (GIVEN, GIVEN.replace("stride", "None")),
    "strides swapped": (
        GIVEN,
        GIVEN.replace("stride", "stride if np.ndim(stride) < 1 else stride[::-1]"),
    ),
}
POOLED = "unplanes(pool_max(x, g, with_index=False)[0], x)"
MISTAKES["fast.max_pool2d"] = {
    **GIVENS,
    "rectified": ("with_index=False", "with_index=False, rectify=True"),
    "batch axis kept": (POOLED, POOLED[:-1] + " if x.ndim == 4 else x[None])"),
    "largest magnitude": (POOLED, f"abs({POOLED})"),
    "float64": (POOLED, f"{POOLED}.astype(np.float64)"),
    "x used up": (
        f"    return {POOLED}",
        f"    y = {POOLED}\n    x[...] = 0\n    return y",
    ),
    **as_it_lies("x", "(x, g, w"),
}
TAKEN_BACK = "unpool_max(dy, pool_max(x, g)[1], g, x.shape[-2:])"
MISTAKES["fast.max_pool2d_backward"] = {
    "rectified": ("pool_max(x, g)", "pool_max(x, g, rectify=True)"),
    "the least wins": ("pool_max(x, g)", "pool_max(-x, g)"),
    "height and width swapped": ("x.shape[-2:])", "x.shape[:-3:-1])"),
    "to the first place": ("pool_max(x, g)[1]", "0 * pool_max(x, g)[1]"),
    "a mean over the batch": (TAKEN_BACK, f"{TAKEN_BACK} / len(x)"),
    "dx written into x": (
        f"    return {TAKEN_BACK}",
        f"    x[...] = {TAKEN_BACK}\n    return x",
    ),
    **as_it_lies("x", "(x, g)[1]"),
    **as_it_lies("dy", "unpool_max(dy"),
}
DIVIDED = "window_counts(x.shape[-2:], g, count_include_pad)[:, None, :, None]"
PIXEL_COUNTS = {
    "divided by the pixels inside": ("g, count_include_pad)", "g, False)"),
    "divided by the margin too": ("g, count_include_pad)", "g, True)"),
    "count_include_pad negated": ("g, count_include_pad)", "g, not count_include_pad)"),
    "divided by the whole window": (DIVIDED, "y.dtype.type(math.prod(g.kernel))"),
    "not divided": (DIVIDED, "1"),
    "counts transposed": (
        DIVIDED,
        DIVIDED.replace(")[:", ").T.reshape(g.output)[:"),
    ),
    "counts turned": (DIVIDED, DIVIDED.replace(")[:", ")[::-1, ::-1][:")),
}
MISTAKES["fast.avg_pool2d"] = {
    **PIXEL_COUNTS,
    "the last place alone": ("y[to] += images[at]", "y[to] = images[at]"),
    "last row dropped": ("0, g.output[0])", "0, max(1, g.output[0] - 1))"),
    "begun at one": ("np.zeros(", "np.ones("),
    "stride forgotten": (
        "kernel_size, stride, padding, 1",
        "kernel_size, None, padding, 1",
    ),
    "batch axis kept": ("unplanes(y, x)", "unplanes(y, y)"),
    "float64": ("shape[3]), x.dtype)", "shape[3]))"),
    "NaN ignored": ("+= images[at]", "+= np.nan_to_num(images[at])"),
    "x used up": ("    return un", "    x[...] = 0\n    return un"),
    **as_it_lies("x", "planes(x)"),
}
MISTAKES["fast.avg_pool2d_backward"] = {
    **PIXEL_COUNTS
    | {
        "divided by the whole window": (
            "counts.astype(dy.dtype)",
            "dy.dtype.type(math.prod(g.kernel))",
        ),
        "not divided": (" / counts.astype(dy.dtype)", ""),
    },
    "overlaps assigned": ("dx[at] += shares[to]", "dx[at] = shares[to]"),
    "last row dropped": ("0, g.output[0])", "0, max(1, g.output[0] - 1))"),
    "begun at one": ("np.zeros(", "np.ones("),
    "only to the first pixel": (
        "in places(g, x.shape[-2:], slice(0, g.output[0]))",
        "in places(g, x.shape[-2:], slice(0, g.output[0]))[:1]",
    ),
    "batch axis kept": ("unplanes(dx, x)", "unplanes(dx, dx)"),
    "float64": ("shape[3]), dy.dtype", "shape[3]), np.float64"),
    "dx written into x": (
        "    return un",
        "    x[...] = unplanes(dx, x)\n    return un",
    ),
    "dy used up": ("    return un", "    dy[...] = 0\n    return un"),
    **as_it_lies("dy", "planes(dy)"),
}

MISTAKES["threads.machine_threads"] = {
    "the system's limit ignored": ("len(mine(0)) if mine", "0 if mine"),
    "one core left out": ("len(mine(0))", "len(mine(0)) - 1"),
    "the variable ignored": ("if asked.isdecimal()", "if False"),
    "the variable over the cores": ("min(cores, int(asked))", "int(asked)"),
    "the larger of both": ("min(cores, int(asked))", "max(cores, int(asked))"),
    "no threads at all": (" and int(asked)", ""),
    "threads in a browser": ('"emscripten"', '"wasm"'),
}
MISTAKES["threads.Products"] = {
    "not held": ("library.set_num_threads(1)", "pass"),
    "held at two": ("library.set_num_threads(1)", "library.set_num_threads(2)"),
    "held again within": ("if self.inside[me] == 1 else ()", ""),
    "never let go": ("library.set_num_threads(count)", "pass"),
    "let go one too few": ("set_num_threads(count)", "set_num_threads(count - 1 or 1)"),
    "the first library's count for all": (
        "library.set_num_threads(count)",
        "library.set_num_threads(self.before[0][1])",
    ),
    "the first library alone": ("_ in self.before if", "_ in self.before[:1] if"),
    "let go within": ("if self.inside[me] > 1:", "if False:"),
    "counted when nobody is inside": ("            del self.inside[me]\n", ""),
    "counts read again within": ("if not self.inside:", "if True:"),
    "nobody leaves": ("self.inside[me] -= 1", "pass"),
    "nobody enters": ("self.inside[me] += 1", "pass"),
    "looked for every time": ("if self.libraries is None:", "if True:"),
    "held after an interrupt": ("            self.__exit__()\n", ""),
    "an interrupt lost": ("            raise\n", ""),
    "direct everywhere": ("bool(kinds & DIRECT)", "True"),
    "direct nowhere": ("bool(kinds & DIRECT)", "False"),
}
MISTAKES["threads.stay_on"] = {
    "one core only": ("cores)", "{min(cores)})"),
    "anywhere": ("os.sched_setaffinity(0, cores)", "pass"),
}
MISTAKES["threads.work_through"] = {
    "last job first": ("left.popleft()", "left.pop()"),
    "one job for each thread": ("    while True:\n", "    for _ in range(1):\n"),
    "a task's error is the end": (
        "            job = left.popleft()\n        except IndexError:\n"
        "            return\n        task(job)\n",
        "            task(left.popleft())\n        except IndexError:\n"
        "            return\n",
    ),
}
MISTAKES["threads.Crew"] = {
    "started every time": (
        "range(len(self.threads), self.count - 1)",
        "range(self.count - 1)",
    ),
    "one thread too many": (
        "range(len(self.threads), self.count - 1)",
        "range(len(self.threads), self.count)",
    ),
    "one thread stays": (
        "            while self.threads:\n",
        "            while self.threads[1:]:\n",
    ),
    "nobody is let go": ("self.leaving = True", "pass"),
    "nobody goes": ("self.inbox.put(None)", "pass"),
    "cores taken from the caller for good": (
        "            if self.cores:\n                stay_on(cores)\n",
        "",
    ),
    "the caller keeps to the others' cores": (
        "cores.difference(self.cores) or cores",
        "set(self.cores)",
    ),
    "the caller shares the others' cores": (
        "cores.difference(self.cores) or cores",
        "cores",
    ),
    "the caller's first core taken": (
        "mine[1 : self.count] if",
        "mine[: self.count - 1] if",
    ),
    "all threads on one core": ("stay_on({core})", "stay_on({1})"),
    "on no core of its own": ("if core is not None:", "if False:"),
    "held for good": ('            del self.held["by"]\n', "            pass\n"),
    "released by anybody": (
        'if self.held.get("by") == threading.get_ident():',
        'if "by" in self.held:',
    ),
    "claimed by everybody": (
        'self.held.setdefault("by", me) == me',
        'self.held.setdefault("by", me) != 0',
    ),
    "nobody can claim it": (
        'self.held.setdefault("by", me) == me',
        'self.held.get("by") == me',
    ),
    "let go while somebody has it": (
        'if self.held.setdefault("by", 0) == 0:',
        "if True:",
    ),
    "let go at work, it stays": (
        "        if self.leaving:\n            self.dismiss()\n",
        "",
    ),
    "jobs are left": ("                left.clear()\n", ""),
    "no tickets": ("min(helpers, len(self.threads))", "0"),
    "no threads is an error": (
        "contextlib.suppress(RuntimeError)",
        "contextlib.nullcontext()",
    ),
    "errors forgotten": ("                raise answer\n", "                pass\n"),
    "errors of helpers forgotten": ("finished.put(error)", "finished.put(None)"),
    "doesn't wait": ("while len(answers) < len(came):", "while False:"),
    "waits for one helper only": (
        "while len(answers) < len(came):",
        "while len(answers) < len(came[:1]):",
    ),
    "doesn't wait after an interrupt": ("                        came.append(1)\n", ""),
    "an interrupt lost": ("answers.append(error)", "answers.append(None)"),
    "one helper too few": (
        "for _ in range(len(tickets)):",
        "for _ in range(len(tickets) - 1):",
    ),
    "the caller doesn't work": (
        "                work_through(left, task)\n",
        "                pass\n",
    ),
    "shares what is shared": ("        self.sharing = True\n", ""),
    "shares once only": ("            self.sharing = False\n", ""),
    "helpers with settings of their own": (
        "functools.partial(context.run, help_out)",
        "help_out",
    ),
}
MISTAKES["threads.start_over"] = {
    "nothing forgotten": ('STATE["crew"] = Crew(STATE["crew"].count)', "pass"),
    "one thread fewer": ('STATE["crew"].count)', 'STATE["crew"].count - 1)'),
    "back to the beginning": ('(STATE["crew"].count)', "(machine_threads())"),
    "users of the parent's counted": (
        "Counter({me: PRODUCTS.inside[me]} if PRODUCTS.inside[me] else {})",
        "PRODUCTS.inside",
    ),
    "its own forgotten": ("if PRODUCTS.inside[me] else", "if False else"),
    "the parent's lock kept": ("PRODUCTS.lock = threading.RLock()", "pass"),
}
MISTAKES["threads.get_num_threads"] = {
    "besides the caller's own": ('crew"].count', 'crew"].count - 1'),
    "the machine's": ('STATE["crew"].count', "machine_threads()"),
}
MISTAKES["threads.set_num_threads"] = {
    "nothing set": ('STATE["crew"] = Crew(count)', "pass"),
    "the old threads stay": ('    STATE["crew"].dismiss()\n', ""),
    "no more than the machine's": ("Crew(count)", "Crew(min(count, 1))"),
    "zero taken": ('"count", 1)', '"count", 1, least=0)'),
}
MISTAKES["threads.at_work"] = {
    "never released": ("                crew.release()", "                pass"),
    "released by those within": ("            if outermost:", "            if True:"),
    "not released after an error": (
        "        try:\n            if crew.count > 1:\n                crew.claim()\n"
        "            yield\n        finally:\n            if outermost:\n"
        "                crew.release()",
        "        if crew.count > 1:\n            crew.claim()\n        yield\n"
        "        if outermost:\n            crew.release()",
    ),
    "nobody claimed": ("                crew.claim()", "                pass"),
    "claimed by one alone": ("if crew.count > 1:", "if crew.count == 1:"),
    "products not limited": ("with PRODUCTS:", "if True:"),
    "released at the beginning": (
        "            yield\n",
        "            crew.release()\n            yield\n",
    ),
}
HELD = "at_work() if helpers > 0 else PRODUCTS"
MISTAKES["threads.in_parallel"] = {
    "first job left out": ("deque(jobs), STATE", "deque(list(jobs)[1:]), STATE"),
    "last job left out": ("deque(jobs), STATE", "deque(list(jobs)[:-1]), STATE"),
    "every thread does all": (
        "crew.share(task, left, helpers)",
        "[crew.share(task, left.copy(), 1) for _ in range(2)]",
    ),
    "one helper too few": ("len(left)) - 1 if", "len(left)) - 2 if"),
    "on this thread alone": ("if helpers > 0 and mine and", "if False and mine and"),
    "within a task, too": ("mine and not crew.sharing:", "mine:"),
    "with somebody else's crew": ("helpers > 0 and mine and", "helpers > 0 and"),
    "short work shared out": (" if seconds > SHORT else 0", ""),
    "long work not shared out": ("seconds > SHORT", "seconds < SHORT"),
    "products not held": (HELD, "contextlib.nullcontext()"),
    "products not held by one": (
        HELD,
        HELD.replace("PRODUCTS", "contextlib.nullcontext()"),
    ),
    "crew not claimed": (HELD, "PRODUCTS"),
}
MISTAKES["threads.pieces"] = {
    "rounded down": ("-(-total // max(1, most))", "max(1, total // max(1, most))"),
    "last piece left out": ("range(count + 1)", "range(count)"),
    "last number left out": ("total * k //", "(total - 1) * k //"),
    "begun at one": ("slice(a, b)", "slice(a + 1, b)"),
    "overlapping": ("slice(a, b)", "slice(a, b + 1)"),
    "uneven": ("total * k // max(1, count)", "min(total, max(1, most) * k)"),
    "threads forgotten": ("if seconds > SHORT:", "if False:"),
    "short work cut": ("if seconds > SHORT:", "if True:"),
    "one for each thread, however long": (
        "max(count, min(get_num_threads(), total))",
        "min(get_num_threads(), total)",
    ),
    "empty pieces": ("min(get_num_threads(), total)", "get_num_threads()"),
    "one of nothing": ("range(count + 1)", "range((count or 1) + 1)"),
}
MISTAKES["threads.blocks"] = {
    "rounded down": ("-(-total * each // SMALL)", "total * each // SMALL"),
    "one more than needed": ("-(-total * each // SMALL)", "total * each // SMALL + 1"),
    "the work of one row forgotten": ("-total * each //", "-total //"),
    "at least two": ("max(1, ", "max(2, "),
    "least ignored": ("min(total // least, first + 63)", "first + 63"),
    "least taken for the most": ("total // least, first", "least, first"),
    "fewer rows than least": ("total // least", "-(-total // least)"),
    "more rows than least": ("total // least", "total // (least + 1)"),
    "what doesn't divide": ("if total % count == 0", "if True"),
    "the first that doesn't divide": (", 1)\n", ", first)\n"),
    "also where everything is copied": ("if not PRODUCTS.direct:", "if False:"),
    "the smallest blocks": ("for count in counts", "for count in counts[::-1]"),
    "the last count left out": ("first + 63) + 1)", "first + 63))"),
    "without end": ("min(total // least, first + 63)", "total // least"),
    "only what is needed": ("first + 63)", "first)"),
}
ROWS = "pieces(len(a), len(a), seconds=2e-11 * len(a) * each)"
MISTAKES["threads.product"] = {
    "first rows left out": (ROWS, f"{ROWS}[1:]"),
    "last rows left out": (ROWS, f"{ROWS}[:-1]"),
    "the first rows for all": ("out = a[r], y", "out = a[: r.stop - r.start], y"),
    "written to the first rows": ("= a[r], y[r]", "= a[r], y[: r.stop - r.start]"),
    "written to a copy": ("= a[r], y[r]", "= a[r], y[r].copy()"),
    "b turned": (", b, out", ", b[::-1], out"),
    "blocks turned": ("*shape, -1), b,", "*shape, -1)[::-1], b,"),
    "a's dtype": ("np.result_type(a, b)", "a.dtype"),
    "float64": ("np.result_type(a, b)", "np.float64"),
    "in one piece": (ROWS, ROWS.replace("2e-11 * len(a) * each", "0")),
    "never in blocks": ("if direct else 1", "if False else 1"),
    "in blocks wherever b lies": ("if direct else 1", "if True else 1"),
    "blocks of any length": ("each, 4)", "each, 1)"),
    "blocks too long": ("each, 4)", "each, 8)"),
    "the work of one column": ("= math.prod(b.shape)", "= len(b)"),
}
MISTAKES["threads.write_product"] = {
    "no library taken for one": ("if LIBRARY or", "if True or"),
    "a library taken for none": ("if LIBRARY or", "if"),
    "always by einsum": ("a.shape[-1] < 64", "False"),
    "always by einsum, but for more": ("a.shape[-1] < 64", "a.shape[-1] < 63"),
    "by einsum from 65 terms on": ("a.shape[-1] < 64", "a.shape[-1] < 65"),
    "whatever the shapes": (" or a.shape[-1] != b.shape[-2]", ""),
    "not side by side on the left": ("np.ascontiguousarray(a)", "a"),
    "not side by side on the right": (
        "np.ascontiguousarray(b.swapaxes(-1, -2))",
        "b.swapaxes(-1, -2)",
    ),
    "a turned": ("matmul(a, b, out", "matmul(a[..., ::-1, :], b, out"),
    "rows turned": ("rows, columns, out", "rows[..., ::-1, :], columns, out"),
    "terms turned": ("rows, columns, out", "rows[..., ::-1], columns, out"),
    "into something else": ("columns, out=out, ", "columns, "),
}
MISTAKES["threads.Buffers"] = {
    "memory in use": ("if fits and ", "if fits or "),
    "in use or not": (
        "if fits and sys.getrefcount(self.kept[k]) == self.unused",
        "if fits",
    ),
    "never used again": ("if fits and ", "if False and "),
    "much too large": ("<= size + size // 4", ""),
    "nothing kept": (
        "        return self.kept[-1]",
        "        return self.kept.pop()",
    ),
    "all kept": ("self.forget(KEEP - size)", "pass"),
    "one more than may be kept": ("self.forget(KEEP - size)", "self.forget(KEEP)"),
    "forgets what is in use": (
        "if sys.getrefcount(self.kept[k]) == self.unused:\n                total",
        "if True:\n                total",
    ),
    "forgets all that is unused": ("while total > limit and k", "while k"),
    "newest first": ("self.kept.pop(k)", "self.kept.pop()"),
}
MISTAKES["threads.empty"] = {
    "small arrays too": ("LEAST <= size", "0 <= size"),
    "too large ones too": (" <= KEEP", ""),
    "large arrays never": ("not LEAST <= size <= KEEP", "size >= 0"),
    "another dtype": ("return np.empty(shape, dtype)", "return np.empty(shape)"),
    "columns first": (".reshape(shape)", ".reshape(shape[::-1]).T"),
}


# The network: from layers to models.

NETWORK = {
    function: {name: (edit["right"], edit["wrong"]) for name, edit in mistakes.items()}
    for function, mistakes in json.loads(
        (ROOT / "tests" / "network_mistakes.json").read_text("utf-8")
    ).items()
}
SMOOTHED = "CrossEntropyLoss(label_smoothing)(logits, labels)"
MEAN_LOSS = "losses.sum() / len(logits)"
SOFTENED = "(np.exp(logs) - q) / len(logits)"
IN_ORDER = "unplanes(planes(x), x)"
BOTH_WATCHED = "{*vars(layer), *vars(following)}"
MOVED_ROWS = "p.data.size * 1.5e-9)"
CLIPPED = """\
            if clip_norm is not None:
                clip_grad_norm(optimizer.parameters, clip_norm)
"""
STEP = "            optimizer.step()\n"
# What that file says of functions that are others now, and of new ones.
CHANGED = {
    "losses.cross_entropy": {
        "summed, gradient averaged": (f"{SMOOTHED}[0]", f"{SMOOTHED}[0] * len(labels)"),
        "mean over classes too": (
            f"{SMOOTHED}[0]",
            f"{SMOOTHED}[0] / np.shape(logits)[1]",
        ),
        "softmax twice": (SMOOTHED, SMOOTHED.replace("(logits", "(softmax(logits)")),
        "minus zero": (f"return {SMOOTHED}[0]", f"return -(0.0 - {SMOOTHED}[0])"),
        "smoothing forgotten": (SMOOTHED, SMOOTHED.replace("label_smoothing", "0")),
    },
    "losses.cross_entropy_backward": {
        "gradient summed": (f"{SMOOTHED}[1]", f"{SMOOTHED}[1] * len(labels)"),
        "softmax twice": (SMOOTHED, SMOOTHED.replace("(logits", "(softmax(logits)")),
        "smoothing forgotten": (SMOOTHED, SMOOTHED.replace("label_smoothing", "0")),
    },
    "losses.CrossEntropyLoss": {
        "summed, gradient averaged": (MEAN_LOSS, "losses.sum()"),
        "mean over classes too": (MEAN_LOSS, "losses.mean()"),
        "softmax twice": ("log_softmax(logits)", "log_softmax(softmax(logits))"),
        "softmax twice for the gradient": ("np.exp(logs)", "softmax(np.exp(logs))"),
        "logarithms for the gradient": ("np.exp(logs)", "logs"),
        "minus zero": (f"0 - {MEAN_LOSS}", f"-{MEAN_LOSS}"),
        "gradient summed": (SOFTENED, "np.exp(logs) - q"),
        "gradient turned": (SOFTENED, "(q - np.exp(logs)) / len(logits)"),
        "smoothing forgotten": ("labels, self.label_smoothing)", "labels, 0)"),
        "gradient without smoothing": (
            SOFTENED,
            "(np.exp(logs) - truth(logits, labels, 0)[1]) / len(logits)",
        ),
        "loss without smoothing": (
            "losses = np.multiply(q, logs, out=np.zeros_like(logs), where=q > 0)",
            "hard = truth(logits, labels, 0)[1]\n"
            "        losses = np.where(hard > 0, hard * logs, 0)",
        ),
        "zero times infinity": ("where=q > 0", "where=True"),
    },
    "optimizers.Adam": {
        "first rows left out": (MOVED_ROWS, f"{MOVED_ROWS}[1:]"),
        "last rows left out": (MOVED_ROWS, f"{MOVED_ROWS}[:-1]"),
    },
    "training.train_step": {
        "gradients not cleared": ("model.zero_grad()", "pass"),
        "cleared after backward": (
            "model.zero_grad()\n            model.accumulate(dlogits)",
            "model.accumulate(dlogits)\n            model.zero_grad()",
        ),
        "clipped after the step": (CLIPPED + STEP, STEP + CLIPPED),
        "no step": (STEP, ""),
        "crew not kept": ("with at_work():", "if True:"),
    },
    "layers.reshape_images": {
        "images mixed up where they lie side by side": (
            "last.transpose(-1, *range(len(shape)))",
            "last.reshape(n, *shape)",
        ),
        "numbers mixed up where images lie side by side": (
            "reshape(*shape, n)",
            "reshape(*shape, n, order='F')",
        ),
        "pixels turned where images lie side by side": (
            "*range(1, x.ndim), 0",
            "*range(x.ndim - 1, 0, -1), 0",
        ),
        "copied where images lie side by side": (
            ".reshape(*shape, n)",
            ".reshape(*shape, n).copy()",
        ),
    },
    "layers.melts": {
        "whatever stands before": ("type(layer) is not ReLU or ", ""),
        "a subclass of ReLU": (
            "type(layer) is not ReLU",
            "not isinstance(layer, ReLU)",
        ),
        "whatever stands behind": (
            "or type(following) is not MaxPool2d",
            "or not hasattr(following, 'dilation')",
        ),
        "one that is watched": (f'{{"forward", "backward"}} & {BOTH_WATCHED}', "False"),
        "whatever is watched behind it": (BOTH_WATCHED, "{*vars(layer)}"),
        "a ReLU that is watched": (BOTH_WATCHED, "{*vars(following)}"),
    },
    "layers.Sequential": {
        "crew not kept": ("with at_work():", "if True:"),
        "only the first layers run": ("return self.run(x)", "return self[:-1].run(x)"),
    },
    "layers.Conv2d": {
        "brought in order for each way": ("if x.ndim == 4:", "if False:"),
        "images turned": (IN_ORDER, "unplanes(planes(x[::-1]), x)"),
        "channels turned": (IN_ORDER, "unplanes(planes(x[:, ::-1]), x)"),
        "rows turned": (IN_ORDER, "unplanes(planes(x)[::-1], x)"),
        "float64": (IN_ORDER, "unplanes(planes(x.astype(float)), x)"),
    },
}
for function, mistakes in CHANGED.items():
    NETWORK[function] = NETWORK.get(function, {}) | mistakes
MISTAKES |= NETWORK


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

    def is_seen_by(self, item):
        """Return whether a test is one of those, by its file or, in this one, name."""
        if item.path.name == HERE.name:
            return any(item.name.startswith(f"test_{m}_") for m in self.tested_with)
        return item.path.name in {f"test_{m}.py" for m in self.tested_with}

    @property
    def home(self):
        """Return the module itself, and the function's name in it."""
        return sys.modules[f"cnnbook.{self.module}"], self.function.split(".")[1]

    def text(self, source):
        """Return the function's text with the mistake in it.

        Raises
        ------
        LookupError
            If the module's text isn't what the mistake was written for.
        """
        name = self.function.split(".")[1]
        defined = re.compile(rf"^(def|class) {name}\b", re.MULTILINE)
        sections = re.split(r"^# %%.*\n", source, flags=re.MULTILINE)
        right = next(filter(defined.search, sections), None)
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
        module, name = self.home
        source = Path(module.__file__).read_text(encoding="utf-8")
        names = dict(vars(module))
        exec(compile(self.text(source), str(self), "exec"), names)
        exchange(getattr(module, name), names[name])
        forget_results()

    def parts(self):
        """Return the text as Python reads it: the function, or class and methods."""
        module, name = self.home
        source = Path(module.__file__).read_text(encoding="utf-8")
        defined = ast.parse(self.text(source)).body
        (whole,) = (node for node in defined if getattr(node, "name", None) == name)
        found = whole.body if isinstance(whole, ast.ClassDef) else [whole]
        found = [node for node in found if isinstance(node, ast.FunctionDef)]
        return whole, {f"{self.function}.{node.name}": node for node in found}

    def changed(self):
        """Return the names of the parts that the mistake changes, or else of all."""
        _, right = replace(self, edits=()).parts()
        _, wrong = self.parts()
        return {
            name
            for name, node in wrong.items()
            if name not in right or ast.dump(node) != ast.dump(right[name])
        } or set(wrong)

    def listen(self, called):
        """Let each part of the function note in a set that it is called."""
        module, name = self.home
        whole, parts = self.parts()
        for part, node in parts.items():
            node.body[:0] = ast.parse(f"__called__.add({part!r})").body
        vars(module)["__called__"] = called
        names = dict(vars(module))
        exec(compile(ast.Module([whole], []), str(self), "exec"), names)
        exchange(getattr(module, name), names[name])


def exchange(right, wrong):
    """Give a function another's code; give a class another's, method by method."""
    if not isinstance(right, type):
        right, wrong = inspect.unwrap(right), inspect.unwrap(wrong)
        right.__code__, right.__defaults__ = wrong.__code__, wrong.__defaults__
        return
    for name, value in vars(wrong).items():
        if isinstance(value, FunctionType) and name in vars(right):
            exchange(vars(right)[name], value)
        elif not name.startswith("__"):
            setattr(right, name, value)


def forget_results():
    """Empty the caches of all functions: no version sees another one's results."""
    for module in [m for name, m in sys.modules.items() if name.startswith("cnnbook.")]:
        for function in list(vars(module).values()):
            if hasattr(function, "cache_clear"):
                function.cache_clear()


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
        self.costs = {}  # test -> seconds, and the functions that it calls
        self.tried, self.noticed = Counter(), Counter()  # mistakes, of each test

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
        if not FORKS:
            for mistake in self.mistakes:
                self.sender.send((mistake, self.run(session, mistake)["verdict"]))
            return True
        gc.freeze()
        waiting = sorted(self.mistakes, key=lambda mistake: len(mistake.edits) > 0)
        running = {}
        while waiting or running:
            while len(running) < AT_ONCE:
                unknown = {m.module for m, _ in running.values() if not m.edits}
                ready = (m for m in waiting if m.module not in unknown)
                mistake = next(ready, None)
                if mistake is None:
                    break
                waiting.remove(mistake)
                file, process = self.fork(session, mistake)
                running[file] = mistake, process
            for file in connection.wait(list(running)):
                self.hear(file, *running.pop(file))
        return True

    def fork(self, session, mistake):
        """Start a process that tries a mistake; return what it will write to."""
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            os.close(reading)
            signal.alarm(LIMIT)
            folder = os.environ["PYTEST_DEBUG_TEMPROOT"]
            folder = folder_for_tests(f"{folder}/{os.getpid()}")
            said = json.dumps(self.run(session, mistake))
            with open(writing, "w", encoding="utf-8") as file:
                file.write(said)
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
        os.close(writing)
        return open(reading, encoding="utf-8"), process

    def hear(self, file, mistake, process):
        """Learn from what a process has tried, and pass its verdict on."""
        with file:
            said = file.read()
        _, status = os.waitpid(process, 0)
        if status or not said:
            self.sender.send((mistake, f"its process ended with {status}"))
            return
        found = json.loads(said)
        self.costs |= found["costs"]
        for whose in ("", *found["changed"]) if mistake.edits else ():
            self.tried.update((test, whose) for test in found["ran"])
            self.noticed.update((test, whose) for test in found["failed"])
        self.sender.send((mistake, found["verdict"]))

    def run(self, session, mistake):
        """Make a mistake and run its tests; return how they end."""
        self.failures, self.passed = [], 0
        ran, costs, changed = [], {}, set()
        try:
            called, changed = set(), mistake.changed()
            if mistake.edits:
                mistake.make()
            else:
                for function in MISTAKES:
                    Mistake(function, "listens").listen(called)
            items = [item for item in session.items if mistake.is_seen_by(item)]
            items.sort(key=lambda item: self.promise(item, changed), reverse=True)
            for item, following in zip(items, [*items[1:], None], strict=True):
                called.clear()
                if not mistake.edits:
                    forget_results()
                began = time.perf_counter()
                hook = item.ihook.pytest_runtest_protocol
                hook(item=item, nextitem=following)
                ran.append(item.nodeid)
                if not mistake.edits:
                    costs[item.nodeid] = time.perf_counter() - began, sorted(called)
                if len(self.failures) >= ENOUGH or self.shown(mistake):
                    break
            verdict = self.verdict(mistake)
        except Exception as error:  # the mistake itself is mistaken
            verdict = f"{type(error).__name__}: {error}"
        failed = [test for test, *_ in self.failures]
        found = {"verdict": verdict, "changed": sorted(changed), "costs": costs}
        return found | {"ran": ran, "failed": failed}

    def promise(self, item, changed):
        """Return how likely a test notices a mistake, for each second that it takes."""
        if item.nodeid not in self.costs:
            return 0, any(part.split(".")[1] in item.name for part in changed)
        seconds, called = self.costs[item.nodeid]
        if changed.isdisjoint(called):
            return -1, -seconds
        chance = 1 / len(called)
        for whose in ("", *changed):
            key = item.nodeid, whose
            chance = (self.noticed[key] + 2 * chance) / (self.tried[key] + 2)
        return chance / (seconds + 0.005), 0

    def pytest_runtest_logreport(self, report):
        """Count the tests that pass."""
        self.passed += report.when == "call" and report.passed

    def pytest_exception_interact(self, node, call):
        """Note which test failed, and why."""
        error = call.excinfo.value
        errors = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        kinds = [kind.__name__ for e in errors for kind in type(e).__mro__[:-3]]
        self.failures.append((node.nodeid, call.when, kinds))

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


def arguments_for(module):
    """Return, as pytest's arguments, the tests that should notice what is wrong."""
    path = f"tests/test_{module}.py"
    own = [f"{path}::{name}" for name in CHECKED_HERE.get(module, ())]
    own = own if module in CHECKED_HERE else [path]
    checks = [name for name in globals() if name.startswith(f"test_{module}_")]
    return own + [f"tests/{HERE.name}::{check}" for check in checks]


def folder_for_tests(path):
    """Make a folder, and let the tests make theirs in it."""
    os.mkdir(path)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = path
    return path


def try_mistakes(mistakes, sender, output):
    """Try some mistakes in this process, which is only there for that."""
    with open(output, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.meta_path.insert(0, NoPyTorch)
    os.chdir(ROOT)
    folder_for_tests(f"{output}.folder")
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
            *(test for module in modules for test in arguments_for(module)),
            "--quiet",
            "--capture=no",
            "--assert=plain",
            "--tb=native",
            "-p_hypothesis_pytestplugin",
            "-pno:cacheprovider",
            "-pno:unraisableexception",
            "--hypothesis-profile=mistakes",
        ],
        plugins=[Trial(mistakes, sender)],
    )


class Trials:
    """Processes that try mistakes, a few at a time; what they say is kept."""

    def __init__(self, folder, mistakes):
        self.folder = folder
        self.verdicts = {}
        self.running = {}
        self.waiting = [mistakes] if FORKS else [[mistake] for mistake in mistakes]
        self.context = multiprocessing.get_context("spawn")

    def verdict(self, mistake):
        """Return what the tests say of a mistake, waiting for it if need be."""
        while mistake not in self.verdicts:
            while self.waiting and len(self.running) < AT_ONCE:
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


@pytest.fixture(scope="module")
def trials(request, tmp_path_factory):
    """Return the trials of the mistakes that were asked for."""
    asked = [
        item.callspec.params["mistake"]
        for item in request.session.items
        if "trials" in getattr(item, "fixturenames", ())
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        patch.setenv("OMP_NUM_THREADS", "1")  # and so has the package one, unless told
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
        names = re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE)
        written |= {f"{module}.{name}" for name in names}
    checks = {"shapes.as_sizes", "convolution.check_pixels", "backprop.check_upstream"}
    records = {"convolution.Geometry", "pooling.PoolGeometry", "fast.Axis"}
    exempt = checks | records | {"shapes.parameter_count"}
    assert set(MISTAKES) - set(NETWORK) == written - exempt


# What the fast kernels, the threads and the layers on them must do. These are ordinary
# tests too: they know of no mistake.

FILTERS = {
    "square": oracle_cases.Convolution((3, 4, 5, 5), (4, 2, 3, 3), groups=2),
    "wide margin": oracle_cases.Convolution((2, 2, 3, 4), (5, 2, 2, 3), 1, (4, 5)),
    "wide margin, everything": oracle_cases.Convolution(
        (2, 4, 4, 5), (4, 2, 3, 2), (3, 2), (5, 4), (1, 2), 2
    ),
    "phases": oracle_cases.Convolution(
        (2, 2, 9, 11), (2, 2, 4, 4), (2, 3), (3, 1), (3, 2)
    ),
    "phases alike": oracle_cases.Convolution(
        (2, 2, 9, 10), (3, 2, 4, 3), (4, 2), (1, 1), (2, 2)
    ),
    "phases without taps": oracle_cases.Convolution(
        (1, 2, 9, 11), (3, 2, 2, 2), (5, 6), 1
    ),
    "remainder": oracle_cases.Convolution((2, 2, 10, 11), (3, 2, 3, 2), (3, 4), (1, 0)),
    "many filters": oracle_cases.Convolution((2, 2, 5, 6), (7, 2, 3, 2), 1, (1, 0)),
    "many channels": oracle_cases.Convolution((2, 8, 5, 6), (2, 8, 2, 3), 1, (0, 1)),
    "many images": oracle_cases.Convolution((128, 4, 3, 5), (4, 2, 2, 2), groups=2),
    "float32": oracle_cases.Convolution(
        (3, 6, 7, 6), (6, 2, 3, 3), 2, 1, groups=3, dtype="float32"
    ),
}
LINES_OF = {
    "wide margin": oracle_cases.Convolution((2, 4, 3), (6, 2, 3), 2, 5, 2, 2),
    "phases": oracle_cases.Convolution((2, 2, 14), (3, 2, 4), 3, 2, 2),
}
WINDOWED = {
    "tiles": oracle_cases.Pooling((2, 3, 6, 9), (2, 3)),
    "tiles with a margin": oracle_cases.Pooling((2, 3, 6, 6), 3, None, 1),
    "tiles and a last row": oracle_cases.Pooling((2, 3, 7, 6), (3, 2)),
    "tiles and a last column": oracle_cases.Pooling((2, 3, 6, 7), (3, 2)),
    "tiles, dilated": oracle_cases.Pooling((1, 2, 8, 8), 2, 2, 0, 2),
    "tiles of one height": oracle_cases.Pooling((1, 2, 6, 7), (2, 3), (2, 1)),
    "ties": oracle_cases.Pooling((2, 3, 7, 8), 3, (1, 2), 1, values="ties"),
    "negative": oracle_cases.Pooling((2, 2, 5, 7), (3, 2), 1, 1, values="negative"),
    "ceil": oracle_cases.Pooling((1, 2, 7, 8), 3, (2, 3), 1, 2, True),
    "many places": oracle_cases.Pooling((1, 1, 17, 18), 16, 1, 2),
    "float32": oracle_cases.Pooling((2, 3, 6, 5), 2, values="ties", dtype="float32"),
}
# How the work is cut: bytes at once, threads, whether to lower (None: as it chooses),
# and how many multiplications are few.
CUT = {
    "pieces, lowered": (1, 3, True, 1100),
    "pieces, spread": (1, 3, False, 1100),
    "some": (1500, 3, None, 5000),
    "whole": (2**24, 1, None, 5000),
}


def poisoned(shape, dtype):
    """Return an array of NaN, or of the largest whole number: memory in use before."""
    kind = np.dtype(dtype).kind
    worst = np.nan if kind == "f" else kind == "b" or np.iinfo(dtype).max
    return np.full(shape, worst, dtype)


@pytest.fixture
def crew():
    """Set the number of threads back in the end."""
    before = threads.STATE["crew"].count
    yield
    if threads.STATE["crew"].count != before:
        threads.set_num_threads(before)


@pytest.fixture
def few(monkeypatch):
    """Return a function that sets how many multiplications are few.

    Small matrices are then multiplied without copies, as kernels for AVX-512 do: what
    follows from that is tested on machines that have others, too.
    """
    with threads.PRODUCTS:
        pass  # the libraries are found, and don't say anything else later
    monkeypatch.setattr(threads.PRODUCTS, "direct", True)

    def set_to(count):
        monkeypatch.setattr(threads, "SMALL", count)
        threads.blocks.cache_clear()

    yield set_to
    threads.blocks.cache_clear()


@pytest.fixture
def multiplied(few, monkeypatch):
    """Return the shapes of what is multiplied from now on; 5000 are few."""
    shapes, matmul = [], np.matmul

    def listen(a, b, **others):
        shapes.append((a.shape, b.shape))
        return matmul(a, b, **others)

    few(5000)
    monkeypatch.setattr(np, "matmul", listen)
    return shapes


@pytest.fixture(params=CUT)
def cut(request, monkeypatch, crew, few):
    """Cut the work in some way, on memory that holds no zeros."""
    limit, count, lowered, multiplications = CUT[request.param]
    monkeypatch.setattr(fast, "empty", poisoned)
    monkeypatch.setattr(fast, "LOWERED", limit)
    few(multiplications)
    threads.set_num_threads(count)
    if count > 1:
        monkeypatch.setattr(threads, "SHORT", -1)
    if lowered is not None:
        monkeypatch.setattr(fast, "gathers", lambda weight, g: lowered)


def results_of(module, operation, case):
    """Return what a module makes of a case, as it is recorded of PyTorch."""
    forward, backward = (getattr(module, operation + end) for end in ("", "_backward"))
    if operation.startswith("conv"):
        given, options = case.inputs(), case.options
        names = ["dx", "dweight", "dbias"]
    else:
        given, names = (case.inputs(),), ["dx"]
        average = operation == "avg_pool2d"
        options = case.avg_options if average else case.max_options
    y = forward(*given, **options)
    dy = oracle_cases.upstream(y.shape, case.seed, case.dtype)
    gradients = backward(dy, *given[:2], **options)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    found = dict(zip(("x", "weight", "bias"), given, strict=False))
    found = {name: array for name, array in found.items() if array is not None}
    return found | {"y": y, "dy": dy} | dict(zip(names, gradients, strict=True))


def assert_case(operation, case, expected):
    """Compare one of the fast operations, forward and backward."""
    forward = getattr(fast, operation)
    backward = getattr(fast, f"{operation}_backward")
    if operation.startswith("conv"):
        oracle_cases.assert_convolution(forward, case, expected)
        oracle_cases.assert_convolution_backward(backward, case, expected)
        arrays = [expected[name] for name in ("dy", "x", "weight")]
        dx, *others = backward(*arrays, **case.options, input_gradient=False)
        assert dx is None
        oracle_cases.assert_same(others[0], expected["dweight"])
        return
    options = case.avg_options if operation == "avg_pool2d" else case.max_options
    oracle_cases.assert_pooling(forward, options, expected)
    oracle_cases.assert_pooling_backward(backward, options, expected)


@pytest.mark.parametrize("name", FILTERS)
def test_fast_conv2d_equals_lowering(name, cut):
    """Odd remainders, margins wider than the kernel, strides with many phases."""
    case = FILTERS[name]
    assert_case("conv2d", case, results_of(lowering, "conv2d", case))


@pytest.mark.parametrize("name", LINES_OF)
def test_fast_conv1d_equals_lowering(name, cut):
    """The same for signals."""
    case = LINES_OF[name]
    assert_case("conv1d", case, results_of(lowering, "conv1d", case))


@pytest.mark.parametrize(
    ("operation", "name"),
    [("max_pool2d", name) for name in WINDOWED]
    + [("avg_pool2d", n) for n, case in WINDOWED.items() if case.dilation == 1],
)
def test_fast_pooling_equals_lowering(operation, name, cut):
    """Windows side by side, overlapping and dilated; ties, among them of zeros."""
    case = WINDOWED[name]
    assert_case(operation, case, results_of(lowering, operation, case))


@pytest.mark.parametrize("count", [True, False])
def test_fast_avg_pool2d_counts_as_lowering_does(count):
    """With the margin and without, which is another number in every corner."""
    x = np.random.default_rng(3).standard_normal((2, 3, 6, 8))
    options = {"kernel_size": (3, 4), "stride": (2, 3), "padding": (1, 2)}
    options |= {"ceil_mode": True, "count_include_pad": count}
    y = lowering.avg_pool2d(x, **options)
    dy = oracle_cases.upstream(y.shape, 4)
    oracle_cases.assert_same(fast.avg_pool2d(x, **options), y)
    dx = lowering.avg_pool2d_backward(dy, x, **options)
    oracle_cases.assert_same(fast.avg_pool2d_backward(dy, x, **options), dx)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["tiles", "ties", "ceil", "tiles with a margin"])
def test_fast_hand_back_of_what_is_no_number(name, value):
    """One NaN or infinity in dy stays where it belongs."""
    case = WINDOWED[name]
    x, options = case.inputs(), case.max_options
    dy = oracle_cases.upstream(lowering.max_pool2d(x, **options).shape, 5)
    dy[0, 1, 1, 1] = dy[0, 1, 1, 0] = value
    dx = lowering.max_pool2d_backward(dy, x, **options)
    oracle_cases.assert_same(fast.max_pool2d_backward(dy, x, **options), dx)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("seed", range(3))
def test_fast_maxima_of_several_nans_equal_lowering(seed, value):
    """The first NaN of a window wins; the first pixel, if all are minus infinity."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2, 2, 6, 7))
    x[rng.random(x.shape) < 0.4] = value
    x[0, 0, :3], x[1, 1, :, 4:] = value, value
    y = lowering.max_pool2d(x, 3, 2, 1)
    dy = oracle_cases.upstream(y.shape, seed)
    oracle_cases.assert_same(fast.max_pool2d(x, 3, 2, 1), y)
    dx = lowering.max_pool2d_backward(dy, x, 3, 2, 1)
    oracle_cases.assert_same(fast.max_pool2d_backward(dy, x, 3, 2, 1), dx)


@pytest.mark.filterwarnings("error")
def test_fast_is_finite():
    """One number that isn't is enough; so may be a sum that is too large."""
    for dtype in (np.float32, np.float64):
        array = np.arange(6, dtype=dtype).reshape(2, 3)
        assert fast.is_finite(array)
        assert fast.is_finite(array[:, :0])
        for bad in ([np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]):
            spoiled = array.copy()
            spoiled.flat[3 : 3 + len(bad)] = bad
            assert not fast.is_finite(spoiled)
        assert not fast.is_finite(np.full(4, np.finfo(dtype).max))


@pytest.mark.parametrize("name", ["tiles", "ties", "negative", "ceil", "float32"])
def test_fast_pool_max_rectifies_maxima(name, cut):
    """It is max(x, 0) with pooling behind it, in one: maxima, places, gradients."""
    case = WINDOWED[name]
    x, options = case.inputs(), case.max_options
    x[0, 0, 2, 3] = np.nan
    g = pooling.pool_geometry(x, **options)
    with oracle_cases.Untouched(x):
        y, index = fast.pool_max(x, g, True, rectify=True)
    rectified = np.maximum(x, x.dtype.type(0))
    expected = lowering.max_pool2d(rectified, **options)
    oracle_cases.assert_same(fast.unplanes(y, x), expected, tolerance=0)
    dy = oracle_cases.upstream(expected.shape, 6, x.dtype)
    dx = lowering.max_pool2d_backward(dy, rectified, **options) * ~(x <= 0)
    oracle_cases.assert_same(fast.unpool_max(dy, index, g, x.shape[-2:]), dx)
    places = len(list(np.ndindex(*g.kernel)))
    np.testing.assert_array_equal(index == places, y <= 0)
    assert fast.pool_max(x, g, with_index=False)[1] is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_fast_cut_off(dtype, kind):
    """What isn't above zero is nobody's; NaN stays."""
    values = np.array([-1, 0, -0.0, 2, np.nan, np.inf, -np.inf, 5], dtype)
    y = np.tile(values, 6).reshape(2, 2, 3, 4)
    index = np.arange(y.size, dtype=kind).reshape(y.shape)
    expected, alone = index.copy(), y.copy()
    expected[y <= 0] = 200
    fast.cut_off(y, index, 200)
    np.testing.assert_array_equal(index, expected, strict=True)
    fast.cut_off(alone, None, 200)
    rectified = np.tile(np.array([0, 0, 0, 2, np.nan, np.inf, 0, 5], dtype), 6)
    for found in (y, alone):
        np.testing.assert_array_equal(found, rectified.reshape(y.shape), strict=True)


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (2, 4, 5), (1, 2, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fast_planes_and_back(shape, dtype):
    """Rows, channels, columns, images; a view, where they lie like that."""
    x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    array = fast.planes(x)
    assert array.flags.c_contiguous
    assert array.dtype == dtype
    images = x.reshape(-1, *shape[-3:])
    assert array.shape == tuple(images.shape[k] for k in (2, 1, 3, 0))
    for h, c, w, n in np.ndindex(*array.shape):
        assert array[h, c, w, n] == images[n, c, h, w]
    again = fast.unplanes(array, x)
    np.testing.assert_array_equal(again, x, strict=True)
    assert np.shares_memory(again, array)
    assert np.shares_memory(fast.planes(again), array)


def test_fast_axes_of_geometries():
    """Of a convolution, with margins for both sides, and of a pooling."""
    x, weight = np.ones((1, 2, 9, 8)), np.ones((2, 2, 3, 4))
    g = convolution.conv_geometry(x, weight, None, (2, 3), (1, 2), (2, 1), 1, 2)
    assert fast.axes(g) == ((2, 1, 2), (3, 2, 1))
    g = convolution.conv_geometry(x, weight, None, 1, "same", (1, 3), 1, 2)
    assert fast.axes(g) == ((1, 1, 1), (1, 4, 3))
    g = convolution.conv_geometry(x, weight[..., :2], None, 1, "same", (1, 3), 1, 2)
    assert fast.axes(g) == ((1, 1, 1), (1, 1, 3))
    g = pooling.pool_geometry(x, (3, 4), (3, 2), (1, 2), (2, 1), False)
    assert fast.axes(g) == ((3, 1, 2), (2, 2, 1))


def test_fast_geometry_is_looked_up(monkeypatch):
    """One for each rule, shapes and options; not too many are kept."""
    monkeypatch.setattr(fast, "GEOMETRIES", {})
    found = []

    def find(*given):
        found.append(given)
        return len(found)

    def other(*given):
        return find(*given)

    x, y = np.ones((2, 3)), np.ones((2, 4))
    calls = [
        (find, (x, y), 1, 2),
        (find, (x, x), 1, 2),
        (find, (x[:1], y), 1, 2),
        (find, (x, y, x), 1, 2),
        (find, (x, y, y), 1, 2),
        (find, (x, y, None), 1, 2),
        (find, (x, y), 2, 2),
        (find, (x, y), 1, 3),
        (find, (x, y), 1.0, 2),
        (find, (x, y), True, 2),
        (find, (x, y), [1, 1], "same"),
        (other, (x, y), 1, 2),
    ]
    first = [fast.geometry(*call) for call in calls]
    assert first == list(range(1, len(calls) + 1))
    assert [fast.geometry(*call) for call in calls] == first
    assert len(found) == len(calls)
    assert all(array is x for array in (found[0][0], found[1][1]))
    for k in range(2000):
        assert fast.geometry(find, (x,), k) == len(found)
    assert len(fast.GEOMETRIES) <= 1000


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("before", [0, 2, 7])
def test_fast_meeting_lists_the_inputs_under_a_tap(stride, dilation, before):
    """Every output's input, if it has one."""
    axis = fast.Axis(stride, before, dilation)
    for tap, size in itertools.product(range(3), (1, 4, 7)):
        for outputs in (slice(0, 5), slice(2, 4), slice(5, 9)):
            to, source = fast.meeting(tap, size, axis, outputs)
            place = {
                o: o * stride + tap * dilation - before
                for o in range(outputs.start, outputs.stop)
            }
            pairs = [(o - outputs.start, i) for o, i in place.items() if 0 <= i < size]
            assert min(to.start, source.start) >= 0
            found = range(20)[to], range(20)[source]
            assert list(zip(*found, strict=True)) == pairs
            assert to.stop - to.start == len(pairs)


@pytest.mark.parametrize("outputs", [slice(0, 4), slice(1, 3), slice(3, 4)])
@pytest.mark.parametrize("name", ["square", "wide margin", "remainder", "float32"])
def test_fast_lower_lists_the_columns(name, outputs, cut):
    """For each tap of the width its pixels, zeros where it hangs over."""
    x, weight, _ = (case := FILTERS[name]).inputs()
    g = convolution.conv_geometry(x, weight, None, *case.options.values(), 2)
    (_, c, _, kw), (_, stride), (_, dilation) = weight.shape, g.stride, g.dilation
    before, after = g.padding[1]
    outputs = slice(min(outputs.start, g.output[1] - 1), min(outputs.stop, g.output[1]))
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (before, after)))
    columns = np.arange(outputs.start, outputs.stop) * stride
    taken = [padded[..., columns + v * dilation] for v in range(kw)]  # KW (N, C, H, OW)
    taken = np.array(taken).reshape(kw, len(x), g.groups, c, x.shape[2], -1)
    expected = taken.transpose(2, 4, 0, 3, 5, 1)
    expected = expected.reshape(g.groups, x.shape[2], kw * c, -1)
    lowered = fast.lower(fast.planes(x), weight, g, outputs)
    oracle_cases.assert_same(lowered, expected, tolerance=0)


ROW_AXES = [(1, 0, 1), (1, 3, 2), (2, 1, 1), (3, 6, 2), (2, 9, 3)]


@pytest.mark.parametrize("axis", ROW_AXES)
@pytest.mark.parametrize("most", [1, 2, 3, 50])
def test_fast_runs_are_as_long_as_they_can_be(axis, most):
    """Every output once, in order, with the taps that it has."""
    stride, before, dilation = axis
    spans = (0, 7), (2, 6), (3, 3)
    for height, taps, span in itertools.product((1, 6), (1, 3, 4), spans):
        inside = {
            row: [
                u
                for u in range(taps)
                if 0 <= row * stride + u * dilation - before < height
            ]
            for row in range(*span)
        }
        runs = fast.runs(height, taps, fast.Axis(*axis), *span, most)
        assert [o for start, end, *_ in runs for o in range(start, end)] == list(inside)
        for start, end, first, last in runs:
            assert 1 <= end - start <= most
            assert first <= last
            assert all(inside[o] == list(range(first, last)) for o in range(start, end))
        for (start, end, *one), (_, _, *other) in itertools.pairwise(runs):
            assert end - start == most or one != other


@pytest.mark.parametrize("axis", ROW_AXES)
@pytest.mark.parametrize("most", [1, 2, 50])
def test_fast_stacks_lists_the_rows(axis, most):
    """Every output row once, in order; the taps that it has, and their rows."""
    stride, before, dilation = axis
    source = np.random.default_rng(7).standard_normal((2, 6, 3, 4))
    for taps, outputs in itertools.product((1, 3, 4), (slice(0, 7), slice(2, 6))):
        after, seen = 40, []
        padded = np.pad(source, ((0, 0), (before, after), (0, 0), (0, 0)))
        given = (source, taps, fast.Axis(*axis), outputs, most)
        for rows, used, stack in fast.stacks(*given):
            assert 1 <= rows.stop - rows.start <= most
            numbers = range(rows.start, rows.stop)
            seen += numbers
            for k, row in enumerate(numbers):
                top = (row + outputs.start) * stride
                inside = [
                    u for u in range(taps) if 0 <= top + u * dilation - before < 6
                ]
                assert list(range(taps)[used]) == inside
                expected = padded[:, [top + u * dilation for u in inside]]
                expected = expected.reshape(2, len(inside) * 3, 4)
                oracle_cases.assert_same(stack[:, k], expected, tolerance=0)
        assert seen == list(range(outputs.stop - outputs.start))
        runs = [rows for rows, *_ in fast.stacks(*given[:4], 50)]
        assert dilation > 1 or len(runs) <= 2 * taps + 1


def test_fast_cut_lists_the_columns():
    """Block after block, as a view."""
    array = np.arange(2 * 3 * 4 * 12).reshape(2, 3, 4, 12)
    for matrices in (array, array[:, ::2], array[0, 0]):
        for count in (1, 2, 3, 12):
            blocks, size = fast.cut(matrices, count), 12 // count
            assert blocks.shape == (*matrices.shape[:-2], count, 4, size)
            assert np.shares_memory(blocks, array)
            for k in range(count):
                columns = matrices[..., k * size : (k + 1) * size]
                np.testing.assert_array_equal(blocks[..., k, :, :], columns)


@pytest.mark.parametrize(
    ("n", "count"),
    [(256, 4), (512, 8), (192, 3), (130, 2), (320, 5), (250, 1), (100, 1), (64, 1)],
)
def test_fast_multiply_in_blocks(n, count, multiplied):
    """Of 64 columns or more, with few multiplications, where all are as wide."""
    rng = np.random.default_rng(18)
    matrix = rng.standard_normal((2, 1, 6, 12))
    stack = rng.standard_normal((2, 2, 12, n))
    whole = np.full((2, 4, 6, n), np.nan)
    fast.multiply(matrix, stack, whole[:, 1:3])
    oracle_cases.assert_same(whole[:, 1:3], matrix @ stack)
    assert np.isnan(whole[:, ::3]).all()
    assert [right[-1] for _, right in multiplied] == [n // count]


@pytest.mark.parametrize(("images", "count"), [(30, 1), (32, 2), (48, 3), (31, 1)])
def test_fast_weight_gradients_in_blocks(images, count, multiplied):
    """Of 256 columns or more: their sum is that of the whole."""
    case = oracle_cases.Convolution((images, 4, 3, 17), (4, 2, 2, 2), groups=2)
    x, weight, bias = case.inputs()
    g = convolution.conv_geometry(x, weight, bias, **case.options, dimensions=2)
    dy = oracle_cases.upstream((images, 4, 2, 16), 19)
    _, dweight, dbias = lowering.conv2d_backward(dy, x, weight, **case.options)
    multiplied.clear()
    found = fast.weight_gradients(fast.planes(x), weight, g, fast.planes(dy))
    assert {right[-2] for _, right in multiplied} == {16 * images // count}
    oracle_cases.assert_same(found[0], dweight)
    oracle_cases.assert_same(found[1], dbias)


@pytest.mark.parametrize("lowered", [True, False])
def test_fast_products_in_blocks(lowered, multiplied, monkeypatch):
    """Both ways to convolve have more than one, and so have both on the way back."""
    case = FILTERS["many images"]
    expected = results_of(lowering, "conv2d", case)
    multiplied.clear()
    monkeypatch.setattr(fast, "gathers", lambda weight, g: lowered)
    assert_case("conv2d", case, expected)
    in_blocks = [right for _, right in multiplied if len(right) == 5 and right[2] > 1]
    assert len(in_blocks) >= 4


def test_fast_add_products_of_small_matrices():
    """Every tap's products, added to the columns that it meets."""
    rng = np.random.default_rng(8)
    part = rng.standard_normal((2, 3, 4, 5, 2))
    before = part.copy()
    matrix, stack = (
        rng.standard_normal((2, 1, 8, 6)),
        rng.standard_normal((2, 2, 4, 12)),
    )
    pairs = [(slice(1, 4), slice(0, 6, 2)), (slice(0, 2), slice(3, 5))]
    stacks = [(slice(1, 3), slice(1, 3), stack)]  # of 3 taps with 2 rows each
    fast.add_products(part, matrix, stacks, pairs)
    products = np.einsum("gfd,grdn->grfn", matrix[:, 0, :, 2:], stack)
    products = products.reshape(2, 2, 2, 4, 6, 2)
    before[:, 1:, :, 1:4] += products[:, :, 0, :, 0:6:2]
    before[:, 1:, :, 0:2] += products[:, :, 1, :, 3:5]
    oracle_cases.assert_same(part, before)


@pytest.mark.parametrize(
    ("weight", "stride", "groups", "expected"),
    [
        ((8, 3, 3, 3), 1, 1, True),
        ((4, 8, 3, 3), 1, 1, False),
        ((4, 8, 3, 3), (1, 2), 1, True),
        ((4, 8, 3, 3), (2, 1), 1, False),
        ((8, 2, 3, 3), 1, 4, False),
        ((4, 4, 2, 9), 1, 1, False),
        ((4, 2, 2, 9), 1, 1, True),
    ],
)
def test_fast_gathers_where_that_copies_less(weight, stride, groups, expected):
    """Columns of all channels against products of all filters."""
    x, weight = np.ones((1, weight[1] * groups, 12, 12)), np.ones(weight)
    g = convolution.conv_geometry(x, weight, None, stride, 0, 1, groups, 2)
    assert fast.gathers(weight, g) == expected


@pytest.mark.parametrize("which", ["images", "filters", "pixels", "channels", "kernel"])
def test_fast_duration_grows_with_the_work(which):
    """Twice the work takes about twice as long."""
    n, f, c, size, kernel = 3, 8, 16, 40, (3, 3)

    def guess(n, f, c, size, kernel):
        x, weight = np.ones((n, c, size, 40)), np.ones((f, c, *kernel))
        g = convolution.conv_geometry(x, weight, None, 1, "same", 1, 1, 2)
        return fast.duration(weight, g, n)

    more = {
        "images": (2 * n, f, c, size, kernel),
        "filters": (n, 2 * f, c, size, kernel),
        "pixels": (n, f, c, 2 * size, kernel),
        "channels": (n, f, 2 * c, size, kernel),
        "kernel": (n, f, c, size, (6, 3)),
    }
    factor = guess(*more[which]) / guess(n, f, c, size, kernel)
    assert 1.8 < factor <= 2.1


@pytest.mark.parametrize("name", ["tiles", "ties", "ceil"])
@pytest.mark.parametrize("rows", [slice(None), slice(0, 1), slice(1, 2), slice(1, 3)])
def test_fast_window_places_in_reading_order(name, rows):
    """Each place of the window: the windows that have a pixel there, and the pixels."""
    case = WINDOWED[name]
    x = case.inputs()
    g = pooling.pool_geometry(x, **case.max_options)
    array, rows = fast.planes(x), range(g.output[0])[rows]
    places = list(fast.window_places(g, x.shape[-2:], rows.start, rows.stop))
    assert len(places) == np.prod(g.kernel)
    axes = list(fast.axes(g))
    for (u, v), (to, at) in zip(np.ndindex(*g.kernel), places, strict=True):
        full = np.full((len(rows), x.shape[1], g.output[1], len(x)), np.nan)
        full[to] = array[at]
        for i, j in itertools.product(rows, range(g.output[1])):
            row = i * axes[0].stride + u * axes[0].dilation - axes[0].before
            column = j * axes[1].stride + v * axes[1].dilation - axes[1].before
            inside = 0 <= row < x.shape[2] and 0 <= column < x.shape[3]
            expected = array[row, :, column] if inside else np.nan
            np.testing.assert_array_equal(full[i - rows.start, :, j], expected)


# Threads.


def in_time(function):
    """Return what a function returns, or raise what it raises, unless it hangs."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(2)
    assert outcome, "it hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def test_threads_of_the_machine(monkeypatch):
    """What the system lets us have, lowered by a variable, as for PyTorch."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {1, 3, 4}, raising=False)
    for asked, count in {"": 3, "2": 2, "8": 3, "0": 3, "all": 3, "3": 3}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert threads.machine_threads() == count
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert threads.machine_threads() == 1


class Library:
    """A library for matrix products that only knows how many threads it may use."""

    def __init__(self, count):
        self.count = count

    def get_num_threads(self):
        """Return the number."""
        return self.count

    def set_num_threads(self, count):
        """Set the number."""
        self.count = count


def test_threads_hold_products(monkeypatch):
    """One thread inside, and outside what it was; the libraries are looked for once."""
    libraries, looked = [Library(4), Library(7), Library(1)], []

    def find(self):
        looked.append(1)
        return libraries

    monkeypatch.setattr(threads.Products, "find", find)
    products = threads.Products()
    for _ in range(2):
        with products:
            assert [library.count for library in libraries] == [1, 1, 1]
        assert [library.count for library in libraries] == [4, 7, 1]
    assert len(looked) == 1
    with products:
        for library in libraries:
            library.count += 1  # by somebody else
        with products:
            pass
        assert [library.count for library in libraries] == [2, 2, 2]
    assert [library.count for library in libraries] == [4, 7, 1]
    assert not products.inside and not products.direct
    libraries[1].architecture = "Haswell"
    libraries[2].architecture = "SkylakeX"
    products.libraries = None
    with products:
        assert products.direct


def test_threads_hold_no_products_after_an_interrupt(monkeypatch):
    """If the last of the libraries can't be told, the first is let go again."""
    libraries = [Library(4), Library(7)]

    def interrupted(count):
        if count == 1:
            raise KeyboardInterrupt
        libraries[1].count = count

    libraries[1].set_num_threads = interrupted
    products = threads.Products()
    products.libraries = libraries
    with pytest.raises(KeyboardInterrupt), products:
        raise AssertionError("it wasn't entered")
    assert [library.count for library in libraries] == [4, 7]
    assert not products.inside


def test_threads_hold_products_while_they_work(monkeypatch, crew):
    """In a task, also alone, a product keeps to its thread."""
    library, seen = Library(5), []
    monkeypatch.setattr(threads.PRODUCTS, "libraries", [library])
    for count in (1, 2):
        threads.set_num_threads(count)
        threads.in_parallel(lambda job: seen.append(library.count), range(4))
        assert library.count == 5
    assert seen == [1] * 8


class Cores:
    """Cores 0 to 3, and which of them each thread keeps to."""

    def __init__(self, monkeypatch):
        self.mine = {}
        for name in ("sched_getaffinity", "sched_setaffinity"):
            monkeypatch.setattr(os, name, getattr(self, name), raising=False)

    def sched_getaffinity(self, who):
        """Return the cores of this thread."""
        return set(self.mine.get(threading.get_ident(), range(4)))

    def sched_setaffinity(self, who, cores):
        """Set the cores of this thread."""
        self.mine[threading.get_ident()] = set(cores)


def together(count):
    """Return how many threads `count` jobs ran on that waited for one another."""
    barrier, seen = threading.Barrier(count, timeout=0.5), set()

    def task(job):
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()
            seen.add(threading.get_ident())

    threads.in_parallel(task, range(count))
    return len(seen)


def test_threads_keep_to_cores_of_their_own(monkeypatch, crew):
    """The caller's too while it waits for the others, and then no longer."""
    cores = Cores(monkeypatch)
    threads.set_num_threads(3)
    during = []
    barrier = threading.Barrier(3, timeout=0.5)

    def task(job):
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()
        during.append(cores.sched_getaffinity(0))

    for _ in range(2):
        during.clear()
        threads.in_parallel(task, range(3))
        assert sorted(map(sorted, during)) == [[0, 3], [1], [2]]
        assert cores.sched_getaffinity(0) == {0, 1, 2, 3}


def alive(expected):
    """Return how many threads there are, once those have ended that are about to."""
    for _ in range(50):
        if threading.active_count() == expected:
            break
        time.sleep(0.01)
    return threading.active_count()


def test_threads_start_once_and_end(crew):
    """As many as were set, with the caller's own; a next number lets them go."""
    threads.set_num_threads(1)
    before = alive(1)
    for count in (4, 2, 3, 1):
        threads.set_num_threads(count)
        assert threads.get_num_threads() == count
        for _ in range(2):
            assert together(count) == count
        assert alive(before + count - 1) == before + count - 1


def test_threads_end_that_are_let_go_at_work(crew):
    """They do what they have begun, and nothing more."""
    threads.set_num_threads(1)
    before = alive(1)
    threads.set_num_threads(3)
    barrier, done = threading.Barrier(3, timeout=1), []

    def task(job):
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()
        if job == 0:
            threads.set_num_threads(1)
        done.append(job)

    threads.in_parallel(task, range(3))
    assert sorted(done) == [0, 1, 2]
    assert threads.get_num_threads() == 1
    assert alive(before) == before


def test_threads_are_counted_from_one(crew):
    """Neither none nor a part of one; what was set stays."""
    threads.set_num_threads(2)
    for count in (0, -1, 1.5, True):
        with pytest.raises((TypeError, ValueError), match="count"):
            threads.set_num_threads(count)
    assert threads.get_num_threads() == 2


def test_threads_after_a_fork(crew):
    """Nobody has started yet, but as many are wanted."""
    threads.set_num_threads(3)
    assert together(3) == 3
    parent = threads.STATE["crew"]
    products = threads.PRODUCTS
    with products:
        lock, inside = products.lock, products.inside
        inside[-1] = 1  # another thread
        threads.start_over()
        assert products.lock is not lock
        assert products.inside == {threading.get_ident(): 1}
    assert not products.inside
    products.lock = lock
    assert threads.get_num_threads() == 3
    assert threads.STATE["crew"] is not parent
    assert not threads.STATE["crew"].threads
    assert together(3) == 3
    parent.dismiss()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_threads_do_every_job_once(count, crew):
    """On however many threads, also none of nothing."""
    threads.set_num_threads(count)
    for total in (0, 1, 2, 3, 20):
        done = []
        jobs = iter(range(total))
        in_time(functools.partial(threads.in_parallel, done.append, jobs))
        assert sorted(done) == list(range(total))
        done = []
        threads.in_parallel(done.append, range(total), seconds=0)
        assert done == list(range(total))  # in order, on this thread


def test_threads_stay_one_for_short_work(crew):
    """What isn't worth a second thread is done on this one."""
    threads.set_num_threads(3)
    for seconds, expected in ((0, True), (threads.SHORT / 2, True), (1, False)):
        seen = set()

        def task(job, seen=seen):
            time.sleep(0.003)
            seen.add(threading.get_ident())

        threads.in_parallel(task, range(6), seconds=seconds)
        assert (seen == {threading.get_ident()}) == expected


def test_threads_within_threads(crew):
    """A task may ask for threads; then it does the work itself."""
    threads.set_num_threads(2)
    done = []

    def task(job):
        threads.in_parallel(lambda inner: done.append((job, inner)), range(3))

    in_time(lambda: threads.in_parallel(task, range(4)))
    assert sorted(done) == list(itertools.product(range(4), range(3)))


def test_threads_do_not_help_within_a_task(crew):
    """Also if they have nothing to do: the work is shared already."""
    threads.set_num_threads(3)
    barrier, elsewhere = threading.Barrier(3, timeout=0.5), []

    def work():
        caller = threading.get_ident()

        def inner(job):
            time.sleep(0.01)
            if threading.get_ident() != caller:
                elsewhere.append(job)

        def task(job):
            barrier.wait()
            if threading.get_ident() == caller:
                threads.in_parallel(inner, range(4))

        threads.in_parallel(task, range(3))

    in_time(work)
    assert not elsewhere


def test_threads_of_somebody_else_do_not_help(crew):
    """Who doesn't have the crew works alone, also if it is doing nothing."""
    threads.set_num_threads(2)

    def other():
        seen = set()

        def task(job):
            time.sleep(0.01)
            seen.add(threading.get_ident())

        threads.in_parallel(task, range(4))
        return seen == {threading.get_ident()}

    with threads.at_work():
        assert in_time(other)
        assert together(2) == 2
    assert not in_time(other)


def test_threads_at_work_until_the_end(crew, monkeypatch):
    """The crew, and products on one thread, also for those within, and after errors."""
    library = Library(5)
    monkeypatch.setattr(threads.PRODUCTS, "libraries", [library])
    threads.set_num_threads(2)
    here, mine = threads.STATE["crew"], threading.get_ident()
    outer = threads.at_work()
    outer.__enter__()
    assert (library.count, here.held) == (1, {"by": mine})
    with threads.at_work():
        assert together(2) == 2
    assert (library.count, here.held) == (1, {"by": mine})
    assert together(2) == 2
    outer.__exit__(None, None, None)
    assert (library.count, here.held) == (5, {})
    assert here.claim()
    here.release()
    with pytest.raises(KeyError), threads.at_work():
        raise KeyError
    assert (library.count, here.held) == (5, {})
    assert here.claim()
    here.release()


def test_threads_are_claimed_by_one(crew):
    """Nobody waits for a crew, and one that leaves is nobody's."""
    crew = threads.Crew(2)
    mine = {"by": threading.get_ident()}
    assert crew.claim() and crew.claim()
    assert crew.held == mine
    assert not in_time(crew.claim)
    in_time(crew.release)
    assert crew.held == mine
    crew.release()
    assert not crew.held
    crew.dismiss()
    assert not crew.claim()
    crew.release()
    assert not crew.claim()


def test_threads_that_come_late_do_nothing(crew):
    """Nobody waits for them, and for them, too, the work is over."""
    threads.set_num_threads(2)
    threads.in_parallel(lambda job: None, range(2))
    inbox, gate, done = threads.STATE["crew"].inbox, threading.Event(), []
    inbox.put(lambda: gate.wait(9))

    def task(job):
        done.append(job)
        if job == 1:
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        in_time(lambda: threads.in_parallel(task, range(5)))
    gate.set()
    here = threading.Event()
    inbox.put(here.set)
    assert here.wait(2)
    assert done == [0, 1]


def test_threads_are_waited_for(crew):
    """The work is over when the last one is done."""
    threads.set_num_threads(3)
    barrier, done = threading.Barrier(3, timeout=0.5), []
    caller, last = threading.get_ident(), threading.Lock()

    def task(job):
        barrier.wait()
        if threading.get_ident() != caller and last.acquire(blocking=False):
            time.sleep(0.05)
        done.append(job)

    threads.in_parallel(task, range(3))
    assert sorted(done) == [0, 1, 2]


def test_threads_have_the_callers_settings(crew):
    """What NumPy makes of errors is the same for all of the work."""
    threads.set_num_threads(3)
    barrier, seen = threading.Barrier(3, timeout=0.5), []

    def task(job):
        barrier.wait()
        seen.append(np.geterr()["over"])

    with np.errstate(over="call"):
        threads.in_parallel(task, range(3))
    assert seen == ["call"] * 3


def test_threads_keep_nothing_of_what_they_did(crew):
    """When the work is done, the arrays that it needed can be given back."""
    threads.set_num_threads(2)

    class Array(np.ndarray):
        pass

    def work():
        array = np.zeros(3).view(Array)
        threads.in_parallel(lambda job: array.sum(), range(4))
        return weakref.ref(array)

    kept = work()
    for _ in range(50):
        if kept() is None:
            break
        time.sleep(0.01)
    assert kept() is None


@pytest.mark.parametrize("count", [1, 3])
def test_threads_raise_any_error(count, crew):
    """Also those that end a process, and one that could mean the end of the jobs."""
    threads.set_num_threads(count)
    barrier = threading.Barrier(count, timeout=0.5)
    for error in (IndexError, KeyboardInterrupt, SystemExit, StopIteration):

        def task(job, error=error):
            barrier.wait()
            raise error("wrong")

        with pytest.raises(error, match="wrong"):
            in_time(functools.partial(threads.in_parallel, task, range(count)))


@pytest.mark.parametrize("where", ["here", "elsewhere", "everywhere"])
def test_threads_raise_what_a_task_raises(where, crew):
    """On this thread or another; and nobody is left at work."""
    threads.set_num_threads(3)
    done, barrier = [], threading.Barrier(3, timeout=0.5)

    def work():
        me = threading.get_ident()

        def task(job):
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait()
            mine = threading.get_ident() == me
            if where == "everywhere" or mine == (where == "here"):
                raise KeyError(job)
            time.sleep(0.02)
            done.append(job)

        threads.in_parallel(task, range(3))

    with pytest.raises(KeyError):
        in_time(work)
    assert len(done) == {"here": 2, "elsewhere": 1, "everywhere": 0}[where]
    assert together(3) == 3


@pytest.mark.parametrize("count", [1, 3])
def test_threads_pieces(count, crew):
    """Slices that follow one another, of about equal length, as many as needed."""
    threads.set_num_threads(count)
    for total, most in itertools.product((0, 1, 2, 7, 12), (0, 1, 3, 5, 12, 99)):
        for seconds in (0, threads.SHORT / 2, 1):
            cut = threads.pieces(total, most, seconds)
            numbers = [k for piece in cut for k in range(total + 9)[piece]]
            assert numbers == list(range(total))
            assert all(type(piece.start) is type(piece.stop) is int for piece in cut)
            sizes = [piece.stop - piece.start for piece in cut]
            needed = -(-total // max(1, most))
            wanted = min(count, total) if seconds > threads.SHORT else 0
            assert len(sizes) == max(needed, wanted)
            assert max(sizes, default=0) - min(sizes, default=0) <= 1
            assert min(sizes, default=1) >= 1


@pytest.mark.parametrize("least", [1, 4, 64])
def test_threads_blocks(least, few, monkeypatch):
    """The fewest of equal size that are small; of one block, if there are none."""
    few(1000)
    assert threads.blocks(40, 100, 1) == 4
    threads.blocks.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(threads.PRODUCTS, "direct", False)
        assert threads.blocks(40, 100, 1) == 1
    threads.blocks.cache_clear()
    for total in (0, 1, 2, 7, 30, 64, 67, 96, 130, 134, 256):
        for each in (0, 1, 15, 29, 30, 44, 500, 1001):
            needed = max(1, math.ceil(total * each / 1000))
            counts = [
                count
                for count in range(needed, needed + 64)
                if total % count == 0 and total // count >= least
            ]
            assert threads.blocks(total, each, least) == (counts or [1])[0]


@pytest.mark.parametrize("k", [1, 63, 64, 200, 0])
def test_threads_products_without_a_library(monkeypatch, k):
    """As in a browser: long sums by einsum, for matrices and stacks, in any layout."""
    rng = np.random.default_rng(k)
    monkeypatch.setattr(threads, "LIBRARY", False)
    for dtype, close in ((np.float32, 1e-4), (np.float64, 1e-12)):
        a, b = rng.normal(size=(7, k)).astype(dtype), rng.normal(size=(k, 5))
        for first in (a, np.asfortranarray(a), a[::-1]):
            for second in (b.astype(dtype), np.asfortranarray(b.astype(dtype))):
                found = threads.product(first, second)
                assert found.dtype == dtype
                assert np.allclose(found, first @ second, atol=close)
        stack = rng.normal(size=(2, 3, k, 5)).astype(dtype)
        out = np.full((2, 3, 7, 5), np.nan, dtype)
        threads.write_product(a[None, None], stack, out)
        assert np.allclose(out, a @ stack, atol=close)
        tall = rng.normal(size=(2, 3, 4, k)).astype(dtype)
        out = np.full((2, 3, 4, 5), np.nan, dtype)
        threads.write_product(tall, stack, out)
        assert np.allclose(out, tall @ stack, atol=close)


@pytest.mark.parametrize(("library", "k"), [(True, 64), (False, 63), (False, 64)])
def test_threads_who_multiplies(monkeypatch, library, k):
    """A library, if there is one; without, einsum of long sums that lie in a row."""
    calls, matmul, einsum = [], np.matmul, np.einsum

    def by_einsum(subscripts, *operands, **others):
        calls.append("einsum")
        for operand in operands:
            assert operand.strides[-1] == operand.itemsize
        return einsum(subscripts, *operands, **others)

    def by_matmul(*operands, **others):
        calls.append("matmul")
        return matmul(*operands, **others)

    a = np.random.default_rng(k).normal(size=(k, 7)).T
    b = np.ascontiguousarray(a.T)
    out = np.empty((7, 7), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(threads, "LIBRARY", library)
        patch.setattr(np, "einsum", by_einsum)
        patch.setattr(np, "matmul", by_matmul)
        threads.write_product(a, b, out)
        assert calls == ["einsum" if not library and k >= 64 else "matmul"]
        with pytest.raises(ValueError, match="mismatch"):
            threads.write_product(a, np.ones((1, 7)), out)
        with pytest.raises(ValueError, match="mismatch"):
            threads.product(a, np.ones((1, 7)))
    assert np.allclose(out, a @ b, rtol=1e-5)


@pytest.mark.parametrize(("rows", "count"), [(40, 8), (12, 3), (23, 1), (4, 1)])
def test_threads_multiply_in_blocks(rows, count, multiplied, crew):
    """Of 4 rows or more, with few multiplications, where that needs no copies."""
    threads.set_num_threads(1)
    rng = np.random.default_rng(20)
    a, b = rng.standard_normal((rows, 10)), rng.standard_normal((10, 100))
    for left, right, blocks in (
        (a, b, count),
        (np.asfortranarray(a), b, count),
        (a, np.asfortranarray(b), 1),
    ):
        multiplied.clear()
        oracle_cases.assert_same(threads.product(left, right), a @ b)
        assert [shape for shape, _ in multiplied] == [(blocks, rows // blocks, 10)]


@pytest.mark.parametrize("count", [1, 3])
def test_threads_share_a_product(count, crew, monkeypatch):
    """It is NumPy's, of any layout and dtype, and of nothing."""
    monkeypatch.setattr(threads, "SHORT", -1)
    threads.set_num_threads(count)
    rng = np.random.default_rng(9)
    for m, k, n in ((7, 5, 4), (1, 3, 6), (2, 4, 1), (0, 3, 2), (3, 0, 2), (4, 2, 0)):
        for left, right in ("dd", "ff", "fd", "df"):
            a = rng.standard_normal((m, k)).astype(left)
            b = rng.standard_normal((k, n)).astype(right)
            with oracle_cases.Untouched(a, b):
                y = threads.product(a, b)
            oracle_cases.assert_same(y, a @ b)
            flipped = threads.product(np.asfortranarray(a), b[:, ::-1])
            oracle_cases.assert_same(flipped, (a @ b)[:, ::-1])


def test_threads_cut_a_large_product(crew, monkeypatch):
    """A long one is shared out, a short one isn't."""
    threads.set_num_threads(2)
    jobs, in_parallel = [], threads.in_parallel

    def listen(task, rows, *others):
        jobs.append(len(rows))
        in_parallel(task, rows, *others)

    monkeypatch.setattr(threads, "in_parallel", listen)
    threads.product(np.ones((300, 300)), np.ones((300, 300)))
    threads.product(np.ones((9, 9)), np.ones((9, 9)))
    assert jobs == [2, 1]


@pytest.fixture
def buffers(monkeypatch):
    """Return memory of no array yet, of which little is kept."""
    monkeypatch.setattr(threads, "KEEP", 10_000)
    monkeypatch.setattr(threads, "LEAST", 100)
    monkeypatch.setattr(threads, "BUFFERS", threads.Buffers())
    return threads.BUFFERS


def place(array):
    """Return where an array begins in memory."""
    return array.__array_interface__["data"][0]


def test_threads_use_memory_again(buffers):
    """Once neither an array nor a view of it is left, but never before."""
    first = threads.empty((20, 10), np.float32)
    second = threads.empty((20, 10), np.float32)
    assert (first.shape, first.dtype) == ((20, 10), np.float32)
    assert first.flags.c_contiguous
    assert not np.shares_memory(first, second)
    held, corner = place(first), first[3:, 2:]
    del first
    third = threads.empty((20, 10), np.float32)
    assert not np.shares_memory(third, corner)
    del corner
    fourth = threads.empty((95,), np.float64)  # a little smaller, and fits
    assert place(fourth) == held
    fourth[...] = second[...] = third[...] = 0
    assert not np.shares_memory(fourth, second)
    assert not np.shares_memory(fourth, third)


@pytest.mark.parametrize(("size", "fits"), [(750, False), (801, False), (700, True)])
def test_threads_use_memory_that_fits(buffers, size, fits):
    """Not much larger than what is asked for, and never smaller."""
    held = threads.empty((800,), np.uint8)
    where = place(held)
    del held
    asked = {750: 500, 801: 801, 700: 700}[size]
    array = threads.empty((asked,), np.uint8)
    assert array.size == asked
    assert (place(array) == where) == fits
    array[...] = 1


def test_threads_keep_a_limited_amount_of_memory(buffers):
    """The oldest goes first; what is in use stays."""
    arrays = [threads.empty((n,), np.uint8) for n in (4000, 3000, 2000)]
    used = arrays[1]
    assert [buffer.size for buffer in buffers.kept] == [4000, 3000, 2000]
    del arrays
    large = threads.empty((4800,), np.uint8)
    assert [buffer.size for buffer in buffers.kept] == [3000, 2000, 4800]
    larger = threads.empty((9000,), np.uint8)
    assert [buffer.size for buffer in buffers.kept] == [3000, 4800, 9000]
    for array in (used, large, larger):
        array[...] = 1
    del array, used, large, larger
    buffers.forget(9000)
    assert [buffer.size for buffer in buffers.kept] == [9000]


def test_threads_have_memory_of_their_own(buffers):
    """What one thread lets go, another one doesn't get."""
    held = threads.empty((500,), np.uint8)
    where, found = place(held), []
    del held

    def other():
        found.append(place(threads.empty((500,), np.uint8)))
        found.append(len(threads.BUFFERS.kept))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found[0] != where
    assert found[1] == 1
    assert place(threads.empty((500,), np.uint8)) == where


def test_threads_leave_small_arrays_to_numpy(buffers):
    """Only large ones are kept, but not too large ones."""
    small = threads.empty((4, 6), np.float32)
    assert (small.shape, small.dtype) == ((4, 6), np.float32)
    assert not buffers.kept
    large = threads.empty((5, 5), np.float32)
    assert (large.shape, large.dtype) == ((5, 5), np.float32)
    assert len(buffers.kept) == 1
    larger = threads.empty((20_000,), np.uint8)  # more than may be kept
    assert larger.shape == (20_000,)
    assert len(buffers.kept) == 1


# Layers on them.


def pooled_layers():
    """Return a small network in which a ReLU stands before a pooling."""
    return layers.Sequential(
        layers.Conv2d(2, 4, 3, padding=1, rng=0),
        layers.ReLU(),
        layers.MaxPool2d(3, 2, 1),
        layers.Residual(layers.Conv2d(4, 4, 1, bias=False, rng=1)),
        layers.Flatten(),
        layers.Linear(64, 5, rng=2),
    ).astype(np.float64)


def learning_layers():
    """Return layers with parameters, and what they take."""
    grouped = layers.Conv2d(4, 6, 3, 2, 1, groups=2, rng=3)
    return {
        "Conv2d": (grouped, (3, 4, 6, 7)),
        "Conv1d": (layers.Conv1d(2, 3, 3, rng=4), (3, 2, 8)),
        "Linear": (layers.Linear(6, 4, rng=5), (3, 6)),
        "Residual": (layers.Residual(layers.Linear(6, 6, rng=6)), (3, 6)),
        "LocallyConnected2d": (
            layers.LocallyConnected2d(2, 3, 5, 2, rng=7),
            (2, 2, 5, 5),
        ),
        "Sequential": (pooled_layers(), (2, 2, 7, 8)),
    }


class Listening(layers.Layer):
    """A layer that changes nothing, and notes who has the crew."""

    def __init__(self):
        self.heard = []

    def forward(self, x):
        """Return x."""
        self.heard.append(threads.STATE["crew"].held.get("by"))
        return x


def test_layers_keep_the_crew_for_all_of_them(crew):
    """It is claimed before the first, and let go behind the last."""
    threads.set_num_threads(2)
    model = layers.Sequential(Listening(), Listening())
    model(np.ones((1, 2)))
    assert [layer.heard for layer in model] == [[threading.get_ident()]] * 2
    assert not threads.STATE["crew"].held


def test_training_keeps_the_crew_for_a_step(crew):
    """From the first layer until the weights have moved."""
    threads.set_num_threads(2)
    layer, heard = layers.Linear(3, 2, rng=0), []
    optimizer, step = optimizers.SGD(layer.parameters(), 0.1), optimizers.SGD.step

    def listen(*given):
        heard.append(threads.STATE["crew"].held.get("by"))
        return losses.CrossEntropyLoss()(*given) if given else step(optimizer)

    optimizer.step = listen
    before = layer.weight.data.copy()
    training.train_step(layer, np.ones((2, 3)), np.array([0, 1]), listen, optimizer)
    assert heard == [threading.get_ident()] * 2
    assert (layer.weight.data != before).any()
    assert not threads.STATE["crew"].held


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_bring_images_in_order_once(dtype):
    """What a convolution remembers needs no copy on the way back; x is as it was."""
    layer = layers.Conv2d(2, 3, (3, 2), padding=1, rng=9)
    x = np.random.default_rng(21).standard_normal((3, 2, 5, 6)).astype(dtype)
    layer.astype(dtype)
    for images in (x, oracle_cases.transposed(x), x[0]):
        with oracle_cases.Untouched(images):
            y = layer(images)
        known = layer.weight.data, layer.bias.data
        expected = lowering.conv2d(images, *known, padding=1)
        oracle_cases.assert_same(y, expected)
        kept = layer.remembered()
        np.testing.assert_array_equal(kept, images, strict=True)
        assert images.ndim < 4 or np.shares_memory(fast.planes(kept), kept)


@pytest.mark.parametrize("name", learning_layers())
def test_layers_accumulate_what_backward_does(name):
    """The same gradients, twice as much the second time, and none of the input."""
    layer, shape = learning_layers()[name]
    layer.astype(np.float64)
    x = np.random.default_rng(10).standard_normal(shape)
    dy = oracle_cases.upstream(layer(x).shape, 10)
    layer.backward(dy)
    expected = [p.grad.copy() for p in layer.parameters()]
    assert all(gradient.any() for gradient in expected)
    layer.zero_grad()
    for factor in (1, 2):
        layer(x)
        assert layer.accumulate(dy) is None
        for p, gradient in zip(layer.parameters(), expected, strict=True):
            oracle_cases.assert_same(p.grad, factor * gradient)


def test_layers_parameter_collects_gradients():
    """The first is kept, the next are added; the dtype is the parameter's."""
    p = layers.Parameter(np.ones((2, 3), np.float32))
    first, second = np.arange(12.0).reshape(2, 2, 3).astype(np.float32)
    p.add(first.copy())
    np.testing.assert_array_equal(p.grad, first, strict=True)
    p.add(second.copy())
    p.add(second.copy())
    np.testing.assert_array_equal(p.grad, first + 2 * second, strict=True)
    p.clear()
    np.testing.assert_array_equal(p.grad, np.zeros_like(first), strict=True)
    p.add(second.ravel().copy().reshape(2, 3))
    np.testing.assert_array_equal(p.grad, second, strict=True)
    p.clear()
    p.add(first.astype(np.float64))
    np.testing.assert_array_equal(p.grad, first, strict=True)
    given = np.full_like(first, 7)
    p.grad = given
    p.add(second)
    assert p.grad is given
    np.testing.assert_array_equal(given, 7 + second, strict=True)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pool", [(2,), (3, 2, 1), (2, 1)])
def test_layers_relu_before_pooling_is_relu_and_pooling(pool, training):
    """Done in one, or one after the other; also a second time, and with ties."""
    x = np.round(np.random.default_rng(11).standard_normal((2, 3, 6, 7)) - 0.3)
    model = layers.Sequential(layers.ReLU(), layers.MaxPool2d(*pool)).train(training)
    relu, pooling_alone = layers.ReLU(), layers.MaxPool2d(*pool)
    for images in (-x, x):
        expected = pooling_alone(relu(images))
        dy = oracle_cases.upstream(expected.shape, 11)
        with oracle_cases.Untouched(images, dy):
            oracle_cases.assert_same(model(images), expected, tolerance=0)
            dx = relu.backward(pooling_alone.backward(dy))
            oracle_cases.assert_same(model.backward(dy), dx, tolerance=0)


class Shifted(layers.ReLU):
    """Another function than ReLU."""

    def forward(self, x):
        """Return max(x, 0) + 1."""
        return super().forward(x) + 1


def test_layers_before_pooling_that_are_no_relu():
    """They all run, and so does a ReLU with a forward of its own."""
    x = np.random.default_rng(12).standard_normal((2, 3, 4, 4))
    for first in (layers.Sigmoid(), Shifted(), layers.Residual(layers.ReLU())):
        model = layers.Sequential(first, layers.MaxPool2d(2))
        oracle_cases.assert_same(model(x), lowering.max_pool2d(first(x), 2))
    for k in (0, 1):
        model, seen = layers.Sequential(layers.ReLU(), layers.MaxPool2d(2)), []
        forward = model[k].forward

        def watch(x, forward=forward, seen=seen):
            seen.append(x)
            return forward(x)

        model[k].forward = watch
        y = lowering.max_pool2d(np.maximum(x, 0), 2)
        oracle_cases.assert_same(model(x), y)
        assert len(seen) == 1
        expected = x if k == 0 else np.maximum(x, 0)
        oracle_cases.assert_same(seen[0], expected)
        del model[k].forward
        backward = model[k].backward

        def watch_back(dy, backward=backward, seen=seen):
            seen.append(dy)
            return backward(dy)

        model[k].backward = watch_back
        model.backward(np.ones_like(model(x)))
        assert len(seen) == 2


def test_layers_pooling_without_a_relu_before_it():
    """Negative maxima stay, also behind a pooling that rectifies."""
    x = np.random.default_rng(16).standard_normal((2, 3, 9, 8)) - 1
    first = layers.Sequential(layers.ReLU(), layers.MaxPool2d(2, 1))
    turn = layers.Conv2d(3, 4, 1, rng=8).astype(np.float64)
    last = layers.MaxPool2d(2)
    model = layers.Sequential(*first, turn, last)
    expected = last(turn(first(x)))
    assert (expected < 0).any()
    oracle_cases.assert_same(model(x), expected)


@pytest.mark.parametrize("bad", [0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers_relu_backward_where_x_is_zero_or_nan(bad, dtype):
    """Zero where x <= 0, else dy, whatever that is."""
    x = np.array([-1, 0, -0.0, 2, np.nan, np.inf, -np.inf, -3], dtype)
    dy = np.array([-4, 5, 6, -7, 8, -9, 10, bad], dtype)
    for upstream in (dy, dy[::-1], np.full_like(dy, bad)):
        dx = layers.relu_backward(upstream, x)
        expected = [0 if v <= 0 else d for v, d in zip(x, upstream, strict=True)]
        oracle_cases.assert_same(dx, np.array(expected, dtype))


@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("shape", [(60,), (5, 12), (3, 10, 2), (3, 4, 5)])
def test_layers_reshape_images_in_either_order(n, shape):
    """Image by image, whether images or pixels lie side by side in memory."""
    x = np.random.default_rng(13).standard_normal((n, 3, 4, 5))
    for laid in (x, oracle_cases.transposed(x), oracle_cases.channels_last(x)):
        y = layers.reshape_images(laid, shape)
        oracle_cases.assert_same(y, x.reshape(n, *shape), tolerance=0)
    laid = oracle_cases.transposed(x)
    if n > 1:
        assert np.shares_memory(layers.reshape_images(laid, shape), laid)


def test_layers_linear_gradients_on_demand():
    """Without the input's, the others are the same."""
    rng = np.random.default_rng(14)
    x, weight = rng.standard_normal((3, 2, 4)), rng.standard_normal((5, 4))
    dy = rng.standard_normal((3, 2, 5))
    dx, dweight, dbias = layers.linear_backward(dy, x, weight)
    oracle_cases.assert_same(dx, dy @ weight)
    oracle_cases.assert_same(dweight, np.einsum("nme,nmd->ed", dy, x))
    oracle_cases.assert_same(dbias, dy.sum(axis=(0, 1)))
    none, *others = layers.linear_backward(dy, x, weight, input_gradient=False)
    assert none is None
    for actual, expected in zip(others, (dweight, dbias), strict=True):
        oracle_cases.assert_same(actual, expected)


@pytest.mark.parametrize("shape", [(), (7,), (6, 5), (1, 4)])
def test_optimizers_adam_on_several_threads(shape, crew, monkeypatch):
    """Each weight moves once, by eq. (adam), on memory that holds no zeros."""
    monkeypatch.setattr(threads, "SHORT", -1)
    monkeypatch.setattr(optimizers, "empty", poisoned)
    threads.set_num_threads(3)
    rng = np.random.default_rng(15)
    p = layers.Parameter(rng.standard_normal(shape))
    w, m, v = p.data.copy(), 0, 0
    betas, eps, lr, decay = (0.8, 0.95), 1e-3, 0.1, 0.2
    adam = optimizers.Adam([p], lr, betas, eps, weight_decay=decay)
    for step in (1, 2, 3):
        gradient = rng.standard_normal(shape)
        p.grad = gradient.copy()
        adam.step()
        np.testing.assert_array_equal(p.grad, gradient)
        full = gradient + decay * w
        m = betas[0] * m + (1 - betas[0]) * full
        v = betas[1] * v + (1 - betas[1]) * full**2
        corrected = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
        w = w - lr * corrected[0] / (np.sqrt(corrected[1]) + eps)
        oracle_cases.assert_same(p.data, w)


# What Ctrl-C, late helpers and large windows do.

RECOVERIES = [
    test_threads.test_what_ctrl_c_finds_running_is_waited_for,
    test_threads.test_nobody_goes_on_if_handing_out_is_interrupted,
    test_threads.test_late_helpers_hold_nothing,
    test_threads.test_work_goes_on_without_threads,
    test_threads.test_no_work_starts_no_threads,
    functools.partial(test_threads.test_nothing_goes_on_after_an_error, False),
]


@pytest.mark.parametrize("number", range(len(RECOVERIES)))
def test_threads_recover(number, crew, monkeypatch):
    """The ordinary tests of that, each of which sets its number of threads."""
    if number < len(RECOVERIES) - 1:
        RECOVERIES[number](monkeypatch)
    else:
        RECOVERIES[number]()


def test_fast_places_of_large_windows_are_not_kept():
    """As the ordinary test has it."""
    test_fast.test_places_of_large_windows_are_not_kept()
