"""Wrong code of many hands: each mistake gets its message, and no other."""

import dataclasses
import math
import re

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from wrong_code import WrongCode

from cnnbook import ladder_network
from cnnbook.checking import Exercise, examine
from cnnbook.exercises import find

wrong = WrongCode()
LADDER = [v for v in vars(ladder_network).values() if isinstance(v, Exercise)]


# relu


@wrong("relu", "absolute value")
def flip_negatives(x):
    return np.where(x < 0, -x, x)


@wrong("relu", "absolute value")
def root_of_square(x):
    return np.sqrt(x**2)


@wrong("relu", "absolute value")
def minus_in_a_loop(x):
    y = x.copy().reshape(-1)
    for i in range(y.size):
        if y[i] < 0:
            y[i] *= -1
    return y.reshape(x.shape)


@wrong("relu", "the wrong half")
def mask_of_negatives(x):
    return x * (x < 0)


@wrong("relu", "the wrong half")
def minimum(x):
    y = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        y[place] = min(x[place], 0)
    return y


@wrong("relu", "the wrong half")
def negated_first(x):
    return np.clip(-x, 0, None)


@wrong("relu", "leaky")
def a_tenth(x):
    return np.where(x > 0, x, 0.1 * x)


@wrong("relu", "leaky")
def largest_of_two(x):
    return np.maximum(x, 0.01 * x)


@wrong("relu", "leaky")
def quarter_in_place_of_copy(x):
    y = x.copy()
    y[y < 0] /= 4
    return y


@wrong("relu", "a step")
def mask_only(x):
    return (x > 0).astype(x.dtype)


@wrong("relu", "a step")
def ones_in_a_loop(x):
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        if x[place] > 0:
            y[place] = 1
    return y


@wrong("relu", "a step")
def signs(x):
    return x / np.abs(x)


@wrong("relu", "capped")
def clip_at_one(x):
    return np.clip(x, 0, 1)


@wrong("relu", "capped")
def relu6_of_three(x):
    return np.minimum(np.maximum(x, 0), 3.0)


@wrong("relu", "capped")
def hard(x):
    y = x.copy()
    y[x < 0] = 0
    y[x > 1] = 1
    return y


@wrong("relu", "largest of all")
def max_with_axis(x):
    return np.max(x, 0)


@wrong("relu", "largest of all")
def method_max(x):
    return max(x.max(), 0)


@wrong("relu", "largest of all")
def each_rows_max(x):
    return np.array([max(max(row), 0) for row in x])


@wrong("relu", "left out")
def boolean_index(x):
    return x[x > 0]


@wrong("relu", "left out")
def comprehension(x):
    return np.array([v for v in x.ravel() if v >= 0])


@wrong("relu", "changed input")
def in_place(x):
    x[x < 0] = 0
    return x


@wrong("relu", "changed input")
def into_itself(x):
    return np.maximum(x, 0, out=x)


@wrong("relu", "error")
def pythons_max(x):
    return max(x, 0)


@wrong("relu", "nothing")
def forgets_return(x):
    np.maximum(x, 0)


@wrong("relu", "integer output")
def truncated(x):
    return np.maximum(x, 0).astype(int)


@wrong("relu", "wrong dtype")
def zeros_of_64_bits(x):
    y = np.zeros(x.shape)
    y[x > 0] = x[x > 0]
    return y


@wrong("relu", "error")
def for_two_axes(x):
    rows, columns = x.shape
    return [[max(x[i, j], 0) for j in range(columns)] for i in range(rows)]


# relu_layer


class Rectifier:
    """Right; the wrong ones change a method."""

    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.x > 0)


@wrong("relu_layer", "dy forgotten")
class SlopeOnly(Rectifier):
    def backward(self, dy):
        return (self.x > 0).astype(float)


@wrong("relu_layer", "dy forgotten")
class OnesWhere(Rectifier):
    def backward(self, dy):
        dx = np.zeros_like(dy)
        dx[self.x > 0] = 1
        return dx


@wrong("relu_layer", "dy forgotten")
class LoopOfOnes:
    def forward(self, x):
        self.y = x * (x > 0)
        return self.y

    def backward(self, dy):
        dx = [1.0 if v > 0 else 0.0 for v in self.y.ravel()]
        return np.reshape(dx, self.y.shape)


@wrong("relu_layer", "the sign of dy")
class MaskOfUpstream(Rectifier):
    def backward(self, dy):
        return np.where(dy > 0, dy, 0)


@wrong("relu_layer", "the sign of dy")
class ReluAgain(Rectifier):
    def backward(self, dy):
        return self.forward(dy)


@wrong("relu_layer", "the sign of dy")
class BothSigns(Rectifier):
    def backward(self, dy):
        dx = dy.copy()
        dx[dy < 0] = 0
        dx[self.x < 0] = 0
        return dx


@wrong("relu_layer", "passes everywhere")
class HandsOn(Rectifier):
    def backward(self, dy):
        return dy


@wrong("relu_layer", "passes everywhere")
class OnesForAll(Rectifier):
    def backward(self, dy):
        slope = np.ones_like(dy)
        return dy * slope


@wrong("relu_layer", "passes at zero")
class NotBelowZero(Rectifier):
    def backward(self, dy):
        return dy * (self.x >= 0)


@wrong("relu_layer", "passes at zero")
class OnlyNegativesStopped(Rectifier):
    def backward(self, dy):
        dx = dy.copy()
        dx[self.x < 0] = 0
        return dx


@wrong("relu_layer", "times x")
class TimesInput(Rectifier):
    def backward(self, dy):
        return dy * self.x


@wrong("relu_layer", "times x")
class TimesOutput:
    def forward(self, x):
        self.y = np.where(x > 0, x, 0)
        return self.y

    def backward(self, dy):
        dx = np.zeros_like(dy)
        for place in np.ndindex(dy.shape):
            dx[place] = dy[place] * self.y[place]
        return dx


@wrong("relu_layer", "the wrong half")
class StopsPositive(Rectifier):
    def backward(self, dy):
        dx = dy.copy()
        dx[self.x > 0] = 0
        return dx


@wrong("relu_layer", "the wrong half")
class TurnedMask:
    def forward(self, x):
        self.stopped = x < 0
        y = x.copy()
        y[self.stopped] = 0
        return y

    def backward(self, dy):
        return np.where(self.stopped, dy, 0)


@wrong("relu_layer", "first batch kept")
class OnceOnly:
    x = None

    def forward(self, x):
        if self.x is None:
            self.x = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.x > 0)


@wrong("relu_layer", "first batch kept")
class ListOfInputs:
    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append(x > 0)
        return np.where(self.seen[-1], x, 0)

    def backward(self, dy):
        return np.where(self.seen[0], dy, 0)


@wrong("relu_layer", "shared memory")
class ClassAttribute:
    def forward(self, x):
        ClassAttribute.mask = x > 0
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


@wrong("relu_layer", "shared memory")
class SharedDictionary:
    cache = {}  # noqa: RUF012

    def forward(self, x):
        self.cache["x"] = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.cache["x"] > 0)


@wrong("relu_layer", "shared memory")
class DefaultArgument:
    def __init__(self, memory=[]):  # noqa: B006
        self.memory = memory

    def forward(self, x):
        self.memory.append(x)
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.memory[-1] > 0)


@wrong("relu_layer", "changed input")
class DestroysUpstream(Rectifier):
    def backward(self, dy):
        dy[self.x <= 0] = 0
        return dy


@wrong("relu_layer", "unknown")
class ForwardIsAbsolute(Rectifier):
    def forward(self, x):
        self.x = x
        return np.abs(x)


@wrong("relu_layer", "unwritten")
class OnlyForward:
    def forward(self, x):
        return np.maximum(x, 0)

    def backward(self, dy):
        raise NotImplementedError("where did x get through?")


@wrong("relu_layer", "error")
class WithoutBackward:
    def forward(self, x):
        return np.maximum(x, 0)


@wrong("relu_layer", "integer output")
class ZerosLikeInput(Rectifier):
    def backward(self, dy):
        dx = np.zeros_like(self.x)
        dx[self.x > 0] = dy[self.x > 0]
        return dx


# flatten_layer


class Flat:
    """Right; the wrong ones change a method."""

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(x.shape[0], -1)

    def backward(self, dy):
        return dy.reshape(self.shape)


@wrong("flatten_layer", "batch flattened")
class FlattenMethod(Flat):
    def forward(self, x):
        self.shape = x.shape
        return x.flatten()


@wrong("flatten_layer", "batch flattened")
class OneRow(Flat):
    def forward(self, x):
        row = []
        for image in x:
            for channel in image:
                for line in channel:
                    row += list(line)
        return np.array([row])


