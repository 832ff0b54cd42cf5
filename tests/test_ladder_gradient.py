"""Wrong code of many hands: each mistake gets its message, and no other."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from wrong_code import WrongCode

from cnnbook import backprop, ladder_gradient
from cnnbook.checking import examine
from cnnbook.exercises import find

wrong = WrongCode()

# --- numerical_gradient ---


@wrong("numerical_gradient", "one-sided")
def one_side_in_a_loop(f, x):
    gradient = np.zeros(x.shape)
    here = f(x)
    for place in np.ndindex(x.shape):
        moved = x.astype(float)
        moved[place] += 1e-5
        gradient[place] = (f(moved) - here) / 1e-5
    return gradient


@wrong("numerical_gradient", "one-sided")
def backward_difference(f, x, h=1e-7):
    flat = [(f(x) - f(x - h * unit.reshape(x.shape))) / h for unit in np.eye(x.size)]
    return np.reshape(flat, x.shape)


@wrong("numerical_gradient", "one-sided")
def one_side_with_a_large_step(f, x):
    step, units = 0.01, np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(f(x + step * u) - f(x)) / step for u in units]).reshape(x.shape)


@wrong("numerical_gradient", "not divided by two")
def two_steps_divided_by_one(f, x):
    eps, y = 1e-6, x.astype(np.float64)
    out = np.empty(y.shape)
    for i in np.ndindex(*y.shape):
        old = y[i]
        y[i] = old + eps
        up = f(y)
        y[i] = old - eps
        down = f(y)
        y[i] = old
        out[i] = (up - down) / eps
    return out


@wrong("numerical_gradient", "not divided by two")
def adds_both_sides(f, x):
    h, units = 1e-4, np.eye(x.size).reshape(-1, *x.shape)
    right = np.array([(f(x + h * u) - f(x)) / h for u in units])
    left = np.array([(f(x) - f(x - h * u)) / h for u in units])
    return (right + left).reshape(x.shape)


@wrong("numerical_gradient", "divided by two steps")
def one_side_by_two(f, x):
    h, g = 1e-5, np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        y = x.astype(float)
        y[i] = y[i] + h
        g[i] = (f(y) - f(x)) / (2 * h)
    return g


@wrong("numerical_gradient", "divided by two steps")
def half_steps_by_two(f, x):
    h, units = 1e-5, np.eye(x.size).reshape(-1, *x.shape)
    slopes = [(f(x + h / 2 * u) - f(x - h / 2 * u)) / (2 * h) for u in units]
    return np.reshape(slopes, x.shape)


@wrong("numerical_gradient", "not divided")
def no_parentheses(f, x):
    h, g = 1e-5, np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        e = np.zeros(x.shape)
        e[i] = h
        g[i] = (f(x + e) - f(x - e)) / 2 * h
    return g


@wrong("numerical_gradient", "not divided")
def just_the_difference(f, x):
    g = []
    for unit in np.eye(x.size):
        e = 1e-6 * unit.reshape(x.shape)
        g.append(f(x + e) - f(x - e))
    return np.array(g).reshape(x.shape)


@wrong("numerical_gradient", "nothing measured")
def never_written(f, x):
    gradient = np.zeros_like(x, dtype=float)
    for place in np.ndindex(x.shape):
        e = np.zeros(x.shape)
        e[place] = 1e-5
        slope = (f(x + e) - f(x - e)) / 2e-5  # noqa: F841
    return gradient


@wrong("numerical_gradient", "nothing measured")
def lost_step(f, x):
    h, g = 1e-30, np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        a, b = x.astype(float), x.astype(float)
        a[i] += h
        b[i] -= h
        g[i] = (f(a) - f(b)) / (2 * h)
    return g


@wrong("numerical_gradient", "nothing measured")
def one_array_two_names(f, x):
    h, g = 1e-5, np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        plus = minus = x.astype(float)
        plus[i] += h
        minus[i] -= h
        g[i] = (f(plus) - f(minus)) / (2 * h)
    return g


@wrong("numerical_gradient", "all at once")
def whole_array(f, x):
    h = 1e-5
    return (f(x + h) - f(x - h)) / (2 * h)


@wrong("numerical_gradient", "all at once")
def whole_array_into_each(f, x):
    h, g = 1e-5, np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        g[i] = (f(x + h) - f(x - h)) / (2 * h)
    return g


@wrong("numerical_gradient", "along one axis")
def a_row_at_a_time(f, x):
    h, x = 1e-5, x.astype(float)
    g = np.zeros(x.shape)
    for i in range(len(x)):
        a, b = x.copy(), x.copy()
        a[i] += h
        b[i] -= h
        g[i] = (f(a) - f(b)) / (2 * h)
    return g


@wrong("numerical_gradient", "along one axis")
def one_slope_a_row(f, x):
    slopes = []
    for i in range(x.shape[0]):
        e = np.zeros(x.shape)
        e[i] = 1e-4
        slopes.append((f(x + e) - f(x - e)) / 2e-4)
    return np.array(slopes)


@wrong("numerical_gradient", "along one axis")
def last_axis_only(f, x):
    g = np.zeros(x.shape)
    for j in range(x.shape[-1]):
        e = np.zeros(x.shape)
        e[..., j] = 1e-5
        g[..., j] = (f(x + e) - f(x - e)) / 2e-5
    return g


@wrong("numerical_gradient", "flattened")
def stays_flat(f, x):
    flat, h, g = x.astype(float).ravel(), 1e-5, []
    for i in range(flat.size):
        a, b = flat.copy(), flat.copy()
        a[i] += h
        b[i] -= h
        g.append((f(a.reshape(x.shape)) - f(b.reshape(x.shape))) / (2 * h))
    return g


@wrong("numerical_gradient", "flattened")
def stays_flat_in_rows(f, x):
    units = 1e-5 * np.eye(x.size).reshape(-1, *x.shape)
    return np.array([f(x + u) - f(x - u) for u in units]) / 2e-5


@wrong("numerical_gradient", "steps kept")
def copies_made_once(f, x):
    h = 1e-6
    plus, minus, g = x.astype(float), x.astype(float), np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        plus[i] += h
        minus[i] -= h
        g[i] = (f(plus) - f(minus)) / (2 * h)
    return g


@wrong("numerical_gradient", "steps kept")
def nudge_kept(f, x):
    nudge, g = np.zeros(x.size), []
    for i in range(x.size):
        nudge[i] = 1e-5
        e = nudge.reshape(x.shape)
        g.append((f(x + e) - f(x - e)) / 2e-5)
    return np.array(g).reshape(x.shape)


@wrong("numerical_gradient", "not put back")
def left_below(f, x):
    y, h = x.astype(np.float64), 1e-5
    g = np.zeros(y.shape)
    for i in np.ndindex(y.shape):
        y[i] += h
        up = f(y)
        y[i] -= 2 * h
        g[i] = (up - f(y)) / (2 * h)
    return g


@wrong("numerical_gradient", "not put back")
def put_back_too_far(f, x):
    flat, h = x.astype(np.float64).ravel(), 1e-4
    g = np.zeros(flat.size)
    for i in range(flat.size):
        old = flat[i]
        flat[i] = old - h
        down = f(flat.reshape(x.shape))
        flat[i] = old + h
        g[i] = (f(flat.reshape(x.shape)) - down) / (2 * h)
    return g.reshape(x.shape)


@wrong("numerical_gradient", "step too large")
def tenth(f, x):
    g = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        e = np.zeros(x.shape)
        e[i] = 0.1
        g[i] = (f(x + e) - f(x - e)) / 0.2
    return g


@wrong("numerical_gradient", "step too large")
def whole_step(f, x):
    units = np.eye(x.size).reshape(-1, *x.shape)
    return np.array([f(x + u) - f(x - u) for u in units]).reshape(x.shape) / 2


@wrong("numerical_gradient", "step too small")
def tiny(f, x):
    h, g = 1e-12, np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        a, b = x.astype(float), x.astype(float)
        a[i] += h
        b[i] -= h
        g[i] = (f(a) - f(b)) / (2 * h)
    return g


@wrong("numerical_gradient", "step too small")
def tinier(f, x):
    units = 1e-13 * np.eye(x.size).reshape(-1, *x.shape)
    return np.array([f(x + u) - f(x - u) for u in units]).reshape(x.shape) / 2e-13


@wrong("numerical_gradient", "in whole numbers")
def copy_of_integers(f, x):
    x, h = x.copy(), 1e-5
    g = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        up = f(x)
        x[i] = old - h
        down = f(x)
        x[i] = old
        g[i] = (up - down) / (2 * h)
    return g


@wrong("numerical_gradient", "in whole numbers")
def nudge_of_integers(f, x):
    g = []
    for i in range(x.size):
        e = np.zeros_like(x)
        e.flat[i] = 1e-5 if x.dtype.kind == "f" else 1e-5 * x.flat[i]
        g.append((f(x + e) - f(x - e)) / 2e-5)
    return np.array(g, float).reshape(x.shape)


@wrong("numerical_gradient", "in float32")
def copy_of_float32(f, x):
    x, h = x * np.ones_like(x, dtype="f4" if x.dtype == "f4" else "f8"), 1e-5
    g = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        a, b = x.copy(), x.copy()
        a[i] += h
        b[i] -= h
        g[i] = (f(a) - f(b)) / (2 * h)
    return g


@wrong("numerical_gradient", "in float32")
def all_in_the_type_of_x(f, x):
    dtype = np.float64 if x.dtype.kind == "i" else x.dtype
    units = (
        np.eye(x.size, dtype=dtype).reshape(-1, *x.shape) * dtype.type(1e-4)
        if not isinstance(dtype, type)
        else 1e-4 * np.eye(x.size).reshape(-1, *x.shape)
    )
    slopes = [(f(x + u) - f(x - u)) / 2e-4 for u in units]
    return np.array(slopes, dtype).reshape(x.shape)


@wrong("numerical_gradient", "error")
def a_number_for_an_array(f, x):
    h = 1e-5
    return np.array([(f(v + h) - f(v - h)) / (2 * h) for v in x])


@wrong("numerical_gradient", "changed input")
def moves_the_callers(f, x):
    g, h = np.zeros(x.shape), 1e-3
    for i in np.ndindex(x.shape):
        x[i] += h
        up = f(x)
        x[i] -= 2 * h
        g[i] = (up - f(x)) / (2 * h)
    return g


@wrong("numerical_gradient", "integer output")
def gradient_like_x(f, x):
    g, y = np.zeros_like(x), x.astype(float)
    for i in np.ndindex(x.shape):
        e = np.zeros(x.shape)
        e[i] = 1e-5
        g[i] = (f(y + e) - f(y - e)) / 2e-5
    return g


@wrong("numerical_gradient", "unknown")
def minus(f, x):
    units = 1e-5 * np.eye(x.size).reshape(-1, *x.shape)
    return np.array([f(x - u) - f(x + u) for u in units]).reshape(x.shape) / 2e-5


@wrong("numerical_gradient", "relative step")
def share_of_each(f, x):
    g = np.zeros(x.shape)
    for p in np.ndindex(x.shape):
        above, below = x.astype(float), x.astype(float)
        above[p] *= 1 + 1e-5
        below[p] *= 1 - 1e-5
        g[p] = (f(above) - f(below)) / (2e-5 * x[p])
    return g


@wrong("numerical_gradient", "relative step")
def step_by_size(f, x):
    steps = 1e-4 * np.abs(x)
    g = np.zeros_like(x, dtype=float)
    for p in np.ndindex(*x.shape):
        move = np.zeros(x.shape)
        move[p] = steps[p]
        g[p] = np.divide(f(x + move) - f(x - move), 2 * steps[p])
    return g


@wrong("numerical_gradient", "one-sided")
def share_to_one_side(f, x):
    g = np.zeros(x.shape)
    for p in np.ndindex(x.shape):
        above = x.astype(float)
        above[p] = x[p] * 1.0001
        g[p] = (f(above) - f(x)) / (x[p] * 0.0001)
    return g


@wrong("numerical_gradient", "in float32")
def measured_in_float32(f, x):
    x = x.astype(np.float32)
    g = np.zeros(x.shape)
    for p in np.ndindex(x.shape):
        old = x[p]
        x[p] = old + 1e-5
        above = f(x)
        x[p] = old - 1e-5
        below = f(x)
        x[p] = old
        g[p] = (above - below) / 2e-5
    return g


@wrong("numerical_gradient", "in float32")
def moved_arrays_in_float32(f, x):
    g = np.zeros_like(x, dtype="float32")
    for p in np.ndindex(x.shape):
        e = np.zeros(x.shape, np.float32)
        e[p] = 1e-4
        x32 = np.float32(x)
        g[p] = (f(x32 + e) - f(x32 - e)) / (2 * e[p])
    return g


# --- relative_error ---


@wrong("relative_error", "each by its own")
def worst_ratio(analytic, numeric):
    worst = 0
    for a, n in zip(analytic.ravel(), numeric.ravel(), strict=True):
        worst = max(worst, abs(a - n) / abs(n))
    return worst


@wrong("relative_error", "each by its own")
def as_often_printed(analytic, numeric):
    larger = np.maximum(np.abs(analytic), np.abs(numeric))
    return np.max(np.abs(analytic - numeric) / np.maximum(1e-8, larger))


@wrong("relative_error", "each by its own")
def by_both(analytic, numeric):
    return (np.abs(analytic - numeric) / (abs(analytic) + abs(numeric))).max()


@wrong("relative_error", "not relative")
def absolute(analytic, numeric):
    return np.max(np.abs(analytic - numeric))


@wrong("relative_error", "not relative")
def absolute_in_a_loop(analytic, numeric):
    return max(abs(d) for d in (numeric - analytic).ravel())


@wrong("relative_error", "all together")
def mean_by_largest(analytic, numeric):
    return np.mean(np.abs(analytic - numeric)) / np.max(np.abs(numeric))


@wrong("relative_error", "all together")
def mean_of_ratios(analytic, numeric):
    ratios = [
        abs(a - n) / abs(n) for a, n in zip(analytic.flat, numeric.flat, strict=True)
    ]
    return sum(ratios) / len(ratios)


@wrong("relative_error", "all together")
def lengths(analytic, numeric):
    return np.linalg.norm(analytic - numeric) / np.linalg.norm(numeric)


@wrong("relative_error", "all together")
def roots_of_squares(analytic, numeric):
    return np.sqrt(np.sum((analytic - numeric) ** 2) / np.sum(numeric**2))


@wrong("relative_error", "all together")
def sums_of_sizes(analytic, numeric):
    return np.sum(abs(analytic - numeric)) / np.sum(abs(numeric))


@wrong("relative_error", "measured by the other")
def divided_by_derived(analytic, numeric):
    return np.max(np.abs(numeric - analytic)) / np.max(np.abs(analytic))


@wrong("relative_error", "measured by the other")
def divided_by_largest_of_both(analytic, numeric):
    largest = max(np.abs(analytic).max(), np.abs(numeric).max())
    return np.abs(analytic - numeric).max() / largest


@wrong("relative_error", "signs")
def no_absolute_values(analytic, numeric):
    return (analytic - numeric).max() / numeric.max()


@wrong("relative_error", "signs")
def absolute_above_only(analytic, numeric):
    largest = max(numeric.ravel().tolist())
    return np.abs(analytic - numeric).max() / largest


@wrong("relative_error", "signs")
def absolute_too_late(analytic, numeric):
    return abs(np.max(analytic - numeric)) / abs(np.max(numeric))


@wrong("relative_error", "one for each")
def no_maximum(analytic, numeric):
    return np.abs(analytic - numeric) / np.abs(numeric)


@wrong("relative_error", "one for each")
def no_maximum_above(analytic, numeric):
    return abs(analytic - numeric) / np.max(abs(numeric))


@wrong("relative_error", "nothing")
def printed(analytic, numeric):
    _ = np.abs(analytic - numeric).max() / np.abs(numeric).max()


# --- conv1d_backward ---


def signal_dx(dy, weight):
    return np.convolve(dy, weight)


def signal_dweight(dy, x):
    return np.correlate(x, dy, "valid")


@wrong("conv1d_backward", "kernel turned")
def signal_scatter_turned(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy)):
        dx[i : i + len(weight)] += dy[i] * weight[::-1]
        dweight += dy[i] * x[i : i + len(weight)]
    return dx, dweight


@wrong("conv1d_backward", "kernel turned")
def signal_correlated(dy, x, weight):
    return np.correlate(dy, weight, "full"), signal_dweight(dy, x)


@wrong("conv1d_backward", "kernel turned")
def signal_gathered_turned(dy, x, weight):
    dx = np.zeros(len(x))
    for a in range(len(x)):
        for u in range(len(weight)):
            i = a - u
            if 0 <= i < len(dy):
                dx[a] += dy[i] * weight[len(weight) - 1 - u]
    return dx, signal_dweight(dy, x)


@wrong("conv1d_backward", "dweight turned")
def signal_convolved(dy, x, weight):
    return signal_dx(dy, weight), np.convolve(x, dy, "valid")


@wrong("conv1d_backward", "dweight turned")
def signal_dweight_backwards(dy, x, weight):
    k = len(weight)
    dweight = [0] * k
    for u in range(k):
        for i in range(len(dy)):
            dweight[k - 1 - u] += dy[i] * x[i + u]
    return signal_dx(dy, weight), dweight


@wrong("conv1d_backward", "assigned")
def signal_assigned(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy)):
        dx[i : i + len(weight)] = dy[i] * weight
        dweight += dy[i] * x[i : i + len(weight)]
    return dx, dweight


@wrong("conv1d_backward", "assigned")
def signal_weights_assigned(dy, x, weight):
    dweight = np.zeros(len(weight))
    for u in range(len(weight)):
        for i in range(len(dy)):
            dweight[u] = dy[i] * x[i + u]
    return signal_dx(dy, weight), dweight


@wrong("conv1d_backward", "edge forgotten")
def signal_one_short(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy) - 1):
        for u in range(len(weight)):
            dx[i + u] += dy[i] * weight[u]
            dweight[u] += dy[i] * x[i + u]
    return dx, dweight


@wrong("conv1d_backward", "edge forgotten")
def signal_from_one(dy, x, weight):
    dx = np.zeros(len(x))
    for i in range(1, len(dy)):
        dx[i : i + len(weight)] += weight * dy[i]
    return dx, signal_dweight(dy, x)


@wrong("conv1d_backward", "not full")
def signal_same(dy, x, weight):
    full = np.convolve(dy, weight)
    start = (len(weight) - 1) // 2
    return full[start : start + len(dy)], signal_dweight(dy, x)


@wrong("conv1d_backward", "not full")
def signal_room_of_dy(dy, x, weight):
    dx = np.zeros(len(dy))
    for a in range(len(dy)):
        for u in range(len(weight)):
            if a - u >= 0:
                dx[a] += dy[a - u] * weight[u]
    return dx, signal_dweight(dy, x)


@wrong("conv1d_backward", "mean taken twice")
def signal_mean(dy, x, weight):
    windows = sliding_window_view(x, len(weight))
    return signal_dx(dy, weight), (windows * dy[:, None]).mean(axis=0)


@wrong("conv1d_backward", "mean taken twice")
def signal_divided(dy, x, weight):
    return signal_dx(dy, weight) / len(dy), signal_dweight(dy, x) / len(dy)


@wrong("conv1d_backward", "dy not used")
def signal_ones(dy, x, weight):
    dx = np.zeros(len(x))
    for i in range(len(dy)):
        dx[i : i + len(weight)] += weight
    return dx, signal_dweight(dy, x)


@wrong("conv1d_backward", "dy not used")
def signal_windows_summed(dy, x, weight):
    return signal_dx(dy, weight), sliding_window_view(x, len(weight)).sum(axis=0)


@wrong("conv1d_backward", "off-by-one size")
def signal_weights_full(dy, x, weight):
    return signal_dx(dy, weight), np.correlate(x, dy, "full")


@wrong("conv1d_backward", "off-by-one size")
def signal_weights_short(dy, x, weight):
    count = len(x) - len(dy)
    dweight = [np.sum(x[u : u + len(dy)] * dy) for u in range(count)]
    return signal_dx(dy, weight), np.array(dweight)


@wrong("conv1d_backward", "parts")
def signal_dx_alone(dy, x, weight):
    return signal_dx(dy, weight)


@wrong("conv1d_backward", "place forgotten")
def line_pixel_i(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy)):
        for u in range(len(weight)):
            dx[i] += dy[i] * weight[u]
            dweight[u] += dy[i] * x[i + u]
    return dx, dweight


@wrong("conv1d_backward", "place forgotten")
def line_seen_i(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy)):
        dx[i : i + len(weight)] += dy[i] * weight
        for u in range(len(weight)):
            dweight[u] += dy[i] * x[i]
    return dx, dweight


@wrong("conv1d_backward", "place forgotten")
def line_pixel_u(dy, x, weight):
    dx = np.zeros(len(x))
    for d in dy:
        dx[: len(weight)] += d * weight
    return dx, np.correlate(x, dy, "valid")


@wrong("conv1d_backward", "place forgotten")
def line_seen_u(dy, x, weight):
    dweight = [sum(d * x[u] for d in dy) for u in range(len(weight))]
    return np.convolve(dy, weight), np.array(dweight)


@wrong("conv1d_backward", "x and weight exchanged")
def line_exchanged(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy)):
        for u in range(len(weight)):
            dx[i + u] += dy[i] * x[i + u]
            dweight[u] += dy[i] * weight[u]
    return dx, dweight


@wrong("conv1d_backward", "x and weight exchanged")
def line_weights_for_weights(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    k = len(weight)
    for i, d in enumerate(dy):
        dx[i : i + k] += d * weight
        dweight += d * weight
    return dx, dweight


@wrong("conv1d_backward", "x and weight exchanged")
def line_first_pixels_as_weights(dy, x, weight):
    dx, dweight = np.zeros(len(x)), np.zeros(len(weight))
    for i in range(len(dy)):
        for u in range(len(weight)):
            dx[i + u] += dy[i] * x[u]
            dweight[u] += dy[i] * x[i + u]
    return dx, dweight


# --- conv2d_dweight ---


@wrong("conv2d_dweight", "rows and columns swapped")
def dw_indices_swapped(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    dweight = np.zeros((h - oh + 1, w - ow + 1))
    for i in range(oh):
        for j in range(ow):
            for u in range(dweight.shape[0]):
                for v in range(dweight.shape[1]):
                    dweight[u, v] += dy[i, j] * x[j + v, i + u]
    return dweight


@wrong("conv2d_dweight", "rows and columns swapped")
def dw_transposed(dy, x):
    return sliding_window_view(x, dy.shape).__mul__(dy).sum(axis=(2, 3)).T


@wrong("conv2d_dweight", "rows and columns swapped")
def dw_of_dy_transposed(dy, x):
    kh, kw = x.shape[0] - dy.shape[0] + 1, x.shape[1] - dy.shape[1] + 1
    dweight = np.zeros((kh, kw))
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dweight += dy[j, i] * x[i : i + kh, j : j + kw]
    return dweight


@wrong("conv2d_dweight", "dweight turned")
def dweight_of_turned_dy(dy, x):
    windows = sliding_window_view(x, dy.shape)
    return np.einsum("uvij,ij->uv", windows, dy[::-1, ::-1])


@wrong("conv2d_dweight", "dweight turned")
def dweight_counting_down(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    kh, kw = h - oh + 1, w - ow + 1
    dweight = np.zeros((kh, kw))
    for u in range(kh):
        for v in range(kw):
            dweight[kh - 1 - u, kw - 1 - v] = np.sum(dy * x[u : u + oh, v : v + ow])
    return dweight


@wrong("conv2d_dweight", "dweight turned")
def dy_slid_backwards(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    dweight = np.zeros((h - oh + 1, w - ow + 1))
    for u, v in np.ndindex(dweight.shape):
        for i, j in np.ndindex(oh, ow):
            dweight[u, v] += dy[oh - 1 - i, ow - 1 - j] * x[u + i, v + j]
    return dweight


@wrong("conv2d_dweight", "assigned")
def dweight_last_place(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    kh, kw = h - oh + 1, w - ow + 1
    for i in range(oh):
        for j in range(ow):
            dweight = dy[i, j] * x[i : i + kh, j : j + kw]
    return dweight


@wrong("conv2d_dweight", "assigned")
def dweight_elements_assigned(dy, x):
    dweight = np.zeros(np.array(x.shape) - dy.shape + 1)
    for u, v in np.ndindex(dweight.shape):
        for i, j in np.ndindex(dy.shape):
            dweight[u, v] = dy[i, j] * x[i + u, j + v]
    return dweight


@wrong("conv2d_dweight", "assigned")
def dweight_returns_early(dy, x):
    kh, kw = x.shape[0] - dy.shape[0] + 1, x.shape[1] - dy.shape[1] + 1
    dweight = np.zeros((kh, kw))
    for i, j in np.ndindex(dy.shape):
        dweight += dy[i, j] * x[i : i + kh, j : j + kw]
        break
    return dweight


@wrong("conv2d_dweight", "edge forgotten")
def dweight_one_short(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    dweight = np.zeros((h - oh + 1, w - ow + 1))
    for i in range(oh - 1):
        for j in range(ow - 1):
            dweight += dy[i, j] * x[i : i + h - oh + 1, j : j + w - ow + 1]
    return dweight


@wrong("conv2d_dweight", "edge forgotten")
def dweight_without_last_column(dy, x):
    return np.einsum(
        "uvij,ij->uv", sliding_window_view(x, dy.shape)[..., :-1], dy[:, :-1]
    )


@wrong("conv2d_dweight", "mean taken twice")
def dweight_mean(dy, x):
    return (sliding_window_view(x, dy.shape) * dy).mean(axis=(2, 3))


@wrong("conv2d_dweight", "mean taken twice")
def dweight_divided(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    dweight = np.zeros((h - oh + 1, w - ow + 1))
    for u, v in np.ndindex(dweight.shape):
        dweight[u, v] = np.sum(dy * x[u : u + oh, v : v + ow])
    return dweight / x.size


@wrong("conv2d_dweight", "dy not used")
def dweight_windows_only(dy, x):
    return sliding_window_view(x, dy.shape).sum(axis=(-1, -2))


@wrong("conv2d_dweight", "dy not used")
def dweight_without_dy(dy, x):
    kh, kw = x.shape[0] - dy.shape[0] + 1, x.shape[1] - dy.shape[1] + 1
    dweight = np.zeros((kh, kw))
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dweight += x[i : i + kh, j : j + kw]
    return dweight


@wrong("conv2d_dweight", "dweight too large")
def dweight_full(dy, x):
    oh, ow = dy.shape
    padded = np.pad(x, ((oh - 1, oh - 1), (ow - 1, ow - 1)))
    return np.einsum("uvij,ij->uv", sliding_window_view(padded, dy.shape), dy)


@wrong("conv2d_dweight", "dweight too large")
def dweight_same(dy, x):
    (oh, ow), (h, w) = dy.shape, x.shape
    top, left = (oh - 1) // 2, (ow - 1) // 2
    if oh % 2 == 0:
        top = oh // 2
    if ow % 2 == 0:
        left = ow // 2
    padded = np.pad(x, ((top, oh), (left, ow)))
    dweight = np.zeros((h, w))
    for u, v in np.ndindex(h, w):
        dweight[u, v] = np.sum(padded[u : u + oh, v : v + ow] * dy)
    return dweight


@wrong("conv2d_dweight", "integer output")
def dweight_like_x(dy, x):
    kh, kw = x.shape[0] - dy.shape[0] + 1, x.shape[1] - dy.shape[1] + 1
    dweight = np.zeros_like(x, shape=(kh, kw))
    for u, v in np.ndindex(kh, kw):
        for i, j in np.ndindex(dy.shape):
            dweight[u, v] += dy[i, j] * x[i + u, j + v]
    return dweight


@wrong("conv2d_dweight", "wrong dtype")
def dweight_in_float64(dy, x):
    windows = sliding_window_view(x.astype(float), dy.shape)
    return np.tensordot(windows, dy.astype(float), 2)


# --- conv2d_dx ---


@wrong("conv2d_dx", "rows and columns swapped")
def dx_kernel_transposed(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for i in range(oh):
        for j in range(ow):
            dx[i : i + kh, j : j + kw] += dy[i, j] * weight.T
    return dx


@wrong("conv2d_dx", "rows and columns swapped")
def dx_indices_swapped(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((ow + kw - 1, oh + kh - 1))
    for i, j in np.ndindex(oh, ow):
        for u, v in np.ndindex(kh, kw):
            dx[j + v, i + u] += dy[i, j] * weight[u, v]
    return dx


@wrong("conv2d_dx", "rows and columns swapped")
def dx_weight_vu(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for i, j in np.ndindex(oh, ow):
        for u, v in np.ndindex(kh, kw):
            dx[i + u, j + v] += dy[i, j] * weight[v, u]
    return dx


@wrong("conv2d_dx", "kernel turned")
def scatter_turned(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for i in range(oh):
        for j in range(ow):
            dx[i : i + kh, j : j + kw] += dy[i, j] * np.rot90(weight, 2)
    return dx


@wrong("conv2d_dx", "kernel turned")
def gathered_unturned(dy, weight):
    kh, kw = weight.shape
    padded = np.pad(dy, ((kh - 1, kh - 1), (kw - 1, kw - 1)))
    return np.einsum("abuv,uv->ab", sliding_window_view(padded, (kh, kw)), weight)


@wrong("conv2d_dx", "kernel turned")
def turned_twice(dy, weight):
    turned = weight[::-1, ::-1]
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for a, b in np.ndindex(dx.shape):
        for u, v in np.ndindex(kh, kw):
            if 0 <= a - u < oh and 0 <= b - v < ow:
                dx[a, b] += turned[u, v] * dy[a - u, b - v]
    return dx


@wrong("conv2d_dx", "kernel half turned")
def rows_only(dy, weight):
    kh, kw = weight.shape
    padded = np.pad(dy, ((kh - 1,) * 2, (kw - 1,) * 2))
    return np.einsum("abuv,uv->ab", sliding_window_view(padded, (kh, kw)), weight[::-1])


@wrong("conv2d_dx", "kernel half turned")
def by_ninety_degrees(dy, weight):
    turned = np.rot90(weight)
    kh, kw = turned.shape
    padded = np.pad(dy, ((kh - 1, kh - 1), (kw - 1, kw - 1)))
    dx = np.zeros((dy.shape[0] + kh - 1, dy.shape[1] + kw - 1))
    for a, b in np.ndindex(dx.shape):
        dx[a, b] = np.sum(padded[a : a + kh, b : b + kw] * turned)
    return dx


@wrong("conv2d_dx", "kernel half turned")
def scatter_columns_turned(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for i, j in np.ndindex(oh, ow):
        for u, v in np.ndindex(kh, kw):
            dx[i + u, j + v] += dy[i, j] * weight[u, kw - 1 - v]
    return dx


@wrong("conv2d_dx", "assigned")
def windows_assigned(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for j in range(ow):
        for i in range(oh):
            dx[i : i + kh, j : j + kw] = dy[i, j] * weight
    return dx


@wrong("conv2d_dx", "assigned")
def gather_assigned(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for a, b in np.ndindex(dx.shape):
        for u, v in np.ndindex(kh, kw):
            if 0 <= a - u < oh and 0 <= b - v < ow:
                dx[a, b] = weight[u, v] * dy[a - u, b - v]
    return dx


@wrong("conv2d_dx", "assigned")
def shifted_assigned(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for u in range(kh):
        for v in range(kw):
            dx[u : u + oh, v : v + ow] = weight[u, v] * dy
    return dx


@wrong("conv2d_dx", "edge forgotten")
def scatter_short(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for i in range(oh - 1):
        for j in range(ow):
            dx[i : i + kh, j : j + kw] += dy[i, j] * weight
    return dx


@wrong("conv2d_dx", "edge forgotten")
def gather_short(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for a, b in np.ndindex(dx.shape):
        for u, v in np.ndindex(kh, kw):
            if 0 < a - u < oh and 0 < b - v < ow:
                dx[a, b] += weight[u, v] * dy[a - u, b - v]
    return dx


@wrong("conv2d_dx", "not full")
def padded_by_too_little(dy, weight):
    kh, kw = weight.shape
    full = backprop_full(dy, weight)
    top, left = (kh - 1) // 2, (kw - 1) // 2
    return full[top : top + dy.shape[0], left : left + dy.shape[1]]


def backprop_full(dy, weight):
    """The right one, as a sum of shifted images."""
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for u, v in np.ndindex(kh, kw):
        dx[u : u + oh, v : v + ow] += weight[u, v] * dy
    return dx


@wrong("conv2d_dx", "not full")
def not_padded(dy, weight):
    turned = weight[::-1, ::-1]
    return np.tensordot(sliding_window_view(dy, weight.shape), turned, 2)


@wrong("conv2d_dx", "not full")
def room_of_dy(dy, weight):
    dx = np.zeros(dy.shape)
    for a, b in np.ndindex(dy.shape):
        for u, v in np.ndindex(weight.shape):
            if a >= u and b >= v:
                dx[a, b] += weight[u, v] * dy[a - u, b - v]
    return dx


@wrong("conv2d_dx", "mean taken twice")
def dx_divided(dy, weight):
    return backprop_full(dy / dy.size, weight)


@wrong("conv2d_dx", "mean taken twice")
def dx_mean_over_kernel(dy, weight):
    kh, kw = weight.shape
    windows = sliding_window_view(np.pad(dy, ((kh - 1,) * 2, (kw - 1,) * 2)), (kh, kw))
    return (windows * weight[::-1, ::-1]).mean(axis=(2, 3))


@wrong("conv2d_dx", "dy not used")
def kernels_only(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros((oh + kh - 1, ow + kw - 1))
    for i, j in np.ndindex(oh, ow):
        dx[i : i + kh, j : j + kw] += weight
    return dx


@wrong("conv2d_dx", "dy not used")
def ones_for_dy(dy, weight):
    ones = np.pad(np.ones(dy.shape), [(k - 1, k - 1) for k in weight.shape])
    return np.tensordot(sliding_window_view(ones, weight.shape), weight[::-1, ::-1], 2)


@wrong("conv2d_dx", "integer output")
def dx_like_the_kernel(dy, weight):
    (oh, ow), (kh, kw) = dy.shape, weight.shape
    dx = np.zeros_like(weight, shape=(oh + kh - 1, ow + kw - 1))
    for i, j in np.ndindex(oh, ow):
        for u, v in np.ndindex(kh, kw):
            dx[i + u, j + v] += dy[i, j] * weight[u, v]
    return dx


@wrong("conv2d_dx", "endless")
def never_done(dy, weight):
    i = 0
    while i < len(dy):
        pass


# --- conv2d_backward ---


def all_by_windows(dy, x, weight, stride, padding, kernels, shares, into, windows):
    """Right code for the whole, but for what is given."""
    (kh, kw), p, (h, w) = weight.shape[2:], padding, x.shape[1:]
    padded = np.pad(x, ((0, 0), (p, p), (p, p)))
    dpadded, dweight = np.zeros(padded.shape), np.zeros(weight.shape)
    for f, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        window = np.s_[:, a : a + kh, b : b + kw]
        dpadded[window] += shares(dy, f, i, j) * kernels(weight[f])
        seen = (x if windows == "x" else padded)[window]
        if into == "all":
            dweight += dy[f, i, j] * seen
        else:
            dweight[f, :, : seen.shape[1], : seen.shape[2]] += dy[f, i, j] * seen
    return dpadded[:, p : p + h, p : p + w], dweight, dy.sum(axis=(1, 2))


@wrong("conv2d_backward", "rows and columns swapped")
def all_kernels_transposed(dy, x, weight, stride=1, padding=0):
    def transposed(kernels):
        return kernels.transpose(0, 2, 1)

    def one(dy, f, i, j):
        return dy[f, i, j]

    return all_by_windows(
        dy, x, weight, stride, padding, transposed, one, "one", "padded"
    )


@wrong("conv2d_backward", "rows and columns swapped")
def all_dy_transposed(dy, x, weight, stride=1, padding=0):
    return all_by_windows(
        dy,
        x,
        weight,
        stride,
        padding,
        lambda kernels: kernels,
        lambda dy, f, i, j: dy[f, j, i],
        "one",
        "padded",
    )


@wrong("conv2d_backward", "filters mixed")
def all_into_every_filter(dy, x, weight, stride=1, padding=0):
    return all_by_windows(
        dy,
        x,
        weight,
        stride,
        padding,
        lambda kernels: kernels,
        lambda dy, f, i, j: dy[f, i, j],
        "all",
        "padded",
    )


@wrong("conv2d_backward", "margin on one side")
def all_windows_of_x(dy, x, weight, stride=1, padding=0):
    return all_by_windows(
        dy,
        x,
        weight,
        stride,
        padding,
        lambda kernels: kernels,
        lambda dy, f, i, j: dy[f, i, j],
        "one",
        "x",
    )


def right(dy, x, weight, stride=1, padding=0):
    return backprop.conv2d_backward(dy, x, weight, stride, padding)


def with_margin(x, p):
    return np.pad(x, ((0, 0), (p, p), (p, p)))


@wrong("conv2d_backward", "kernel turned")
def all_scatter_turned(dy, x, weight, stride=1, padding=0):
    padded = with_margin(x, padding)
    dpadded, dweight = np.zeros(padded.shape), np.zeros(weight.shape)
    kh, kw = weight.shape[2:]
    for f, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        dpadded[:, a : a + kh, b : b + kw] += dy[f, i, j] * np.flip(weight[f], (1, 2))
        dweight[f] += dy[f, i, j] * padded[:, a : a + kh, b : b + kw]
    h, w = x.shape[1:]
    dx = dpadded[:, padding : padding + h, padding : padding + w]
    return dx, dweight, dy.sum(axis=(1, 2))


@wrong("conv2d_backward", "kernel turned")
def all_gathered_unturned(dy, x, weight, stride=1, padding=0):
    kh, kw = weight.shape[2:]
    wide = np.pad(dy, ((0, 0), (kh - 1,) * 2, (kw - 1,) * 2))
    windows = sliding_window_view(wide, (kh, kw), axis=(1, 2))
    dx = np.einsum("fabuv,fcuv->cab", windows, weight)
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "kernel half turned")
def all_flip_of_one_axis(dy, x, weight, stride=1, padding=0):
    kh, kw = weight.shape[2:]
    wide = np.pad(dy, ((0, 0), (kh - 1,) * 2, (kw - 1,) * 2))
    windows = sliding_window_view(wide, (kh, kw), axis=(1, 2))
    dx = np.einsum("fabuv,fcuv->cab", windows, np.flip(weight, axis=-1))
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "kernel half turned")
def all_scatter_upside_down(dy, x, weight, stride=1, padding=0):
    dx = np.zeros(x.shape)
    filters, channels, kh, kw = weight.shape
    for f, c in np.ndindex(filters, channels):
        for i, j in np.ndindex(dy.shape[1:]):
            for u, v in np.ndindex(kh, kw):
                dx[c, i + u, j + v] += dy[f, i, j] * weight[f, c, kh - 1 - u, v]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "dweight turned")
def all_dweight_turned(dy, x, weight, stride=1, padding=0):
    dx, dweight, dbias = right(dy, x, weight, stride, padding)
    return (
        dx,
        np.array([[np.rot90(k, 2) for k in kernels] for kernels in dweight]),
        dbias,
    )


@wrong("conv2d_backward", "dweight turned")
def all_dy_turned(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    windows = sliding_window_view(x, dy.shape[1:], axis=(1, 2))
    return dx, np.einsum("cuvij,fij->fcuv", windows, dy[:, ::-1, ::-1]), dbias


@wrong("conv2d_backward", "assigned")
def all_windows_assigned(dy, x, weight, stride=1, padding=0):
    padded = with_margin(x, padding)
    dpadded, dweight = np.zeros(padded.shape), np.zeros(weight.shape)
    kh, kw = weight.shape[2:]
    for f, i, j in np.ndindex(dy.shape):
        window = np.s_[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
        dpadded[window] = dy[f, i, j] * weight[f]
        dweight[f] += dy[f, i, j] * padded[window]
    return dpadded, dweight, dy.sum(axis=(1, 2))


@wrong("conv2d_backward", "assigned")
def all_dweight_assigned(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    dweight = np.zeros(weight.shape)
    for f, c, u, v in np.ndindex(weight.shape):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                dweight[f, c, u, v] = dy[f, i, j] * x[c, i + u, j + v]
    return dx, dweight, dbias


@wrong("conv2d_backward", "assigned")
def all_filters_summed_then_assigned(dy, x, weight, stride=1, padding=0):
    kh, kw = weight.shape[2:]
    dx = np.zeros(x.shape)
    for i, j in np.ndindex(dy.shape[1:]):
        dx[:, i : i + kh, j : j + kw] = np.tensordot(dy[:, i, j], weight, 1)
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "edge forgotten")
def all_one_short(dy, x, weight, stride=1, padding=0):
    padded = with_margin(x, padding)
    dpadded, dweight = np.zeros(padded.shape), np.zeros(weight.shape)
    kh, kw = weight.shape[2:]
    for f in range(dy.shape[0]):
        for i in range(dy.shape[1] - 1):
            for j in range(dy.shape[2] - 1):
                window = np.s_[:, i : i + kh, j : j + kw]
                dpadded[window] += dy[f, i, j] * weight[f]
                dweight[f] += dy[f, i, j] * padded[window]
    return dpadded, dweight, dy.sum(axis=(1, 2))


@wrong("conv2d_backward", "edge forgotten")
def all_dweight_one_short(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    windows = sliding_window_view(x, dy.shape[1:], axis=(1, 2))
    used = np.einsum("cuvij,fij->fcuv", windows[..., :-1, :], dy[:, :-1])
    return dx, used, dbias


@wrong("conv2d_backward", "dbias as the mean")
def all_dbias_mean(dy, x, weight, stride=1, padding=0):
    dx, dweight, _ = right(dy, x, weight, stride, padding)
    return dx, dweight, dy.mean(axis=(1, 2))


@wrong("conv2d_backward", "dbias as the mean")
def all_dbias_divided(dy, x, weight, stride=1, padding=0):
    dx, dweight, dbias = right(dy, x, weight, stride, padding)
    for f in range(len(dbias)):
        dbias[f] = 0
        for i, j in np.ndindex(dy.shape[1:]):
            dbias[f] += dy[f, i, j] / (dy.shape[1] * dy.shape[2])
    return dx, dweight, dbias


@wrong("conv2d_backward", "one dbias for all")
def all_dbias_total(dy, x, weight, stride=1, padding=0):
    dx, dweight, _ = right(dy, x, weight, stride, padding)
    return dx, dweight, np.sum(dy)


@wrong("conv2d_backward", "one dbias for all")
def all_dbias_added_everywhere(dy, x, weight, stride=1, padding=0):
    dx, dweight, _ = right(dy, x, weight, stride, padding)
    dbias = np.zeros(len(weight))
    for place in np.ndindex(dy.shape):
        dbias += dy[place]
    return dx, dweight, dbias


@wrong("conv2d_backward", "dbias over the wrong axes")
def all_dbias_one_axis(dy, x, weight, stride=1, padding=0):
    dx, dweight, _ = right(dy, x, weight, stride, padding)
    return dx, dweight, dy.sum(axis=1)


@wrong("conv2d_backward", "dbias over the wrong axes")
def all_dbias_over_filters(dy, x, weight, stride=1, padding=0):
    dx, dweight, _ = right(dy, x, weight, stride, padding)
    return dx, dweight, sum(dy)


@wrong("conv2d_backward", "one filter")
def all_dx_made_anew(dy, x, weight, stride=1, padding=0):
    padded = with_margin(x, padding)
    dweight, (kh, kw) = np.zeros(weight.shape), weight.shape[2:]
    for f in range(len(weight)):
        dpadded = np.zeros(padded.shape)
        for i, j in np.ndindex(dy.shape[1:]):
            window = np.s_[:, i : i + kh, j : j + kw]
            dpadded[window] += dy[f, i, j] * weight[f]
            dweight[f] += dy[f, i, j] * padded[window]
    return dpadded, dweight, dy.sum(axis=(1, 2))


@wrong("conv2d_backward", "one filter")
def all_first_filter(dy, x, weight, stride=1, padding=0):
    kh, kw = weight.shape[2:]
    wide = np.pad(dy[0], ((kh - 1,) * 2, (kw - 1,) * 2))
    windows = sliding_window_view(wide, (kh, kw))
    dx = np.einsum("abuv,cuv->cab", windows, weight[0, :, ::-1, ::-1])
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "one filter")
def all_dweight_of_last(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    for f in range(len(weight)):
        dweight = np.zeros(weight.shape)
        dweight[f] = right(dy, x, weight, stride, padding)[1][f]
    return dx, dweight, dbias


@wrong("conv2d_backward", "filters mixed")
def all_dy_summed(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    windows = sliding_window_view(x, dy.shape[1:], axis=(1, 2))
    one = np.einsum("cuvij,ij->cuv", windows, dy.sum(axis=0))
    return dx, np.array([one] * len(weight)), dbias


@wrong("conv2d_backward", "filters mixed")
def all_two_loops_over_filters(dy, x, weight, stride=1, padding=0):
    dx, (kh, kw) = np.zeros(x.shape), weight.shape[2:]
    for f, i, j in np.ndindex(dy.shape):
        for g in range(len(weight)):
            dx[:, i : i + kh, j : j + kw] += dy[g, i, j] * weight[f]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "channels mixed")
def all_dx_for_every_channel(dy, x, weight, stride=1, padding=0):
    dx, (kh, kw) = np.zeros(x.shape), weight.shape[2:]
    for f, i, j in np.ndindex(dy.shape):
        for kernel in weight[f]:
            dx[:, i : i + kh, j : j + kw] += dy[f, i, j] * kernel
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "channels mixed")
def all_dweight_of_first_channel(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    windows = sliding_window_view(x[0], dy.shape[1:])
    one = np.tensordot(dy, windows, ((1, 2), (2, 3)))
    return dx, np.repeat(one[:, None], len(x), axis=1), dbias


@wrong("conv2d_backward", "channels mixed")
def all_dweight_of_summed_channels(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    dweight = np.zeros(weight.shape)
    for f, c, u, v in np.ndindex(weight.shape):
        for d in range(len(x)):
            part = x[d, u : u + dy.shape[1], v : v + dy.shape[2]]
            dweight[f, c, u, v] += np.sum(dy[f] * part)
    return dx, dweight, dbias


@wrong("conv2d_backward", "roles swapped")
def all_weights_swapped(dy, x, weight, stride=1, padding=0):
    dx, (kh, kw) = np.zeros(x.shape), weight.shape[2:]
    for c in range(len(x)):
        for f in range(len(dy)):
            for i, j in np.ndindex(dy.shape[1:]):
                dx[c, i : i + kh, j : j + kw] += dy[f, i, j] * weight[c, f]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "roles swapped")
def all_dweight_swapped(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    windows = sliding_window_view(x, dy.shape[1:], axis=(1, 2))
    return dx, np.einsum("cuvij,fij->cfuv", windows, dy), dbias


@wrong("conv2d_backward", "stride ignored")
def all_one_apart(dy, x, weight, stride=1, padding=0):
    dx, dweight, (kh, kw) = np.zeros(x.shape), np.zeros(weight.shape), weight.shape[2:]
    for f, i, j in np.ndindex(dy.shape):
        dx[:, i : i + kh, j : j + kw] += dy[f, i, j] * weight[f]
        dweight[f] += dy[f, i, j] * x[:, i : i + kh, j : j + kw]
    return dx, dweight, dy.sum(axis=(1, 2))


@wrong("conv2d_backward", "stride ignored")
def all_stride_in_rows(dy, x, weight, stride=1, padding=0):
    dx = np.zeros(x.shape)
    for f, i, j in np.ndindex(dy.shape):
        for c, u, v in np.ndindex(weight.shape[1:]):
            dx[c, i * stride + u, j + v] += dy[f, i, j] * weight[f, c, u, v]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "stride ignored")
def all_dweight_one_apart(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    (oh, ow), (kh, kw) = dy.shape[1:], weight.shape[2:]
    windows = sliding_window_view(x, (kh, kw), axis=(1, 2))[:, :oh, :ow]
    return dx, np.einsum("cijuv,fij->fcuv", windows, dy), dbias


@wrong("conv2d_backward", "remainder forgotten")
def all_zeros_between(dy, x, weight, stride=1, padding=0):
    f, oh, ow = dy.shape
    kh, kw = weight.shape[2:]
    apart = np.zeros((f, (oh - 1) * stride + 1, (ow - 1) * stride + 1))
    apart[:, ::stride, ::stride] = dy
    wide = np.pad(apart, ((0, 0), (kh - 1,) * 2, (kw - 1,) * 2))
    windows = sliding_window_view(wide, (kh, kw), axis=(1, 2))
    dx = np.einsum("fabuv,fcuv->cab", windows, weight[:, :, ::-1, ::-1])
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "remainder forgotten")
def all_room_for_the_windows(dy, x, weight, stride=1, padding=0):
    oh, ow = dy.shape[1:]
    c, kh, kw = weight.shape[1:]
    dx = np.zeros((c, stride * (oh - 1) + kh, stride * (ow - 1) + kw))
    for u, v in np.ndindex(kh, kw):
        part = np.tensordot(weight[:, :, u, v], dy, (0, 0))
        rows = slice(u, u + stride * oh, stride)
        dx[:, rows, v : v + stride * ow : stride][:, :oh, :ow] += part
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "margin kept")
def all_margin_kept(dy, x, weight, stride=1, padding=0):
    padded = with_margin(x, padding)
    return right(dy, padded, weight, stride, 0)


@wrong("conv2d_backward", "margin kept")
def all_margin_kept_too(dy, x, weight, stride=1, padding=0):
    padded = with_margin(x, padding)
    dpadded, (kh, kw) = np.zeros_like(padded), weight.shape[2:]
    for i, j in np.ndindex(dy.shape[1:]):
        a, b = stride * i, stride * j
        dpadded[:, a : a + kh, b : b + kw] += np.einsum(
            "f,fcuv->cuv", dy[:, i, j], weight
        )
    return dpadded, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "margin on one side")
def all_first_rows(dy, x, weight, stride=1, padding=0):
    dpadded, dweight, dbias = right(dy, with_margin(x, padding), weight, stride)
    return dpadded[:, : x.shape[1], : x.shape[2]], dweight, dbias


@wrong("conv2d_backward", "margin on one side")
def all_padded_before(dy, x, weight, stride=1, padding=0):
    padded = np.pad(x, ((0, 0), (2 * padding, 0), (2 * padding, 0)))
    dx, _, dbias = right(dy, x, weight, stride, padding)
    return dx, right(dy, padded, weight, stride)[1], dbias


@wrong("conv2d_backward", "margin on one side")
def all_columns_not_cut(dy, x, weight, stride=1, padding=0):
    dpadded, dweight, dbias = right(dy, with_margin(x, padding), weight, stride)
    h, w = x.shape[1:]
    return dpadded[:, padding : padding + h, :w], dweight, dbias


@wrong("conv2d_backward", "wrapped round")
def all_negative_indices(dy, x, weight, stride=1, padding=0):
    dx, (h, w) = np.zeros(x.shape), x.shape[1:]
    for f, i, j in np.ndindex(dy.shape):
        for c, u, v in np.ndindex(weight.shape[1:]):
            a, b = i * stride + u - padding, j * stride + v - padding
            if a < h and b < w:
                dx[c, a, b] += dy[f, i, j] * weight[f, c, u, v]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "wrapped round")
def all_negative_indices_of_x(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    dweight, (h, w) = np.zeros(weight.shape), x.shape[1:]
    for f, c, u, v in np.ndindex(weight.shape):
        for i, j in np.ndindex(dy.shape[1:]):
            a, b = i * stride + u - padding, j * stride + v - padding
            if a < h and b < w:
                dweight[f, c, u, v] += dy[f, i, j] * x[c, a, b]
    return dx, dweight, dbias


@wrong("conv2d_backward", "not full")
def all_unpadded(dy, x, weight, stride=1, padding=0):
    size = np.array(dy.shape[1:]) - weight.shape[2:] + 1
    dx = np.zeros((len(x), *np.maximum(size, 0)))
    turned = np.flip(weight, (2, 3))
    for c, a, b in np.ndindex(dx.shape):
        for f, u, v in np.ndindex(len(dy), *weight.shape[2:]):
            dx[c, a, b] += dy[f, a + u, b + v] * turned[f, c, u, v]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "not full")
def all_dx_of_dys_size(dy, x, weight, stride=1, padding=0):
    dx = np.zeros((len(x), *dy.shape[1:]))
    _, oh, ow = dy.shape
    for u, v in np.ndindex(weight.shape[2:]):
        part = np.einsum("fij,fc->cij", dy, weight[:, :, u, v])
        dx[:, u:, v:] += part[:, : max(oh - u, 0), : max(ow - v, 0)]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "mean taken twice")
def all_dweight_mean(dy, x, weight, stride=1, padding=0):
    dx, _, dbias = right(dy, x, weight, stride, padding)
    windows = sliding_window_view(x, weight.shape[2:], axis=(1, 2))
    parts = windows[None] * dy[:, None, :, :, None, None]
    return dx, parts.mean(axis=(2, 3)), dbias


@wrong("conv2d_backward", "mean taken twice")
def all_dx_by_filters(dy, x, weight, stride=1, padding=0):
    dx, dweight, dbias = right(dy, x, weight, stride, padding)
    return dx / len(dy), dweight, dbias


@wrong("conv2d_backward", "dy not used")
def all_dbias_counted(dy, x, weight, stride=1, padding=0):
    dx, dweight, _ = right(dy, x, weight, stride, padding)
    return dx, dweight, np.array([float(plane.size) for plane in dy])


@wrong("conv2d_backward", "dy not used")
def all_dx_without_dy(dy, x, weight, stride=1, padding=0):
    dx, (kh, kw) = np.zeros(x.shape), weight.shape[2:]
    for f, i, j in np.ndindex(dy.shape):
        dx[:, i : i + kh, j : j + kw] += weight[f]
    return dx, *right(dy, x, weight, stride, padding)[1:]


@wrong("conv2d_backward", "error")
def no_options(dy, x, weight):
    return right(dy, x, weight)


@wrong("conv2d_backward", "parts")
def as_a_dictionary(dy, x, weight, stride=1, padding=0):
    dx, dweight, dbias = right(dy, x, weight, stride, padding)
    return {"dx": dx, "dweight": dweight, "dbias": dbias}


@wrong("conv2d_backward", "wrong dtype")
def all_in_float64(dy, x, weight, stride=1, padding=0):
    return right(dy.astype(float), x.astype(float), weight, stride, padding)


# --- max_pool2d_backward ---


@wrong("max_pool2d_backward", "like a mean")
def max_spread(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        dx[c, a : a + k, b : b + k] += dy[c, i, j] / k**2
    return dx


@wrong("max_pool2d_backward", "like a mean")
def max_enlarged(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for u in range(kernel_size):
        for v in range(kernel_size):
            for c, i, j in np.ndindex(dy.shape):
                dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "to the corner")
def max_to_corner(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    _, oh, ow = dy.shape
    dx[:, : oh * stride : stride, : ow * stride : stride] = dy
    return dx


@wrong("max_pool2d_backward", "to the corner")
def max_to_corner_in_a_loop(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        dx[c, i * stride, j * stride] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "window's place forgotten")
def max_place_in_window(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        window = x[c, a : a + k, b : b + k]
        u, v = np.unravel_index(np.argmax(window), window.shape)
        dx[c, u, v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "window's place forgotten")
def max_without_stride(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        best = int(window.argmax())
        dx[c, i + best // k, j + best % k] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "row and column swapped")
def max_swapped(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        v, u = divmod(np.argmax(window), k)
        dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "row and column swapped")
def max_swapped_windows(dy, x, kernel_size, stride):
    k = kernel_size
    windows = sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    best = windows.reshape(*dy.shape, k * k).argmax(axis=-1)
    dx = np.zeros(x.shape)
    c, i, j = np.indices(dy.shape)
    np.add.at(dx, (c, i * stride + best % k, j * stride + best // k), dy)
    return dx


@wrong("max_pool2d_backward", "the smallest wins")
def max_smallest(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = divmod(window.argmin(), k)
        dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "the smallest wins")
def max_wrong_comparison(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        best, place = np.inf, None
        for u, v in np.ndindex(kernel_size, kernel_size):
            if x[c, i * stride + u, j * stride + v] < best:
                best = x[c, i * stride + u, j * stride + v]
                place = (c, i * stride + u, j * stride + v)
        dx[place] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "positive only")
def max_positive(dy, x, kernel_size, stride):
    return backprop.max_pool2d_backward(dy, x, kernel_size, stride) * (x > 0)


@wrong("max_pool2d_backward", "positive only")
def max_from_zero(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        best, place = 0, None
        for u in range(i * stride, i * stride + kernel_size):
            for v in range(j * stride, j * stride + kernel_size):
                if x[c, u, v] > best:
                    best, place = x[c, u, v], (c, u, v)
        if place:
            dx[place] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "positive only")
def max_from_zero_at_the_corner(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        best, a, b = 0, i * stride, j * stride
        for u in range(i * stride, i * stride + kernel_size):
            for v in range(j * stride, j * stride + kernel_size):
                if x[c, u, v] > best:
                    best, a, b = x[c, u, v], u, v
        dx[c, a, b] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "times the maximum")
def max_times_x(dy, x, kernel_size, stride):
    return backprop.max_pool2d_backward(dy, x, kernel_size, stride) * x


@wrong("max_pool2d_backward", "times the maximum")
def max_times_largest(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        window = x[c, a : a + k, b : b + k]
        dx[c, a : a + k, b : b + k] += np.where(
            window == window.max(), window * dy[c, i, j], 0
        )
    return dx


@wrong("max_pool2d_backward", "dy not used")
def max_mask(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        window = x[c, a : a + k, b : b + k]
        dx[c, a : a + k, b : b + k] += window == window.max()
    return dx


@wrong("max_pool2d_backward", "dy not used")
def max_ones(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = divmod(window.argmax(), k)
        dx[c, i * stride + u, j * stride + v] += 1
    return dx


@wrong("max_pool2d_backward", "one winner for all channels")
def max_of_first_channel(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for i, j in np.ndindex(dy.shape[1:]):
        window = x[0, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = divmod(window.argmax(), k)
        dx[:, i * stride + u, j * stride + v] += dy[:, i, j]
    return dx


@wrong("max_pool2d_backward", "one winner for all channels")
def max_of_summed_channels(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for i, j in np.ndindex(dy.shape[1:]):
        a, b = i * stride, j * stride
        total = x[:, a : a + k, b : b + k].sum(axis=0)
        dx[:, a : a + k, b : b + k] += (total == total.max()) * dy[:, i, j, None, None]
    return dx


@wrong("max_pool2d_backward", "assigned")
def max_window_assigned(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        window = x[c, a : a + k, b : b + k]
        dx[c, a : a + k, b : b + k] = (window == window.max()) * dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "assigned")
def max_pixel_assigned(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = divmod(window.argmax(), k)
        dx[c, i * stride + u, j * stride + v] = dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "assigned")
def max_indexed_assigned(dy, x, kernel_size, stride):
    k = kernel_size
    windows = sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    best = windows.reshape(*dy.shape, k * k).argmax(axis=-1)
    dx = np.zeros(x.shape)
    c, i, j = np.indices(dy.shape)
    dx[c, i * stride + best // k, j * stride + best % k] += dy  # adds once only
    return dx


@wrong("max_pool2d_backward", "all ties rewarded")
def max_masked(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        window = x[c, a : a + k, b : b + k]
        dx[c, a : a + k, b : b + k] += (window == window.max()) * dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "all ties rewarded")
def max_enlarged_mask(dy, x, kernel_size, stride):
    dx, (oh, ow) = np.zeros(x.shape), dy.shape[1:]
    k = kernel_size
    windows = sliding_window_view(x, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    largest = windows.max(axis=(3, 4))
    for u, v in np.ndindex(k, k):
        rows = slice(u, u + stride * (oh - 1) + 1, stride)
        columns = slice(v, v + stride * (ow - 1) + 1, stride)
        dx[:, rows, columns] += np.where(x[:, rows, columns] == largest, dy, 0)
    return dx


@wrong("max_pool2d_backward", "ties share")
def max_shared(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        mask = x[c, a : a + k, b : b + k] == x[c, a : a + k, b : b + k].max()
        dx[c, a : a + k, b : b + k] += mask / mask.sum() * dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "ties share")
def max_shared_by_hand(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        places = [
            (c, i * stride + u, j * stride + v)
            for u, v in np.ndindex(kernel_size, kernel_size)
        ]
        best = max(x[p] for p in places)
        winners = [p for p in places if x[p] == best]
        for p in winners:
            dx[p] += dy[c, i, j] / len(winners)
    return dx


@wrong("max_pool2d_backward", "last tie")
def max_greater_or_equal(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        best, place = -np.inf, None
        for u in range(i * stride, i * stride + kernel_size):
            for v in range(j * stride, j * stride + kernel_size):
                if x[c, u, v] >= best:
                    best, place = x[c, u, v], (c, u, v)
        dx[place] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "last tie")
def max_last_of_argwhere(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = np.argwhere(window == window.max())[-1]
        dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "last tie")
def max_sorted(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = divmod(np.argsort(window, axis=None, kind="stable")[-1], k)
        dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "integer output")
def max_like_x(dy, x, kernel_size, stride):
    dx, k = np.zeros_like(x), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = x[c, i * stride : i * stride + k, j * stride : j * stride + k]
        u, v = divmod(window.argmax(), k)
        dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "changed input")
def max_marks_winners(dy, x, kernel_size, stride):
    dx = backprop.max_pool2d_backward(dy, x, kernel_size, stride)
    x[dx != 0] = -np.inf
    return dx


# --- avg_pool2d_backward ---


@wrong("avg_pool2d_backward", "not shared out")
def avg_whole(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for i, j in np.ndindex(dy.shape[1:]):
        a, b = i * stride, j * stride
        dx[:, a : a + k, b : b + k] += dy[:, i, j, None, None]
    return dx


@wrong("avg_pool2d_backward", "wrong divisor")
def avg_by_k(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        for u, v in np.ndindex(kernel_size, kernel_size):
            dx[c, i * stride + u, j * stride + v] += dy[c, i, j] / kernel_size
    return dx


@wrong("avg_pool2d_backward", "wrong divisor")
def avg_by_outputs(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for i, j in np.ndindex(dy.shape[1:]):
        share = dy[:, i, j] / (dy.shape[1] * dy.shape[2])
        dx[:, i * stride : i * stride + k, j * stride : j * stride + k] += share[
            :, None, None
        ]
    return dx


@wrong("avg_pool2d_backward", "wrong divisor")
def avg_by_pixels(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        for u, v in np.ndindex(kernel_size, kernel_size):
            dx[c, i * stride + u, j * stride + v] += dy[c, i, j] / x[c].size
    return dx


@wrong("avg_pool2d_backward", "only one pixel")
def avg_like_max(dy, x, kernel_size, stride):
    return backprop.max_pool2d_backward(dy, x, kernel_size, stride)


@wrong("avg_pool2d_backward", "only one pixel")
def avg_to_corner(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        dx[c, i * stride, j * stride] += dy[c, i, j] / kernel_size**2
    return dx


@wrong("avg_pool2d_backward", "by the pixels")
def avg_times_pixels(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        window = np.s_[c, i * stride : i * stride + k, j * stride : j * stride + k]
        dx[window] += dy[c, i, j] * x[window] / k**2
    return dx


@wrong("avg_pool2d_backward", "by the pixels")
def avg_in_proportion(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        places = [
            (c, i * stride + u, j * stride + v)
            for u, v in np.ndindex(kernel_size, kernel_size)
        ]
        total = sum(x[p] for p in places)
        for p in places:
            dx[p] += dy[c, i, j] * x[p] / total
    return dx


@wrong("avg_pool2d_backward", "stride ignored")
def avg_one_apart(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        dx[c, i : i + k, j : j + k] += dy[c, i, j] / k**2
    return dx


@wrong("avg_pool2d_backward", "stride ignored")
def avg_all_to_the_first(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    dx[:, :k, :k] = dy.sum(axis=(1, 2))[:, None, None] / (k * k)
    return dx


@wrong("avg_pool2d_backward", "assigned")
def avg_assigned(dy, x, kernel_size, stride):
    dx, k = np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        dx[c, a : a + k, b : b + k] = dy[c, i, j] / (k * k)
    return dx


@wrong("avg_pool2d_backward", "assigned")
def avg_sliced_assigned(dy, x, kernel_size, stride):
    dx, (oh, ow) = np.zeros(x.shape), dy.shape[1:]
    for u, v in np.ndindex(kernel_size, kernel_size):
        rows = slice(u, u + stride * (oh - 1) + 1, stride)
        columns = slice(v, v + stride * (ow - 1) + 1, stride)
        dx[:, rows, columns] = dy / kernel_size**2
    return dx


@wrong("avg_pool2d_backward", "divided by the overlap")
def avg_averaged(dy, x, kernel_size, stride):
    dx, count, k = np.zeros(x.shape), np.zeros(x.shape), kernel_size
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        dx[c, a : a + k, b : b + k] += dy[c, i, j] / (k * k)
        count[c, a : a + k, b : b + k] += 1
    return dx / np.maximum(count, 1)


@wrong("avg_pool2d_backward", "divided by the overlap")
def avg_mean_of_shares(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, a, b in np.ndindex(x.shape):
        shares = [
            dy[c, i, j] / kernel_size**2
            for i, j in np.ndindex(dy.shape[1:])
            if 0 <= a - i * stride < kernel_size and 0 <= b - j * stride < kernel_size
        ]
        if shares:
            dx[c, a, b] = sum(shares) / len(shares)
    return dx


@wrong("avg_pool2d_backward", "wrong divisor")
def avg_by_stride_squared(dy, x, kernel_size, stride):
    k, dx = kernel_size, np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        a, b = i * stride, j * stride
        dx[c, a : a + k, b : b + k] += dy[c, i, j] / stride**2
    return dx


@wrong("avg_pool2d_backward", "wrong divisor")
def avg_by_stride(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape)
    for c, i, j in np.ndindex(dy.shape):
        for u, v in np.ndindex(kernel_size, kernel_size):
            dx[c, i * stride + u, j * stride + v] += dy[c, i, j] / stride
    return dx


@wrong("avg_pool2d_backward", "not shared out")
def avg_slices_of_all(dy, x, kernel_size, stride):
    k, dx = kernel_size, np.zeros(x.shape)
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            top, left = i * stride, j * stride
            dx[:, top : top + k, left : left + k] += dy[:, i, j][:, None, None]
    return dx


@wrong("avg_pool2d_backward", "channels along the window")
def avg_broadcast(dy, x, kernel_size, stride):
    k, dx = kernel_size, np.zeros(x.shape)
    for i in range(dy.shape[1]):
        for j in range(dy.shape[2]):
            top, left = i * stride, j * stride
            dx[:, top : top + k, left : left + k] += dy[:, i, j] / k**2
    return dx


@wrong("avg_pool2d_backward", "channels along the window")
def avg_broadcast_down(dy, x, kernel_size, stride):
    k, dx = kernel_size, np.zeros(x.shape)
    for i, j in np.ndindex(dy.shape[1:]):
        part = dy[:, i, j].reshape(-1, 1) * np.ones((k, k)) / (k * k)
        dx[:, i * stride : i * stride + k, j * stride : j * stride + k] += part
    return dx


@wrong("avg_pool2d_backward", "stride is the window")
def avg_side_by_side(dy, x, kernel_size, stride):
    k, dx = kernel_size, np.zeros(x.shape)
    for c in range(len(dy)):
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                part = dy[c, i, j] / k**2
                dx[c, i * k : (i + 1) * k, j * k : (j + 1) * k] += part
    return dx


@wrong("avg_pool2d_backward", "stride is the window")
def avg_repeated(dy, x, kernel_size, stride):
    parts = dy.repeat(kernel_size, axis=1).repeat(kernel_size, axis=2)
    parts = parts[:, : x.shape[1], : x.shape[2]] / kernel_size**2
    dx = np.zeros(x.shape)
    dx[:, : parts.shape[1], : parts.shape[2]] = parts
    return dx


# --- im2col ---


@wrong("im2col", "places miscounted")
def col_rows_of_oh(image, kernel_size, stride):
    k, (c, h, w) = kernel_size, image.shape
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    columns = np.zeros((c * k * k, oh * ow))
    for i in range(oh):
        for j in range(ow):
            a, b = i * stride, j * stride
            columns[:, i * oh + j] = image[:, a : a + k, b : b + k].ravel()
    return columns


@wrong("im2col", "places miscounted")
def col_rows_of_w(image, kernel_size, stride):
    k, (c, h, w) = kernel_size, image.shape
    columns = np.zeros((c * k * k, h * w))
    for i in range((h - k) // stride + 1):
        for j in range((w - k) // stride + 1):
            for n, (m, u, v) in enumerate(np.ndindex(c, k, k)):
                columns[n, i * w + j] = image[m, i * stride + u, j * stride + v]
    return columns


def places(image, k, s):
    """Where windows begin, in reading order."""
    _, h, w = image.shape
    return [(a, b) for a in range(0, h - k + 1, s) for b in range(0, w - k + 1, s)]


@wrong("im2col", "windows as rows")
def col_rows(image, kernel_size, stride):
    k = kernel_size
    return np.array(
        [
            image[:, a : a + k, b : b + k].ravel()
            for a, b in places(image, kernel_size, stride)
        ]
    )


@wrong("im2col", "windows as rows")
def col_rows_from_a_view(image, kernel_size, stride):
    k = kernel_size
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    c, oh, ow = windows.shape[:3]
    return windows.transpose(1, 2, 0, 3, 4).reshape(oh * ow, c * k * k)


@wrong("im2col", "windows read downwards")
def col_fortran(image, kernel_size, stride):
    k, columns = kernel_size, []
    for a, b in places(image, kernel_size, stride):
        columns.append(
            np.concatenate([p[a : a + k, b : b + k].ravel("F") for p in image])
        )
    return np.array(columns).T


@wrong("im2col", "windows read downwards")
def col_v_before_u(image, kernel_size, stride):
    rows = []
    for plane in image:
        for v in range(kernel_size):
            for u in range(kernel_size):
                rows.append(
                    [plane[a + u, b + v] for a, b in places(image, kernel_size, stride)]
                )
    return np.array(rows)


@wrong("im2col", "places read downwards")
def col_places_down(image, kernel_size, stride):
    k, (h, w) = kernel_size, image.shape[1:]
    columns = [
        image[:, a : a + k, b : b + k].ravel()
        for b in range(0, w - k + 1, stride)
        for a in range(0, h - k + 1, stride)
    ]
    return np.stack(columns, axis=1)


@wrong("im2col", "places read downwards")
def col_places_swapped(image, kernel_size, stride):
    k = kernel_size
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("cijuv->cuvji", windows).reshape(len(image) * k * k, -1)


@wrong("im2col", "channels last")
def col_channels_last(image, kernel_size, stride):
    k, pixels = kernel_size, np.moveaxis(image, 0, -1)
    return np.array(
        [pixels[a : a + k, b : b + k].ravel() for a, b in places(image, k, stride)]
    ).T


@wrong("im2col", "channels last")
def col_channels_inside(image, kernel_size, stride):
    rows = []
    for u, v in np.ndindex(kernel_size, kernel_size):
        for plane in image:
            rows.append(
                [plane[a + u, b + v] for a, b in places(image, kernel_size, stride)]
            )
    return np.array(rows)


@wrong("im2col", "reshaped, not moved")
def col_reshaped_rows(image, kernel_size, stride):
    rows = col_rows(image, kernel_size, stride)
    return rows.reshape(rows.shape[1], rows.shape[0])


@wrong("im2col", "reshaped, not moved")
def col_reshaped_view(image, kernel_size, stride):
    k = kernel_size
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    c, oh, ow = windows.shape[:3]
    return windows.reshape(c * k * k, oh * ow)


@wrong("im2col", "one channel only")
def col_first_channel(image, kernel_size, stride):
    k, plane = kernel_size, image[0]
    return np.array(
        [plane[a : a + k, b : b + k].ravel() for a, b in places(image, k, stride)]
    ).T


@wrong("im2col", "one channel only")
def col_last_channel_stays(image, kernel_size, stride):
    k = kernel_size
    for plane in image:
        columns = np.array(
            [plane[a : a + k, b : b + k].ravel() for a, b in places(image, k, stride)]
        ).T
    return columns


@wrong("im2col", "one channel only")
def col_first_channel_repeated(image, kernel_size, stride):
    k, rows = kernel_size, []
    for _ in range(len(image)):
        for u, v in np.ndindex(k, k):
            rows.append([image[0, a + u, b + v] for a, b in places(image, k, stride)])
    return np.array(rows)


@wrong("im2col", "channels apart")
def col_a_matrix_each(image, kernel_size, stride):
    return np.array([col_rows(plane[None], kernel_size, stride).T for plane in image])


@wrong("im2col", "channels apart")
def col_side_by_side(image, kernel_size, stride):
    parts = [col_rows(plane[None], kernel_size, stride).T for plane in image]
    return np.hstack(parts)


@wrong("im2col", "not flattened")
def col_the_view(image, kernel_size, stride):
    k = kernel_size
    return sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]


@wrong("im2col", "not flattened")
def col_places_in_two_axes(image, kernel_size, stride):
    k, (c, h, w) = kernel_size, image.shape
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    columns = np.zeros((c * k * k, oh, ow))
    for i, j in np.ndindex(oh, ow):
        a, b = i * stride, j * stride
        columns[:, i, j] = image[:, a : a + k, b : b + k].ravel()
    return columns


@wrong("im2col", "stride ignored")
def col_all_places(image, kernel_size, stride):
    return col_rows(image, kernel_size, 1).T


@wrong("im2col", "stride ignored")
def col_one_apart(image, kernel_size, stride):
    k, (c, h, w) = kernel_size, image.shape
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    columns = np.zeros((c * k * k, oh * ow))
    for i, j in np.ndindex(oh, ow):
        columns[:, i * ow + j] = image[:, i : i + k, j : j + k].reshape(-1)
    return columns


@wrong("im2col", "stride ignored")
def col_stride_in_rows(image, kernel_size, stride):
    k = kernel_size
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride]
    return windows.transpose(0, 3, 4, 1, 2).reshape(len(image) * k * k, -1)


@wrong("im2col", "off-by-one size")
def col_short(image, kernel_size, stride):
    k, (_, h, w) = kernel_size, image.shape
    columns = []
    for a in range(0, h - k, stride):
        for b in range(0, w - k, stride):
            columns.append(image[:, a : a + k, b : b + k].flatten())
    return np.transpose(columns)


@wrong("im2col", "off-by-one size")
def col_last_column_missing(image, kernel_size, stride):
    k, (c, h, w) = kernel_size, image.shape
    oh, ow = (h - k) // stride + 1, (w - k) // stride
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return windows[:, :, :ow].transpose(0, 3, 4, 1, 2).reshape(c * k * k, oh * ow)


@wrong("im2col", "wrong dtype")
def col_in_float64(image, kernel_size, stride):
    return col_rows(image, kernel_size, stride).T.astype(float)


# --- conv2d_im2col ---


def columns_of(image, k, stride):
    return col_rows(image, k, stride).T


def size_of(image, weight, stride):
    k = weight.shape[-1]
    return (image.shape[1] - k) // stride + 1, (image.shape[2] - k) // stride + 1


@wrong("conv2d_im2col", "flipped kernel")
def product_flipped(image, weight, stride):
    rows = weight[:, :, ::-1, ::-1].reshape(len(weight), -1)
    product = rows @ columns_of(image, weight.shape[-1], stride)
    return product.reshape(len(weight), *size_of(image, weight, stride))


@wrong("conv2d_im2col", "flipped kernel")
def product_flipped_windows(image, weight, stride):
    k, (oh, ow) = weight.shape[-1], size_of(image, weight, stride)
    y = np.zeros((len(weight), oh, ow))
    for f, i, j in np.ndindex(y.shape):
        window = image[:, i * stride : i * stride + k, j * stride : j * stride + k]
        y[f, i, j] = weight[f].ravel() @ window[:, ::-1, ::-1].ravel()
    return y


@wrong("conv2d_im2col", "weights in another order")
def product_weights_down(image, weight, stride):
    rows = np.array([[k.ravel("F") for k in kernels] for kernels in weight])
    product = rows.reshape(len(weight), -1) @ columns_of(
        image, weight.shape[-1], stride
    )
    return product.reshape(len(weight), *size_of(image, weight, stride))


@wrong("conv2d_im2col", "weights in another order")
def product_weights_channels_last(image, weight, stride):
    rows = [np.moveaxis(kernels, 0, -1).ravel() for kernels in weight]
    columns = columns_of(image, weight.shape[-1], stride)
    product = np.array(rows) @ columns
    # the first group has one channel: there this is right
    return product.reshape(len(weight), *size_of(image, weight, stride))


@wrong("conv2d_im2col", "weights in another order")
def product_weights_reshaped(image, weight, stride):
    columns = columns_of(image, weight.shape[-1], stride)
    product = columns.T @ weight.reshape(-1, len(weight))
    return product.T.reshape(len(weight), *size_of(image, weight, stride))


@wrong("conv2d_im2col", "not folded back")
def product_as_it_is(image, weight, stride):
    return weight.reshape(len(weight), -1) @ columns_of(image, weight.shape[-1], stride)


@wrong("conv2d_im2col", "not folded back")
def product_filters_last(image, weight, stride):
    rows = col_rows(image, weight.shape[-1], stride)
    product = rows @ weight.reshape(len(weight), -1).T
    return product.reshape(*size_of(image, weight, stride), len(weight))


@wrong("conv2d_im2col", "reshaped, not moved")
def product_reshaped(image, weight, stride):
    rows = col_rows(image, weight.shape[-1], stride)
    product = rows @ weight.reshape(len(weight), -1).T  # (places, filters)
    return product.reshape(len(weight), *size_of(image, weight, stride))


@wrong("conv2d_im2col", "reshaped, not moved")
def product_reshaped_einsum(image, weight, stride):
    k, (oh, ow) = weight.shape[-1], size_of(image, weight, stride)
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("cijuv,fcuv->ijf", windows, weight).reshape(-1, oh, ow)


@wrong("conv2d_im2col", "places swapped")
def product_places_swapped(image, weight, stride):
    oh, ow = size_of(image, weight, stride)
    product = product_as_it_is(image, weight, stride)
    return product.reshape(len(weight), oh, ow).swapaxes(1, 2)


@wrong("conv2d_im2col", "places swapped")
def product_einsum_swapped(image, weight, stride):
    k = weight.shape[-1]
    windows = sliding_window_view(image, (k, k), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("cijuv,fcuv->fji", windows, weight)


@wrong("conv2d_im2col", "one filter's result")
def product_filters_summed(image, weight, stride):
    oh, ow = size_of(image, weight, stride)
    return (
        product_as_it_is(image, weight, stride).sum(axis=0).reshape(1, oh, ow)[0]
        if len(weight) > 1
        else product_as_it_is(image, weight, stride).reshape(1, oh, ow)
    )


@wrong("conv2d_im2col", "one filter's result")
def product_first_filter(image, weight, stride):
    row = weight[0].reshape(1, -1)
    product = row @ columns_of(image, weight.shape[-1], stride)
    return product.reshape(-1, *size_of(image, weight, stride))


@wrong("conv2d_im2col", "one filter's result")
def product_last_filter_everywhere(image, weight, stride):
    y = np.zeros((len(weight), *size_of(image, weight, stride)))
    columns = columns_of(image, weight.shape[-1], stride)
    for f in range(len(weight)):
        y[:] = (weight[f].ravel() @ columns).reshape(y.shape[1:])
    return y


@wrong("conv2d_im2col", "stride ignored")
def product_all_places(image, weight, stride):
    return product_as_it_is(image, weight, 1).reshape(
        len(weight), *size_of(image, weight, 1)
    )


@wrong("conv2d_im2col", "stride ignored")
def product_first_places(image, weight, stride):
    k, (oh, ow) = weight.shape[-1], size_of(image, weight, stride)
    columns = [image[:, i : i + k, j : j + k].ravel() for i, j in np.ndindex(oh, ow)]
    rows = weight.reshape(len(weight), -1)
    return (rows @ np.array(columns).T).reshape(-1, oh, ow)


@wrong("conv2d_im2col", "integer output")
def product_in_integers(image, weight, stride):
    y = np.zeros_like(image, shape=(len(weight), *size_of(image, weight, stride)))
    for f, i, j in np.ndindex(y.shape):
        window = columns_of(image, weight.shape[-1], stride)[:, i * y.shape[2] + j]
        y[f, i, j] = weight[f].ravel() @ window
    return y


# --- col2im ---


@wrong("col2im", "places miscounted")
def fold_rows_of_oh(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    image = np.zeros((len(columns) // k**2, h, w))
    for i in range(oh):
        for j in range(ow):
            a, b = i * stride, j * stride
            window = columns[:, i * oh + j].reshape(-1, k, k)
            image[:, a : a + k, b : b + k] += window
    return image


@wrong("col2im", "places miscounted")
def fold_pixels_of_oh(columns, size, kernel_size, stride):
    k = kernel_size
    image = np.zeros((len(columns) // (k * k), *size))
    places = [(n - k) // stride + 1 for n in size]
    for c, u, v, i, j in np.ndindex(len(image), k, k, *places):
        n = c * k * k + u * k + v
        image[c, i * stride + u, j * stride + v] += columns[n, i * places[0] + j]
    return image


@wrong("col2im", "stride ignored")
def fold_one_apart(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    image = np.zeros((len(columns) // k**2, h, w))
    for i, j in np.ndindex(oh, ow):
        image[:, i : i + k, j : j + k] += columns[:, i * ow + j].reshape(-1, k, k)
    return image


@wrong("col2im", "stride ignored")
def fold_stride_in_columns(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    parts = columns.reshape(-1, k, k, oh, ow)
    image = np.zeros((len(parts), h, w))
    for u, v in np.ndindex(k, k):
        image[:, u : u + oh, v : v + stride * (ow - 1) + 1 : stride] += parts[:, u, v]
    return image


@wrong("col2im", "rows taken for windows")
def fold_rows(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    windows = columns.reshape(oh, ow, -1, k, k)
    image = np.zeros((windows.shape[2], h, w))
    for i, j in np.ndindex(oh, ow):
        a, b = i * stride, j * stride
        image[:, a : a + k, b : b + k] += windows[i, j]
    return image


@wrong("col2im", "rows taken for windows")
def fold_one_long_row(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    numbers = iter(columns.ravel())
    image = np.zeros((len(columns) // k**2, h, w))
    for a in range(0, h - k + 1, stride):
        for b in range(0, w - k + 1, stride):
            for c, u, v in np.ndindex(len(image), k, k):
                image[c, a + u, b + v] += next(numbers)
    return image


@wrong("col2im", "another order")
def fold_channels_last(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    ow = (w - k) // stride + 1
    image = np.zeros((h, w, len(columns) // k**2))
    for q, column in enumerate(columns.T):
        a, b = q // ow * stride, q % ow * stride
        image[a : a + k, b : b + k] += column.reshape(k, k, -1)
    return image.transpose(2, 0, 1)


@wrong("col2im", "another order")
def fold_windows_down(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    parts = columns.reshape(-1, k, k, oh, ow)
    image = np.zeros((len(parts), h, w))
    for c, u, v, i, j in np.ndindex(parts.shape):
        image[c, i * stride + v, j * stride + u] += parts[c, u, v, i, j]
    return image


@wrong("col2im", "another order")
def fold_places_down(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    image = np.zeros((len(columns) // k**2, h, w))
    q = 0
    for b in range(0, w - k + 1, stride):
        for a in range(0, h - k + 1, stride):
            image[:, a : a + k, b : b + k] += columns[:, q].reshape(-1, k, k)
            q += 1
    return image


@wrong("col2im", "assigned")
def fold_assigned(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    ow = (w - k) // stride + 1
    image = np.zeros((len(columns) // k**2, h, w))
    for q in range(columns.shape[1]):
        a, b = q // ow * stride, q % ow * stride
        image[:, a : a + k, b : b + k] = columns[:, q].reshape(-1, k, k)
    return image


@wrong("col2im", "assigned")
def fold_slices_assigned(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    parts = columns.reshape(-1, k, k, oh, ow)
    image = np.zeros((len(parts), h, w))
    for u, v in np.ndindex(k, k):
        image[
            :,
            u : u + stride * (oh - 1) + 1 : stride,
            v : v + stride * (ow - 1) + 1 : stride,
        ] = parts[:, u, v]
    return image


@wrong("col2im", "averaged")
def fold_inverse(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    ow = (w - k) // stride + 1
    image, count = np.zeros((len(columns) // k**2, h, w)), np.zeros((h, w))
    for q, column in enumerate(columns.T):
        a, b = q // ow * stride, q % ow * stride
        image[:, a : a + k, b : b + k] += column.reshape(-1, k, k)
        count[a : a + k, b : b + k] += 1
    return image / np.where(count, count, 1)


@wrong("col2im", "averaged")
def fold_mean_of_copies(columns, size, kernel_size, stride):
    (h, w), k = size, kernel_size
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    parts = columns.reshape(-1, k, k, oh, ow)
    image = np.zeros((len(parts), h, w))
    for c, a, b in np.ndindex(image.shape):
        copies = [
            parts[c, a - i * stride, b - j * stride, i, j]
            for i, j in np.ndindex(oh, ow)
            if 0 <= a - i * stride < k and 0 <= b - j * stride < k
        ]
        image[c, a, b] = np.mean(copies) if copies else 0
    return image


@wrong("max_pool2d_backward", "largest by size")
def farthest_from_zero(dy, x, kernel_size, stride):
    dx = np.zeros(x.shape, np.result_type(dy, x))
    for c, i, j in np.ndindex(dy.shape):
        rows = slice(i * stride, i * stride + kernel_size)
        columns = slice(j * stride, j * stride + kernel_size)
        u, v = divmod(int(np.argmax(np.abs(x[c, rows, columns]))), kernel_size)
        dx[c, i * stride + u, j * stride + v] += dy[c, i, j]
    return dx


@wrong("max_pool2d_backward", "largest by size")
def squares_compared(dy, x, kernel_size, stride):
    dx = np.zeros_like(x, dtype=np.result_type(dy, x))
    for c, i, j in np.ndindex(dy.shape):
        best = None
        for u in range(i * stride, i * stride + kernel_size):
            for v in range(j * stride, j * stride + kernel_size):
                if best is None or x[c, u, v] ** 2 > x[(c, *best)] ** 2:
                    best = u, v
        dx[(c, *best)] += dy[c, i, j]
    return dx


@wrong("numerical_gradient", "parentheses")
def divides_the_second_only(f, x):
    g, step = np.zeros(x.shape), 1e-5
    for place in np.ndindex(x.shape):
        up, down = x.astype(float), x.astype(float)
        up[place] += step
        down[place] -= step
        g[place] = f(up) - f(down) / (2 * step)
    return g


@wrong("numerical_gradient", "parentheses")
def divides_late(f, x):
    h = 1e-6
    x = np.array(x, dtype=float)
    g = np.empty_like(x)
    for k in range(x.size):
        old = x.flat[k]
        x.flat[k] = old + h
        above = f(x)
        x.flat[k] = old - h
        g.flat[k] = above - f(x) / 2 / h
        x.flat[k] = old
    return g


@pytest.mark.parametrize(("name", "mistake", "solution"), wrong.cases())
def test_mistake_gets_its_message(name, mistake, solution):
    verdict = examine(find(name), solution)
    assert verdict.mistake == mistake, verdict.message
    told = [m.says for m in find(name).mistakes if m.name == mistake]
    assert all(says in verdict.message for says in told)


def test_every_mistake_is_made_in_two_ways():
    assert wrong.rarely_made(ladder_gradient) == []