@wrong("flatten_layer", "batch flattened")
class OneColumn(Flat):
    def forward(self, x):
        return x.reshape(x.size, 1)


@wrong("flatten_layer", "channels apart")
class KeepsChannels(Flat):
    def forward(self, x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h * w)


@wrong("flatten_layer", "channels apart")
class RowPerChannel(Flat):
    def forward(self, x):
        return np.array([channel.ravel() for image in x for channel in image])


@wrong("flatten_layer", "images as columns")
class BatchLast(Flat):
    def forward(self, x):
        n, c, h, w = x.shape
        return x.reshape(c * h * w, n)


@wrong("flatten_layer", "images as columns")
class Stacked(Flat):
    def forward(self, x):
        return np.stack([image.ravel() for image in x], axis=1)


@wrong("flatten_layer", "another order")
class ChannelsLast(Flat):
    def forward(self, x):
        return np.moveaxis(x, 1, -1).reshape(len(x), -1)


@wrong("flatten_layer", "another order")
class ColumnByColumn(Flat):
    def forward(self, x):
        n, c, h, w = x.shape
        y = np.zeros((n, c * h * w))
        for i in range(n):
            y[i] = [x[i, k, a, b] for k in range(c) for b in range(w) for a in range(h)]
        return y


@wrong("flatten_layer", "another order")
class Fortran(Flat):
    def forward(self, x):
        return np.array([image.ravel(order="F") for image in x])


@wrong("flatten_layer", "another order")
class PutsBackChannelsLast(Flat):
    def backward(self, dy):
        n, c, h, w = self.shape
        return dy.reshape(n, h, w, c).transpose(0, 3, 1, 2)


@wrong("flatten_layer", "left flat")
class HandsOnRows(Flat):
    def backward(self, dy):
        return dy


@wrong("flatten_layer", "left flat")
class FlattensAgain(Flat):
    def backward(self, dy):
        return self.forward(dy)


@wrong("flatten_layer", "first batch kept")
class FirstShape(Flat):
    def forward(self, x):
        if not hasattr(self, "shape"):
            self.shape = x.shape
        return x.reshape(len(x), -1)


@wrong("flatten_layer", "first batch kept")
class SetDefault:
    def __init__(self):
        self.kept = {}

    def forward(self, x):
        self.kept.setdefault("shape", x.shape)
        return np.array([image.ravel() for image in x])

    def backward(self, dy):
        return np.reshape(dy, self.kept["shape"])


@wrong("flatten_layer", "shared memory")
class ShapeOfTheClass(Flat):
    def forward(self, x):
        type(self).shape = x.shape
        return x.reshape(len(x), -1)


@wrong("flatten_layer", "shared memory")
class GlobalShape:
    def forward(self, x):
        global last_shape
        last_shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(last_shape)


@wrong("flatten_layer", "error")
class NoBatchInShape(Flat):
    def backward(self, dy):
        return dy.reshape(self.shape[1:])


@wrong("flatten_layer", "wrong dtype")
class ZerosAndRows(Flat):
    def forward(self, x):
        self.shape = x.shape
        y = np.zeros((len(x), x[0].size))
        for n, image in enumerate(x):
            y[n] = image.ravel()
        return y


# linear


@wrong("linear", "weight not transposed")
def plain_product(x, weight, bias):
    return np.dot(x, weight) + bias


@wrong("linear", "weight not transposed")
def letters_mixed_up(x, weight, bias):
    return np.einsum("nd,de->ne", x, weight) + bias


@wrong("linear", "weight not transposed")
def indices_swapped(x, weight, bias):
    n, d = x.shape
    e = weight.shape[0]
    y = np.zeros((n, e))
    for i in range(n):
        for j in range(e):
            y[i, j] = sum(x[i, k] * weight[k, j] for k in range(d)) + bias[j]
    return y


@wrong("linear", "weight not transposed")
def reshaped_to_fit(x, weight, bias):
    return x @ weight.reshape(x.shape[1], -1) + bias


@wrong("linear", "number by number")
def star(x, weight, bias):
    return x * weight + bias


@wrong("linear", "number by number")
def star_transposed(x, weight, bias):
    return np.multiply(x, weight.T) + bias


@wrong("linear", "bias ignored")
def no_bias(x, weight, bias):
    return x @ weight.T


@wrong("linear", "bias ignored")
def lost_bias(x, weight, bias):
    y = np.inner(x, weight)
    y + bias
    return y


@wrong("linear", "bias per input")
def bias_in_the_sum(x, weight, bias):
    y = np.zeros((len(x), len(weight)))
    for n in range(len(x)):
        for e in range(len(weight)):
            for d in range(x.shape[1]):
                y[n, e] += x[n, d] * weight[e, d] + bias[e]
    return y


@wrong("linear", "bias per input")
def bias_before_summing(x, weight, bias):
    return (x[:, None] * weight + bias[:, None]).sum(axis=-1)


@wrong("linear", "bias per image")
def bias_as_column(x, weight, bias):
    return x @ weight.T + bias.reshape(-1, 1)


@wrong("linear", "bias per image")
def bias_of_the_row(x, weight, bias):
    return [[row @ w + bias[n] for w in weight] for n, row in enumerate(x)]


@wrong("linear", "only the first image")
def one_row(x, weight, bias):
    return weight @ x[0] + bias


@wrong("linear", "only the first image")
def never_moves_on(x, weight, bias):
    y = np.zeros((len(x), len(weight)))
    n = 0
    for e in range(len(weight)):
        y[n, e] = np.dot(x[n], weight[e]) + bias[e]
    return y


@wrong("linear", "only the first image")
def batch_of_one(x, weight, bias):
    return [[sum(a * b for a, b in zip(x[0], w, strict=True)) for w in weight] + bias]


@wrong("linear", "images as columns")
def weight_first(x, weight, bias):
    return weight @ x.T + bias.reshape(-1, 1)


@wrong("linear", "images as columns")
def outputs_first(x, weight, bias):
    return np.array([x @ w + b for w, b in zip(weight, bias, strict=True)])


@wrong("linear", "integer output")
def zeros_like_x(x, weight, bias):
    y = np.zeros((len(x), len(weight)), dtype=x.dtype)
    for n in range(len(x)):
        y[n] = weight @ x[n] + bias
    return y


@wrong("linear", "wrong dtype")
def doubles(x, weight, bias):
    y = np.zeros((len(x), len(weight)))
    y += x @ weight.T + bias
    return y


@wrong("linear", "unknown")
def rectified(x, weight, bias):
    return np.maximum(x @ weight.T + bias, 0)


@wrong("linear", "changed input")
def bias_into_x(x, weight, bias):
    x -= x.mean()
    return x @ weight.T + bias


# linear_backward


@wrong("linear_backward", "weight transposed")
def weight_turned(dy, x, weight):
    return dy @ weight.T, dy.T @ x, dy.sum(axis=0)


@wrong("linear_backward", "weight transposed")
def wrong_letters(dy, x, weight):
    dx = np.einsum("ne,de->nd", dy, weight)
    return dx, np.einsum("ne,nd->ed", dy, x), np.einsum("ne->e", dy)


@wrong("linear_backward", "weight transposed")
def loop_over_columns(dy, x, weight):
    dx = np.array([[row @ weight[d] for d in range(x.shape[1])] for row in dy])
    return dx, dy.T @ x, dy.sum(0)


@wrong("linear_backward", "dweight transposed")
def inputs_first(dy, x, weight):
    return dy @ weight, x.T @ dy, dy.sum(axis=0)


@wrong("linear_backward", "dweight transposed")
def outer_of_inputs(dy, x, weight):
    dweight = sum(np.outer(x[n], dy[n]) for n in range(len(x)))
    return np.dot(dy, weight), dweight, dy.sum(axis=0)


@wrong("linear_backward", "averaged")
def all_over_n(dy, x, weight):
    n = x.shape[0]
    return dy @ weight / n, dy.T @ x / n, dy.mean(axis=0)


@wrong("linear_backward", "averaged")
def weights_over_n(dy, x, weight):
    outer = [np.outer(a, b) for a, b in zip(dy, x, strict=True)]
    return dy @ weight, np.mean(outer, axis=0), dy.sum(axis=0)


@wrong("linear_backward", "averaged")
def bias_mean(dy, x, weight):
    return dy @ weight, dy.T @ x, np.average(dy, axis=0)


@wrong("linear_backward", "one image only")
def overwritten(dy, x, weight):
    dx = dy @ weight
    for n in range(len(x)):
        dweight = np.outer(dy[n], x[n])
        dbias = dy[n]
    return dx, dweight, dbias


@wrong("linear_backward", "one image only")
def first_row(dy, x, weight):
    return dy @ weight, dy[:1].T @ x[:1], dy.sum(axis=0)


@wrong("linear_backward", "one image only")
def first_bias(dy, x, weight):
    return dy @ weight, dy.T @ x, dy[0]


@wrong("linear_backward", "one image only")
def last_dx(dy, x, weight):
    for row in dy:
        dx = row @ weight
    return dx, dy.T @ x, dy.sum(axis=0)


@wrong("linear_backward", "dbias not summed")
def bias_as_it_came(dy, x, weight):
    return dy @ weight, dy.T @ x, dy


@wrong("linear_backward", "dbias not summed")
def bias_copied(dy, x, weight):
    dbias = np.zeros_like(dy)
    for n in range(len(dy)):
        dbias[n] += dy[n]
    return dy @ weight, dy.T @ x, dbias


@wrong("linear_backward", "dbias over outputs")
def other_axis(dy, x, weight):
    return dy @ weight, dy.T @ x, dy.sum(axis=1)


@wrong("linear_backward", "dbias over outputs")
def one_sum(dy, x, weight):
    return dy @ weight, dy.T @ x, dy.sum()


@wrong("linear_backward", "dbias over outputs")
def sum_of_rows(dy, x, weight):
    return dy @ weight, dy.T @ x, [sum(row) for row in dy]


@wrong("linear_backward", "dy forgotten")
def counts_images(dy, x, weight):
    return dy @ weight, dy.T @ x, np.full(len(weight), len(x))


@wrong("linear_backward", "dy forgotten")
def ones_for_bias(dy, x, weight):
    return dy @ weight, dy.T @ x, np.ones(dy.shape[1])


@wrong("linear_backward", "dy forgotten")
def slopes_only(dy, x, weight):
    dx = np.tile(weight.sum(axis=0), (len(x), 1))
    return dx, np.tile(x.sum(axis=0), (len(weight), 1)), np.ones(len(weight))


@wrong("linear_backward", "parts")
def two_of_three(dy, x, weight):
    return dy @ weight, dy.T @ x


@wrong("linear_backward", "integer output")
def zeros_like_inputs(dy, x, weight):
    dx = np.zeros_like(x)
    dx[...] = dy @ weight
    return dx, dy.T @ x, dy.sum(axis=0)


# conv_layer


class Conv:
    """Right: sums over windows; the wrong ones change a step."""

    def __init__(self, weight, bias, stride, padding):
        self.weight, self.bias = weight, bias
        self.stride, self.padding = stride, padding

    def pad(self, x):
        p = self.padding
        return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))

    def windows(self, padded):
        kernel, s = self.weight.shape[-2:], self.stride
        return sliding_window_view(padded, kernel, (2, 3))[:, :, ::s, ::s]

    def combine(self, windows):
        return np.einsum("ncijuv,fcuv->nfij", windows, self.weight)

    def forward(self, x):
        self.x = self.pad(x)
        y = self.combine(self.windows(self.x))
        return y + self.bias[:, None, None]

    def spread(self, dy):
        dx = np.zeros(self.x.shape, dy.dtype)
        (kh, kw), s = self.weight.shape[-2:], self.stride
        for i, j in np.ndindex(dy.shape[-2:]):
            part = np.tensordot(dy[:, :, i, j], self.weight, 1)
            dx[:, :, s * i : s * i + kh, s * j : s * j + kw] += part
        return dx

    def crop(self, dx):
        p, (h, w) = self.padding, dx.shape[-2:]
        return dx[:, :, p : h - p, p : w - p]

    def backward(self, dy):
        self.dweight = np.einsum("ncijuv,nfij->fcuv", self.windows(self.x), dy)
        self.dbias = dy.sum(axis=(0, 2, 3))
        return self.crop(self.spread(dy))


class LoopConv:
    """Right: loops over everything; the wrong ones change an index."""

    def __init__(self, weight, bias, stride, padding):
        self.weight, self.bias = weight, bias
        self.stride, self.padding = stride, padding

    def images(self, x):
        return range(len(x))

    def channels(self):
        return range(self.weight.shape[1])

    def place(self, i, u):
        return self.stride * i + u

    def size(self, length, k):
        return (length - k) // self.stride + 1

    def margins(self):
        return self.padding, self.padding

    def forward(self, x):
        (top, bottom), (n, c, h, w) = self.margins(), x.shape
        self.x = np.zeros((n, c, h + top + bottom, w + top + bottom), self.weight.dtype)
        self.x[:, :, top : top + h, top : top + w] = x
        f, _, kh, kw = self.weight.shape
        oh, ow = (
            self.size(length, k)
            for length, k in zip(self.x.shape[2:], (kh, kw), strict=True)
        )
        y = np.zeros((n, f, oh, ow), self.weight.dtype)
        for m in self.images(x):
            for k, i, j in np.ndindex(f, oh, ow):
                total = self.bias[k]
                for ch in self.channels():
                    for u, v in np.ndindex(kh, kw):
                        seen = self.x[m, ch, self.place(i, u), self.place(j, v)]
                        total += self.weight[k, ch, u, v] * seen
                y[m, k, i, j] = total
        return y

    def start(self):
        self.dweight = np.zeros_like(self.weight)
        self.dbias = np.zeros_like(self.bias)

    def backward(self, dy):
        self.start()
        dx = np.zeros_like(self.x)
        p = self.padding
        for m in range(len(dy)):
            self.image(m, dy[m], dx)
        return dx[:, :, p : dx.shape[2] - p, p : dx.shape[3] - p]

    def image(self, m, dy, dx):
        kh, kw = self.weight.shape[2:]
        for f, i, j in np.ndindex(dy.shape):
            rows = slice(self.place(i, 0), self.place(i, 0) + kh)
            columns = slice(self.place(j, 0), self.place(j, 0) + kw)
            dx[m, :, rows, columns] += dy[f, i, j] * self.weight[f]
            self.dweight[f] += dy[f, i, j] * self.x[m, :, rows, columns]
            self.dbias[f] += dy[f, i, j]


@wrong("conv_layer", "flipped kernel")
class TrueConvolution(Conv):
    def combine(self, windows):
        return np.einsum("ncijuv,fcuv->nfij", windows, np.flip(self.weight, (2, 3)))


@wrong("conv_layer", "flipped kernel")
class CountsBack(LoopConv):
    def forward(self, x):
        n, _, h, w = x.shape
        f, _, kh, kw = self.weight.shape
        y = np.zeros((n, f, h - kh + 1, w - kw + 1))
        for m, k, i, j in np.ndindex(y.shape):
            window = x[m, :, i : i + kh, j : j + kw]
            y[m, k, i, j] = np.sum(window[:, ::-1, ::-1] * self.weight[k])
        return y


@wrong("conv_layer", "channels not summed")
class LastChannel(Conv):
    def combine(self, windows):
        for c in range(self.weight.shape[1]):
            y = np.einsum("nijuv,fuv->nfij", windows[:, c], self.weight[:, c])
        return y


@wrong("conv_layer", "channels not summed")
class GreyOnly(LoopConv):
    def channels(self):
        return [0]


@wrong("conv_layer", "channels not summed")
class OneKernelForAll(Conv):
    def combine(self, windows):
        return np.einsum("ncijuv,fuv->nfij", windows, self.weight[:, 0])


@wrong("conv_layer", "channels not summed")
class ChannelsSideBySide(Conv):
    def forward(self, x):
        windows = self.windows(self.pad(x))
        return np.einsum("ncijuv,fcuv->nfcij", windows, self.weight)


@wrong("conv_layer", "the bias")
class Biasless(Conv):
    def forward(self, x):
        self.x = self.pad(x)
        return self.combine(self.windows(self.x))


@wrong("conv_layer", "the bias")
class BiasInTheInnermostLoop(LoopConv):
    def forward(self, x):
        f, c, kh, kw = self.weight.shape
        y = np.zeros((len(x), f, x.shape[2] - kh + 1, x.shape[3] - kw + 1))
        for m, k, i, j in np.ndindex(y.shape):
            for ch, u, v in np.ndindex(c, kh, kw):
                product = x[m, ch, i + u, j + v] * self.weight[k, ch, u, v]
                y[m, k, i, j] += product + self.bias[k]
        return y


@wrong("conv_layer", "the bias")
class BiasPerChannel(Conv):
    def combine(self, windows):
        y = 0
        for c in range(windows.shape[1]):
            part = np.einsum("nijuv,fuv->nfij", windows[:, c], self.weight[:, c])
            y = y + part + (self.bias[:, None, None] if c else 0)
        return y


@wrong("conv_layer", "one image only")
class FirstImage(Conv):
    def forward(self, x):
        return super().forward(x)[0]


@wrong("conv_layer", "one image only")
class BatchOfOne(Conv):
    def forward(self, x):
        return super().forward(x[:1])


@wrong("conv_layer", "one image only")
class ZerosAfterTheFirst(LoopConv):
    def images(self, x):
        return [0]


@wrong("conv_layer", "one image only")
class LastGradient(LoopConv):
    def image(self, m, dy, dx):
        self.start()
        super().image(m, dy, dx)


@wrong("conv_layer", "one image only")
class GradientOfTheFirst(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dweight = np.einsum("cijuv,fij->fcuv", self.windows(self.x)[0], dy[0])
        return dx


@wrong("conv_layer", "the stride")
class NoStride(Conv):
    def windows(self, padded):
        return sliding_window_view(padded, self.weight.shape[-2:], (2, 3))


@wrong("conv_layer", "the stride")
class StrideOfRows(Conv):
    def windows(self, padded):
        return sliding_window_view(padded, self.weight.shape[-2:], (2, 3))[
            :, :, :: self.stride
        ]


@wrong("conv_layer", "the stride")
class SmallerButNotSpread(LoopConv):
    def place(self, i, u):
        return i + u


@wrong("conv_layer", "the stride")
class BackWithoutStride(LoopConv):
    def image(self, m, dy, dx):
        kh, kw = self.weight.shape[2:]
        for f, i, j in np.ndindex(dy.shape):
            dx[m, :, i : i + kh, j : j + kw] += dy[f, i, j] * self.weight[f]
            self.dweight[f] += dy[f, i, j] * self.x[m, :, i : i + kh, j : j + kw]
            self.dbias[f] += dy[f, i, j]


@wrong("conv_layer", "the stride")
class OnlyTheWeightsWithoutStride(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        (oh, ow), (kh, kw) = dy.shape[2:], self.weight.shape[2:]
        for u, v in np.ndindex(kh, kw):
            seen = self.x[:, :, u : u + oh, v : v + ow]
            self.dweight[:, :, u, v] = np.einsum("nfij,ncij->fc", dy, seen)
        return dx


@wrong("conv_layer", "the padding")
class NoPadding(Conv):
    def pad(self, x):
        return x


@wrong("conv_layer", "the padding")
class TopLeft(LoopConv):
    def margins(self):
        return self.padding, 0


@wrong("conv_layer", "the padding")
class AllOnOneSide(LoopConv):
    def margins(self):
        return 0, 2 * self.padding


@wrong("conv_layer", "the padding")
class RowsOnly(Conv):
    def pad(self, x):
        p = self.padding
        n, c, _, w = x.shape
        zeros = np.zeros((n, c, p, w))
        return np.concatenate([zeros, x, zeros], axis=2)


@wrong("conv_layer", "averaged")
class MeanTwice(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dweight /= len(dy)
        self.dbias /= len(dy)
        return dx


@wrong("conv_layer", "averaged")
class MeanOfImages(LoopConv):
    def backward(self, dy):
        return super().backward(dy / dy.shape[0])


@wrong("conv_layer", "averaged")
class MeanBias(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dbias = dy.sum(axis=(2, 3)).mean(axis=0)
        return dx


@wrong("conv_layer", "kernel turned in dx")
class TurnedOnTheWayBack(Conv):
    def spread(self, dy):
        kept, self.weight = self.weight, self.weight[..., ::-1, ::-1]
        dx = super().spread(dy)
        self.weight = kept
        return dx


@wrong("conv_layer", "kernel turned in dx")
class GathersWithTheKernelAsItIs(LoopConv):
    def backward(self, dy):
        self.start()
        kh, kw = self.weight.shape[2:]
        full = np.pad(dy, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
        windows = sliding_window_view(full, (kh, kw), (2, 3))
        return np.einsum("nfijuv,fcuv->ncij", windows, self.weight)


@wrong("conv_layer", "the margin of dx")
class KeepsTheMargin(Conv):
    def crop(self, dx):
        return dx


@wrong("conv_layer", "the margin of dx")
class CropsOneSide(Conv):
    def crop(self, dx):
        p, (h, w) = self.padding, dx.shape[-2:]
        return dx[:, :, : h - 2 * p, : w - 2 * p]


@wrong("conv_layer", "the margin of dx")
class MinusZero(Conv):
    def crop(self, dx):
        p = self.padding
        return dx[:, :, p:-p, p:-p]


@wrong("conv_layer", "rows and columns swapped")
class TransposedOnTheWayBack(Conv):
    def spread(self, dy):
        dx = np.zeros(self.x.shape, dy.dtype)
        (kh, kw), s = self.weight.shape[-2:], self.stride
        for n, f, i, j in np.ndindex(dy.shape):
            for c in range(dx.shape[1]):
                window = dx[n, c, s * i : s * i + kh, s * j : s * j + kw]
                window += dy[n, f, i, j] * self.weight[f, c].T
        return dx


@wrong("conv_layer", "rows and columns swapped")
class LettersSwapped(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dweight = np.einsum("ncijvu,nfij->fcuv", self.windows(self.x), dy)
        return dx


@wrong("conv_layer", "rows and columns swapped")
class TransposedForwards(Conv):
    def combine(self, windows):
        turned = np.transpose(self.weight, (0, 1, 3, 2))
        n, _, oh, ow, *_ = windows.shape
        y = np.zeros((n, len(turned), oh, ow), windows.dtype)
        for k, kernel in enumerate(turned):
            for i, j in np.ndindex(oh, ow):
                y[:, k, i, j] = (windows[:, :, i, j] * kernel).sum(axis=(1, 2, 3))
        return y


@wrong("conv_layer", "assigned")
class DxAssigned(LoopConv):
    def image(self, m, dy, dx):
        kh, kw = self.weight.shape[2:]
        super().image(m, dy, np.zeros_like(dx))
        for f, i, j in np.ndindex(dy.shape):
            rows = slice(self.place(i, 0), self.place(i, 0) + kh)
            columns = slice(self.place(j, 0), self.place(j, 0) + kw)
            dx[m, :, rows, columns] = dy[f, i, j] * self.weight[f]


@wrong("conv_layer", "assigned")
class FiltersSummedThenAssigned(Conv):
    def spread(self, dy):
        dx = np.zeros(self.x.shape, dy.dtype)
        (kh, kw), s = self.weight.shape[-2:], self.stride
        for i, j in np.ndindex(dy.shape[-2:]):
            part = np.tensordot(dy[:, :, i, j], self.weight, 1)
            dx[:, :, s * i : s * i + kh, s * j : s * j + kw] = part
        return dx


@wrong("conv_layer", "assigned")
class DweightAssigned(Conv):
    def backward(self, dy):
        self.dweight = np.zeros_like(self.weight)
        self.dbias = dy.sum(axis=(0, 2, 3))
        windows = self.windows(self.x)
        for k in range(dy.shape[1]):
            for i, j in np.ndindex(dy.shape[2:]):
                part = dy[:, k, i, j].reshape(-1, 1, 1, 1)
                self.dweight[k] = (part * windows[:, :, i, j]).sum(axis=0)
        return self.crop(self.spread(dy))


@wrong("conv_layer", "assigned")
class EverythingAssigned(LoopConv):
    def image(self, m, dy, dx):
        for f, i, j in np.ndindex(dy.shape):
            for c, u, v in np.ndindex(self.weight.shape[1:]):
                a, b = self.place(i, u), self.place(j, v)
                dx[m, c, a, b] += dy[f, i, j] * self.weight[f, c, u, v]
                self.dweight[f, c, u, v] = dy[f, i, j] * self.x[m, c, a, b]
            self.dbias[f] = dy[f, i, j]


@wrong("conv_layer", "assigned")
class DbiasAssigned(Conv):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dbias = np.zeros(len(self.bias), dy.dtype)
        for n, k, i, j in np.ndindex(dy.shape):
            self.dbias[k] = dy[n, k, i, j]
        return dx


@wrong("conv_layer", "goes on adding")
class ZerosInInit(LoopConv):
    def __init__(self, *options):
        super().__init__(*options)
        super().start()

    def start(self):
        pass


@wrong("conv_layer", "goes on adding")
class AddsBatches(Conv):
    def __init__(self, *options):
        super().__init__(*options)
        self.dweight = self.dbias = 0

    def backward(self, dy):
        self.dweight = self.dweight + np.einsum(
            "ncijuv,nfij->fcuv", self.windows(self.x), dy
        )
        self.dbias = self.dbias + dy.sum(axis=(0, 2, 3))
        return self.crop(self.spread(dy))


@wrong("conv_layer", "goes on adding")
class AddsBiases(LoopConv):
    def __init__(self, weight, bias, stride, padding):
        super().__init__(weight, bias, stride, padding)
        self.dbias = np.zeros_like(bias)

    def start(self):
        self.dweight = np.zeros_like(self.weight)


@wrong("conv_layer", "first batch kept")
class KeepsFirst(Conv):
    def forward(self, x):
        y = super().forward(x)
        self.first = getattr(self, "first", self.x)
        return y

    def backward(self, dy):
        self.x = self.first
        return super().backward(dy)


@wrong("conv_layer", "first batch kept")
class Columns:
    """A product of matrices, over columns that are made once."""

    def __init__(self, weight, bias, stride, padding):
        self.conv = Conv(weight, bias, stride, padding)
        self.columns = None

    def forward(self, x):
        y = self.conv.forward(x)
        if self.columns is None:
            windows = self.conv.windows(self.conv.x).transpose(1, 4, 5, 0, 2, 3)
            self.columns = windows.reshape(self.conv.weight[0].size, -1)
        return y

    def backward(self, dy):
        dx = self.conv.backward(dy)
        rows = dy.transpose(1, 0, 2, 3).reshape(len(self.conv.weight), -1)
        self.dweight = (rows @ self.columns.T).reshape(self.conv.weight.shape)
        self.dbias = rows.sum(axis=1)
        return dx


@wrong("conv_layer", "error")
class ForgetsToNameIt(Conv):
    def backward(self, dy):
        return self.crop(self.spread(dy))


@wrong("conv_layer", "wrong dtype")
class Doubles(Conv):
    def forward(self, x):
        self.x = self.pad(x)
        y = np.zeros((len(x), len(self.weight), *self.windows(self.x).shape[2:4]))
        y += self.combine(self.windows(self.x)) + self.bias[:, None, None]
        return y


@wrong("conv_layer", "integer output")
class ZerosLikeImage(Conv):
    def forward(self, x):
        return super().forward(x).astype(x.dtype)


@wrong("conv_layer", "unwritten")
class NoBackwardYet(Conv):
    def backward(self, dy):
        raise NotImplementedError("which window did it come from?")


# max_pool_layer


class Pool:
    """Right: loops over windows; the wrong ones change a step."""

    def __init__(self, size, stride):
        self.size, self.stride = size, stride

    def window(self, i, j):
        i, j = self.stride * i, self.stride * j
        return slice(i, i + self.size), slice(j, j + self.size)

    def places(self, x):
        return [(length - self.size) // self.stride + 1 for length in x.shape[2:]]

    def forward(self, x):
        self.x = x
        y = np.zeros((*x.shape[:2], *self.places(x)), x.dtype)
        for n, c, i, j in np.ndindex(y.shape):
            y[n, c, i, j] = self.one(x[(n, c, *self.window(i, j))])
        return y

    def one(self, window):
        return window.max()

    def backward(self, dy):
        dx = np.zeros(self.x.shape, dy.dtype)
        for n, c, i, j in np.ndindex(dy.shape):
            place = (n, c, *self.window(i, j))
            self.give(dx[place], self.x[place], dy[n, c, i, j])
        return dx

    def give(self, dx, window, dy):
        dx[np.unravel_index(window.argmax(), window.shape)] += dy


@wrong("max_pool_layer", "average")
class Mean(Pool):
    def one(self, window):
        return window.mean()


@wrong("max_pool_layer", "average")
class SumOverCount(Pool):
    def forward(self, x):
        windows = sliding_window_view(x, (self.size, self.size), (2, 3))
        sums = windows[:, :, :: self.stride, :: self.stride].sum(axis=(-2, -1))
        return sums / self.size**2


@wrong("max_pool_layer", "the stride")
class SizeIsStride(Pool):
    def __init__(self, size, stride):
        self.size = self.stride = size


@wrong("max_pool_layer", "the stride")
class EveryPlace(Pool):
    def forward(self, x):
        return sliding_window_view(x, (self.size, self.size), (2, 3)).max(axis=(-2, -1))


@wrong("max_pool_layer", "the stride")
class CloseTogether(Pool):
    def window(self, i, j):
        return slice(i, i + self.size), slice(j, j + self.size)


@wrong("max_pool_layer", "dy forgotten")
class MaskOfWinners(Pool):
    def give(self, dx, window, dy):
        dx.flat[window.argmax()] = 1


@wrong("max_pool_layer", "dy forgotten")
class CountsWins(Pool):
    def give(self, dx, window, dy):
        dx[np.unravel_index(window.argmax(), window.shape)] += 1


@wrong("max_pool_layer", "dy forgotten")
class ValuesBack(Pool):
    def give(self, dx, window, dy):
        dx[np.unravel_index(window.argmax(), window.shape)] += window.max()


@wrong("max_pool_layer", "the whole window")
class ToAll(Pool):
    def give(self, dx, window, dy):
        dx += dy


@wrong("max_pool_layer", "the whole window")
class InEqualParts(Pool):
    def backward(self, dy):
        return np.array(
            [
                [
                    np.sum(
                        [
                            self.part(image.shape, i, j, upstream[i, j])
                            for i, j in np.ndindex(upstream.shape)
                        ],
                        axis=0,
                    )
                    for image, upstream in zip(*pair, strict=True)
                ]
                for pair in zip(self.x, dy, strict=True)
            ]
        )

    def part(self, shape, i, j, dy):
        dx = np.zeros(shape)
        dx[self.window(i, j)] = dy / self.size**2
        return dx


@wrong("max_pool_layer", "a window's place")
class TopLeftCorner(Pool):
    def backward(self, dy):
        dx = np.zeros_like(self.x)
        for n, c, i, j in np.ndindex(dy.shape):
            best = self.x[(n, c, *self.window(i, j))].argmax()
            dx[n, c, best // self.size, best % self.size] += dy[n, c, i, j]
        return dx


@wrong("max_pool_layer", "a window's place")
class TopLeftCornerOverwritten(Pool):
    def backward(self, dy):
        dx = np.zeros_like(self.x)
        for n, c, i, j in np.ndindex(dy.shape):
            window = self.x[(n, c, *self.window(i, j))]
            u, v = np.argwhere(window == window.max())[0]
            dx[n, c, u, v] = dy[n, c, i, j]
        return dx


@wrong("max_pool_layer", "row and column swapped")
class ColumnFirst(Pool):
    def give(self, dx, window, dy):
        v, u = divmod(window.argmax(), self.size)
        dx[u, v] += dy


@wrong("max_pool_layer", "row and column swapped")
class RemainderAsRow(Pool):
    def backward(self, dy):
        dx = np.zeros(self.x.shape, dy.dtype)
        for n, c, i, j in np.ndindex(dy.shape):
            number = np.argmax(self.x[(n, c, *self.window(i, j))])
            row = i * self.stride + number % self.size
            column = j * self.stride + number // self.size
            dx[n, c, row, column] += dy[n, c, i, j]
        return dx


@wrong("max_pool_layer", "row and column swapped")
class LargestOfTheTransposed(Pool):
    def give(self, dx, window, dy):
        best, place = -np.inf, None
        for u in range(self.size):
            for v in range(self.size):
                if window[v, u] > best:
                    best, place = window[v, u], (u, v)
        dx[place] += dy


@wrong("max_pool_layer", "not added up")
class WinnerSet(Pool):
    def give(self, dx, window, dy):
        dx[np.unravel_index(window.argmax(), window.shape)] = dy


@wrong("max_pool_layer", "not added up")
class WindowSet(Pool):
    def give(self, dx, window, dy):
        part = np.zeros(window.size)
        part[window.argmax()] = dy
        dx[...] = part.reshape(window.shape)


@wrong("max_pool_layer", "equal numbers")
class AllWinners(Pool):
    def give(self, dx, window, dy):
        dx += dy * (window == window.max())


@wrong("max_pool_layer", "equal numbers")
class SharedPrize(Pool):
    def give(self, dx, window, dy):
        mask = window == window.max()
        dx[mask] += dy / np.count_nonzero(mask)


@wrong("max_pool_layer", "equal numbers")
class LastOfEquals(Pool):
    def give(self, dx, window, dy):
        best, place = -np.inf, None
        for u in range(self.size):
            for v in range(self.size):
                if window[u, v] >= best:
                    best, place = window[u, v], (u, v)
        dx[place] += dy


@wrong("max_pool_layer", "first batch kept")
class FirstPlaces(Pool):
    def forward(self, x):
        kept = getattr(self, "x", x)
        y = super().forward(x)
        self.x = kept
        return y


@wrong("max_pool_layer", "first batch kept")
class PlacesGrow(Pool):
    def __init__(self, size, stride):
        super().__init__(size, stride)
        self.winners = []

    def forward(self, x):
        self.shape = x.shape
        y = np.zeros((*x.shape[:2], *self.places(x)), x.dtype)
        for n, c, i, j in np.ndindex(y.shape):
            window = x[(n, c, *self.window(i, j))]
            u, v = divmod(int(window.argmax()), self.size)
            self.winners.append((n, c, i * self.stride + u, j * self.stride + v))
            y[n, c, i, j] = window.max()
        return y

    def backward(self, dy):
        dx = np.zeros(self.shape, dy.dtype)
        for place, value in zip(self.winners, dy.ravel(), strict=False):
            dx[place] += value
        return dx


@wrong("max_pool_layer", "shared memory")
class ImagesOfTheClass(Pool):
    def forward(self, x):
        y = super().forward(x)
        del self.x
        ImagesOfTheClass.x = x
        return y


@wrong("max_pool_layer", "shared memory")
class OneCache(Pool):
    cache = {}  # noqa: RUF012

    def forward(self, x):
        self.cache["x"] = x
        return super().forward(x)

    def backward(self, dy):
        self.x = self.cache["x"]
        return super().backward(dy)


@wrong("max_pool_layer", "integer output")
class ZerosLikeX(Pool):
    def backward(self, dy):
        dx = np.zeros_like(self.x)
        for n, c, i, j in np.ndindex(dy.shape):
            place = (n, c, *self.window(i, j))
            self.give(dx[place], self.x[place], dy[n, c, i, j])
        return dx

    def give(self, dx, window, dy):
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[u, v] = int(dx[u, v] + dy) if dx.dtype.kind == "i" else dx[u, v] + dy


@wrong("max_pool_layer", "unknown")
class Smallest(Pool):
    def one(self, window):
        return window.min()


# softmax


@wrong("softmax", "one maximum for all")
def one_maximum(logits):
    e = np.exp(logits - np.max(logits))
    return e / e.sum(axis=1, keepdims=True)


@wrong("softmax", "one maximum for all")
def largest_in_a_loop(logits):
    top = max(max(row) for row in logits)
    rows = [[math.exp(z - top) for z in row] for row in logits]
    return np.array([np.array(row) / np.sum(row) for row in rows])


@wrong("softmax", "large logits")
def as_the_formula_stands(logits):
    return np.exp(logits) / np.sum(np.exp(logits), axis=-1, keepdims=True)


@wrong("softmax", "large logits")
def row_by_row(logits):
    p = np.zeros_like(logits, dtype=float)
    for n, row in enumerate(logits):
        p[n] = np.exp(row)
        p[n] /= p[n].sum()
    return p


@wrong("softmax", "large logits")
def clipped(logits):
    e = np.exp(np.clip(logits, -50, 50))
    return e / e.sum(axis=1)[:, None]


@wrong("softmax", "the wrong axis")
def columns(logits):
    e = np.exp(logits - logits.max(axis=0))
    return e / e.sum(axis=0)


@wrong("softmax", "the wrong axis")
def columns_in_a_loop(logits):
    p = np.exp(logits)
    for k in range(p.shape[1]):
        p[:, k] /= sum(p[:, k])
    return p


@wrong("softmax", "over everything")
def whole_batch(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True) * 0)
    return e / np.sum(e)


@wrong("softmax", "over everything")
def one_running_sum(logits):
    total = 0.0
    for row in logits:
        for z in row:
            total += math.exp(z)
    return np.array([[math.exp(z) / total for z in row] for row in logits])


@wrong("softmax", "sums laid across")
def without_keepdims(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1)


@wrong("softmax", "sums laid across")
def shifted_without_keepdims(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(1)


@wrong("softmax", "sums laid across")
def never_keepdims(logits):
    e = np.exp(logits - np.max(logits, axis=1))
    return e / np.sum(e, axis=1)


@wrong("softmax", "sums laid across")
def maxima_without_keepdims(logits):
    e = np.exp(logits - logits.max(1))
    return np.array([row / row.sum() for row in e])


@wrong("softmax", "sums laid across")
def shifted_by_one_maximum(logits):
    z = logits - logits.max()
    return np.exp(z) / np.exp(z).sum(axis=-1)


@wrong("softmax", "the wrong axis")
def shifted_rows_divided_columns(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / np.sum(e, axis=0)


@wrong("softmax", "over everything")
def shifted_rows_one_sum(logits):
    e = np.exp(logits - logits.max(axis=1)[:, None])
    return e / np.sum(e)


@wrong("softmax", "sums laid across")
def sum_of_another_row(logits):
    e = np.exp(logits)
    n, classes = e.shape
    return [[e[i, k] / e[k].sum() for k in range(classes)] for i in range(n)]


@wrong("softmax", "not divided")
def only_exp(logits):
    return np.exp(logits)


@wrong("softmax", "not divided")
def only_shifted(logits):
    return [[math.exp(z - max(row)) for z in row] for row in logits]


@wrong("softmax", "not divided")
def divided_by_the_largest(logits):
    e = np.exp(logits)
    return e / e.max(axis=1, keepdims=True)


@wrong("softmax", "divided by another number")
def by_the_mean(logits):
    e = np.exp(logits)
    return np.array([row / np.mean(row) for row in e])


@wrong("softmax", "divided by another number")
def by_the_sum_of_logits(logits):
    return np.exp(logits) / logits.sum(axis=-1)[:, np.newaxis]


@wrong("softmax", "divided by another number")
def by_the_largest_logit(logits):
    return np.array([[math.exp(z) / max(row) for z in row] for row in logits])


@wrong("softmax", "logarithm")
def log_probabilities(logits):
    return np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


@wrong("softmax", "logarithm")
def minus_log_sum(logits):
    return np.array([row - math.log(sum(math.exp(z) for z in row)) for row in logits])


@wrong("softmax", "without exp")
def share_of_the_sum(logits):
    return np.array([row / sum(row) for row in logits])


@wrong("softmax", "without exp")
def made_positive(logits):
    positive = np.abs(logits)
    return positive / positive.sum(axis=1, keepdims=True)


@wrong("softmax", "sigmoid")
def each_alone(logits):
    return 1 / (1 + np.exp(-logits))


@wrong("softmax", "sigmoid")
def each_against_zero(logits):
    return np.array([[math.exp(z) / (math.exp(z) + 1) for z in row] for row in logits])


@wrong("softmax", "changed input")
def shifts_in_place(logits):
    logits -= logits.max(axis=1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@wrong("softmax", "integer output")
def rounded(logits):
    p = np.zeros_like(logits)
    for n, row in enumerate(logits):
        e = np.exp(row - row.max())
        p[n] = e / e.sum()
    return p


# one_hot


@wrong("one_hot", "transposed")
def class_by_class(labels, classes):
    return np.array([labels == k for k in range(classes)], float)


@wrong("one_hot", "transposed")
def filled_by_columns(labels, classes):
    q = np.zeros((classes, len(labels)))
    for n, label in enumerate(labels):
        q[label, n] = 1
    return q


@wrong("one_hot", "counted from one")
def minus_one(labels, classes):
    return np.eye(classes)[labels - 1]


@wrong("one_hot", "counted from one")
def room_for_one_more(labels, classes):
    q = np.zeros((len(labels), classes + 1))
    q[np.arange(len(labels)), labels + 1] = 1
    return q


@wrong("one_hot", "counted from one")
def compares_with_one_to_k(labels, classes):
    return [[float(label == k) for k in range(1, classes + 1)] for label in labels]


@wrong("one_hot", "all labels in all rows")
def colon(labels, classes):
    q = np.zeros((len(labels), classes))
    q[:, labels] = 1
    return q


@wrong("one_hot", "all labels in all rows")
def nested(labels, classes):
    q = np.zeros((len(labels), classes))
    for row in q:
        for label in labels:
            row[label] = 1
    return q


@wrong("one_hot", "the label itself")
def label_written(labels, classes):
    q = np.zeros((len(labels), classes))
    for n, label in enumerate(labels):
        q[n, label] = label
    return q


@wrong("one_hot", "the label itself")
def label_times_mask(labels, classes):
    return np.where(np.arange(classes) == labels[:, None], labels[:, None], 0)


@wrong("one_hot", "classes counted in the labels")
def largest_label(labels, classes):
    return np.eye(max(labels) + 1)[labels]


@wrong("one_hot", "classes counted in the labels")
def unique_labels(labels, classes):
    return [
        [1.0 if label == k else 0.0 for k in sorted(set(labels))] for label in labels
    ]


@wrong("one_hot", "unknown")
def zeros_everywhere(labels, classes):
    return np.zeros((len(labels), classes))


# cross_entropy


def stable(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def parts_of(logits, labels):
    """Return loss and gradient of each image, right ones."""
    logs = stable(logits)
    rows = np.arange(len(labels))
    gradient = np.exp(logs)
    gradient[rows, labels] -= 1
    return -logs[rows, labels], gradient


@wrong("cross_entropy", "large logits")
def log_of_softmax(logits, labels):
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(p[range(len(p)), labels]).mean(), parts_of(logits, labels)[1] / len(
        p
    )


@wrong("cross_entropy", "large logits")
def log_of_stable_softmax(logits, labels):
    p = np.exp(stable(logits))
    truth = np.eye(p.shape[1])[labels]
    return -np.sum(truth * np.log(p + 1e-12)) / len(p), (p - truth) / len(p)


@wrong("cross_entropy", "large logits")
def loops_and_math(logits, labels):
    loss = 0.0
    for row, label in zip(logits, labels, strict=True):
        e = np.exp(row)
        loss -= np.log(e[label] / e.sum())
    return loss / len(labels), parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "summed")
def sum_of_losses(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return losses.sum(), gradient / len(labels)


@wrong("cross_entropy", "summed")
def gradient_of_the_sum(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return losses.mean(), gradient


@wrong("cross_entropy", "summed")
def running_loss(logits, labels):
    loss, dlogits = 0.0, np.zeros(logits.shape)
    for n, label in enumerate(labels):
        e = np.exp(logits[n] - logits[n].max())
        loss += np.log(e.sum()) - logits[n, label] + logits[n].max()
        dlogits[n] = e / e.sum()
        dlogits[n, label] -= 1
    return loss, dlogits


@wrong("cross_entropy", "divided twice")
def mean_of_a_mean(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return losses.mean() / len(losses), gradient / len(losses)


@wrong("cross_entropy", "divided twice")
def gradient_over_n_over_n(logits, labels):
    losses, gradient = parts_of(logits, labels)
    gradient /= len(labels)
    return losses.mean(), gradient / logits.shape[0]


@wrong("cross_entropy", "averaged over classes")
def mean_of_everything(logits, labels):
    truth = np.eye(logits.shape[1])[labels]
    return -np.mean(truth * stable(logits)), (np.exp(stable(logits)) - truth) / len(
        truth
    )


@wrong("cross_entropy", "averaged over classes")
def gradient_over_size(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return np.mean(losses), gradient / gradient.size


@wrong("cross_entropy", "averaged over classes")
def gradient_over_classes(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return np.mean(losses), gradient / gradient.shape[1]


@wrong("cross_entropy", "the sign")
def plus_log(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return np.sum(-losses) / len(labels), gradient / len(labels)


@wrong("cross_entropy", "the sign")
def truth_minus_answer(logits, labels):
    truth = np.eye(logits.shape[1])[labels]
    p = np.exp(stable(logits))
    return parts_of(logits, labels)[0].mean(), (truth - p) / len(p)


@wrong("cross_entropy", "the truth not subtracted")
def probabilities_only(logits, labels):
    return parts_of(logits, labels)[0].mean(), np.exp(stable(logits)) / len(labels)


@wrong("cross_entropy", "the truth not subtracted")
def subtracted_from_a_copy(logits, labels):
    p = np.exp(stable(logits))
    for n, label in enumerate(labels):
        right = p[n, label]
        right -= 1
    return parts_of(logits, labels)[0].mean(), p


@wrong("cross_entropy", "exp forgotten")
def logarithms_minus_truth(logits, labels):
    log_p = stable(logits)
    onehot = np.eye(logits.shape[1])[labels]
    return -(onehot * log_p).sum() / len(labels), (log_p - onehot) / len(labels)


@wrong("cross_entropy", "exp forgotten")
def log_p_in_place(logits, labels):
    dlogits = stable(logits)
    loss = -dlogits[range(len(labels)), labels].mean()
    for n, label in enumerate(labels):
        dlogits[n, label] -= 1
    return loss, dlogits


@wrong("cross_entropy", "exp forgotten")
def logits_minus_truth(logits, labels):
    dlogits = logits.astype(float)
    dlogits[np.arange(len(labels)), labels] -= 1
    return parts_of(logits, labels)[0].mean(), dlogits / len(labels)


@wrong("cross_entropy", "half of it divided")
def divided_before_subtracting(logits, labels):
    p = np.exp(stable(logits))
    truth = np.eye(p.shape[1])[labels]
    return parts_of(logits, labels)[0].mean(), p / len(p) - truth


@wrong("cross_entropy", "half of it divided")
def one_subtracted_at_the_end(logits, labels):
    dlogits = np.exp(stable(logits)) / logits.shape[0]
    dlogits[range(len(labels)), labels] -= 1
    return parts_of(logits, labels)[0].mean(), dlogits


@wrong("cross_entropy", "half of it divided")
def only_the_truth_divided(logits, labels):
    dlogits = np.exp(stable(logits))
    for n, label in enumerate(labels):
        dlogits[n, label] -= 1 / len(labels)
    return parts_of(logits, labels)[0].mean(), dlogits


@wrong("cross_entropy", "of the probabilities")
def slope_of_the_logarithm(logits, labels):
    p = np.exp(stable(logits))
    dp = np.zeros_like(p)
    for n, label in enumerate(labels):
        dp[n, label] = -1 / p[n, label] / len(labels)
    return parts_of(logits, labels)[0].mean(), dp


@wrong("cross_entropy", "of the probabilities")
def truth_over_p(logits, labels):
    p = np.exp(stable(logits))
    return parts_of(logits, labels)[0].mean(), -np.eye(p.shape[1])[labels] / p


@wrong("cross_entropy", "of the probabilities")
def of_the_logarithms(logits, labels):
    dlogits = np.zeros_like(logits)
    dlogits[np.arange(len(labels)), labels] = -1 / len(labels)
    return parts_of(logits, labels)[0].mean(), dlogits


@wrong("cross_entropy", "softmax twice")
def softmax_of_softmax(logits, labels):
    losses, gradient = parts_of(np.exp(stable(logits)), labels)
    return losses.mean(), gradient / len(labels)


@wrong("cross_entropy", "softmax twice")
def loop_with_two_softmaxes(logits, labels):
    def softmax(z):
        return np.exp(z - z.max()) / np.exp(z - z.max()).sum()

    loss = 0.0
    for n in range(len(labels)):
        loss -= np.log(softmax(softmax(logits[n]))[labels[n]])
    return loss / len(labels), parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "another logarithm")
def base_ten(logits, labels):
    p = np.exp(stable(logits))[np.arange(len(labels)), labels]
    return -np.log10(p).mean(), parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "another logarithm")
def bits(logits, labels):
    p = np.exp(stable(logits))
    loss = -sum(math.log2(p[n, k]) for n, k in enumerate(labels)) / len(labels)
    return loss, parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "all labels for all images")
def colon_and_labels(logits, labels):
    logs = stable(logits)
    return -logs[:, labels].mean(), parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "all labels for all images")
def truth_in_all_rows(logits, labels):
    dlogits = np.exp(stable(logits))
    dlogits[:, labels] -= 1
    return parts_of(logits, labels)[0].mean(), dlogits / len(dlogits)


@wrong("cross_entropy", "all labels for all images")
def two_loops(logits, labels):
    logs, loss = stable(logits), 0.0
    for row in logs:
        for label in labels:
            loss -= row[label]
    return loss / len(labels), parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "no logarithm")
def minus_probability(logits, labels):
    p = np.exp(stable(logits))
    return -p[np.arange(len(p)), labels].mean(), parts_of(logits, labels)[1] / len(p)


@wrong("cross_entropy", "no logarithm")
def what_is_missing(logits, labels):
    p = np.exp(stable(logits))
    loss = sum(1 - p[n, k] for n, k in enumerate(labels)) / len(labels)
    return loss, parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "parts")
def only_the_loss(logits, labels):
    return parts_of(logits, labels)[0].mean()


@wrong("cross_entropy", "wrong dtype")
def float64_truth(logits, labels):
    truth = np.zeros(logits.shape)
    truth[np.arange(len(labels)), labels] = 1
    losses, _ = parts_of(logits, labels)
    return losses.mean(), (np.exp(stable(logits)) - truth) / len(truth)


@wrong("cross_entropy", "a loss for each image")
def one_after_the_other(logits, labels):
    losses = []
    for row, label in zip(stable(logits), labels, strict=True):
        losses.append(-row[label])
    return losses, parts_of(logits, labels)[1] / len(labels)


@wrong("cross_entropy", "a loss for each image")
def shares_of_the_mean(logits, labels):
    truth = np.eye(logits.shape[1])[labels]
    losses = -np.sum(truth * stable(logits), axis=1) / len(labels)
    return losses, (np.exp(stable(logits)) - truth) / len(labels)


@wrong("cross_entropy", "a loss for each image")
def losses_of_all_images(logits, labels):
    losses, gradient = parts_of(logits, labels)
    return losses, gradient / len(labels)


# he_normal


def he(shape):
    return math.sqrt(2 / math.prod(shape[1:]))


@wrong("he_normal", "alike")
def all_the_same(shape, rng):
    return np.full(shape, rng.normal(0, he(shape)))


@wrong("he_normal", "alike")
def all_zero(shape, rng):
    return np.zeros(shape)


@wrong("he_normal", "alike")
def one_filter_copied(shape, rng):
    kernel = rng.normal(0, he(shape), shape[1:])
    return np.stack([kernel] * shape[0])


@wrong("he_normal", "alike")
def one_number_per_filter(shape, rng):
    weights = np.zeros(shape)
    for f in range(shape[0]):
        weights[f] = he(shape) * rng.standard_normal()
    return weights


@wrong("he_normal", "alike")
def channels_alike(shape, rng):
    weights = np.zeros(shape)
    for f in range(shape[0]):
        weights[f] = rng.normal(0, he(shape), shape[2:])
    return weights


@wrong("he_normal", "always the same")
def own_seed(shape, rng):
    return np.random.default_rng(0).normal(0, he(shape), shape)


@wrong("he_normal", "always the same")
def old_seed(shape, rng):
    state = np.random.RandomState(42)
    return state.randn(*shape) * he(shape)


@wrong("he_normal", "another generator")
def global_generator(shape, rng):
    return np.random.randn(*shape) * he(shape)  # noqa: NPY002


@wrong("he_normal", "another generator")
def fresh_generator(shape, rng):
    return np.random.default_rng().normal(0, he(shape), shape)


@wrong("he_normal", "off centre")
def from_zero_to_one(shape, rng):
    return rng.random(shape) * he(shape)


@wrong("he_normal", "off centre")
def positive_ones(shape, rng):
    return np.abs(rng.normal(0, he(shape), shape))


@wrong("he_normal", "off centre")
def arguments_swapped(shape, rng):
    return rng.normal(he(shape), 1, shape)


@wrong("he_normal", "square root forgotten")
def variance_as_spread(shape, rng):
    return rng.normal(0, 2 / math.prod(shape[1:]), shape)


@wrong("he_normal", "square root forgotten")
def root_of_two_only(shape, rng):
    return rng.standard_normal(shape) * np.sqrt(2) / np.prod(shape[1:])


@wrong("he_normal", "fan-out")
def counts_filters(shape, rng):
    f, _, kh, kw = shape
    return rng.normal(0, np.sqrt(2 / (f * kh * kw)), shape)


@wrong("he_normal", "fan-out")
def loop_with_fan_out(shape, rng):
    weights = np.empty(shape)
    fan_out = weights[:, 0].size
    for place in np.ndindex(shape):
        weights[place] = rng.normal() * (2 / fan_out) ** 0.5
    return weights


@wrong("he_normal", "without the ReLU's 2")
def lecun(shape, rng):
    return rng.normal(0, 1 / math.sqrt(math.prod(shape[1:])), shape)


@wrong("he_normal", "without the ReLU's 2")
def xavier(shape, rng):
    f, c, kh, kw = shape
    return rng.normal(size=shape) * np.sqrt(2 / ((f + c) * kh * kw))


@wrong("he_normal", "the wrong count")
def channels_only(shape, rng):
    return rng.normal(0, np.sqrt(2 / shape[1]), shape)


@wrong("he_normal", "the wrong count")
def all_weights(shape, rng):
    weights = rng.normal(size=shape)
    return weights * np.sqrt(2 / weights.size)


@wrong("he_normal", "the wrong count")
def filters_only(shape, rng):
    return np.sqrt(2 / shape[0]) * rng.standard_normal(shape)


@wrong("he_normal", "one size for all")
def one_hundredth(shape, rng):
    return 0.01 * rng.normal(size=shape)


@wrong("he_normal", "one size for all")
def standard(shape, rng):
    return rng.standard_normal(shape)


@wrong("he_normal", "one size for all")
def a_tenth_for_each(shape, rng):
    f, c, kh, kw = shape
    return [
        [[[rng.normal(0, 0.1) for _ in range(kw)] for _ in range(kh)] for _ in range(c)]
        for _ in range(f)
    ]


@wrong("he_normal", "uniform")
def he_uniform(shape, rng):
    bound = math.sqrt(6 / math.prod(shape[1:]))
    return rng.uniform(-bound, bound, shape)


@wrong("he_normal", "uniform")
def between_plus_and_minus(shape, rng):
    return (2 * rng.random(shape) - 1) * he(shape)


@wrong("he_normal", "nothing")
def returns_nothing(shape, rng):
    rng.normal(0, he(shape), shape)


@wrong("he_normal", "unknown")
def flat(shape, rng):
    return rng.normal(0, he(shape), math.prod(shape))


@wrong("softmax", "large logits")
def minus_the_rows_mean(logits):
    e = np.exp(logits - logits.mean(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@wrong("he_normal", "unknown")
def far_too_large(shape, rng):
    return rng.normal(0, 50, shape)


@pytest.mark.parametrize(("name", "mistake", "solution"), wrong.cases())
def test_mistake_gets_its_message(name, mistake, solution):
    verdict = examine(find(name), solution)
    assert verdict.mistake == mistake, verdict.message
    told = [m.says for m in find(name).mistakes if m.name == mistake]
    assert all(says in verdict.message for says in told)


def test_every_mistake_is_made_in_two_ways():
    assert wrong.rarely_made(ladder_network) == []


@pytest.mark.parametrize("exercise", LADDER, ids=lambda exercise: exercise.name)
def test_no_mistake_looks_like_another(exercise):
    plain = dataclasses.replace(exercise, call=None, steps=10**9)
    assert examine(plain, exercise.answer).right
    for mistake in exercise.mistakes:
        for goes_wrong in mistake.wrong:
            verdict = examine(plain, completed(exercise, goes_wrong))
            assert verdict.mistake == mistake.name, verdict.message


def completed(exercise, goes_wrong):
    """Return a mistake's function, with right parts where it gives none."""

    def solution(*arguments):
        if not exercise.parts:
            return goes_wrong(*arguments)
        right = exercise.answer(*arguments)
        try:
            got = goes_wrong(*arguments)
        except TypeError:  # it needs a dy
            return right
        pairs = zip(got, right, strict=True)
        return tuple(b if a is None else a for a, b in pairs)

    return solution


RIGHT = {
    "relu_layer": Rectifier,
    "flatten_layer": Flat,
    "conv_layer": Conv,
    "max_pool_layer": Pool,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", RIGHT)
def test_right_layers_are_right(name, seed):
    verdict = examine(find(name), RIGHT[name], seed)
    assert verdict.right, verdict.message


@pytest.mark.parametrize("seed", range(5))
def test_weights_pass_whatever_is_drawn(seed):
    def my_weights(shape, rng):
        return rng.normal(0, he(shape), shape)

    assert examine(find("he_normal"), my_weights, seed).right


def test_loops_over_everything_are_right_in_time():
    assert examine(find("conv_layer"), LoopConv).right


def test_forward_is_told_of_before_backward_is_written():
    class Unfinished:
        def forward(self, x):
            return np.minimum(x, 0)

        def backward(self, dy):
            raise NotImplementedError("later")

    assert "y: " in examine(find("relu_layer"), Unfinished).message


@pytest.mark.parametrize("name", ["linear_backward", "cross_entropy"])
def test_results_in_another_order_have_another_shape_from_the_first_case_on(name):
    exercise = find(name)
    case = next(iter(exercise.cases(np.random.default_rng(0))))
    shapes = [np.shape(part) for part in exercise.answer(*case.arguments)]
    assert len(set(shapes)) == len(exercise.parts)
    verdict = examine(exercise, lambda *arguments: exercise.answer(*arguments)[::-1])
    assert not verdict.right
    assert "numbers differ" not in verdict.message


def test_softmax_without_keepdims_is_named_though_wide_logits_raise_an_error():
    def my_softmax(logits):
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        return e / e.sum(1)

    verdict = examine(find("softmax"), my_softmax)
    assert "keepdims=True" in verdict.message
    assert "broadcast" not in verdict.message


def test_a_convolution_that_sets_its_gradients_in_forward_is_right():
    class EarlyZeros(LoopConv):
        def forward(self, x):
            super().start()
            return super().forward(x)

        def start(self):
            pass

    verdict = examine(find("conv_layer"), EarlyZeros)
    assert verdict.right, verdict.message


@pytest.mark.parametrize("exercise", LADDER, ids=lambda exercise: exercise.name)
def test_no_word_is_split(exercise):
    for mistake in exercise.mistakes:
        assert not re.search(r"\w- \w", mistake.says), mistake.says
