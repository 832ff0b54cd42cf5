"""The work of a training step, counted: no clock, and the same on every machine.

A step of network B at 64 images must not need more products, lowered columns or new
memory than it did when it was measured. Each bound is shown to notice a step back.
"""

import inspect
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from cnnbook import fast, models, threads
from cnnbook.layers import Conv2d
from cnnbook.losses import CrossEntropyLoss
from cnnbook.optimizers import Adam
from cnnbook.training import train_step

BATCH = 64
# Kernel 5, padding 2: of 5 rows for each of n outputs, the first two and the last two
# outputs miss 2 + 1 + 1 + 2. The same along the width.
MET = {n: 5 * n - 6 for n in (28, 14)}
# Channels times filters of the convolutions, and of the dense layers.
FIRST, SECOND, DENSE = 1 * 32, 32 * 64, 64 * 7 * 7 * 128 + 128 * 10
# The first convolution needs no gradient of its input: two products, not three.
LEAST = BATCH * (2 * FIRST * MET[28] ** 2 + 3 * SECOND * MET[14] ** 2 + 3 * DENSE)
# Along the width, the margin is multiplied (6 of 70 columns in the second one).
FEW = BATCH * (2 * FIRST * MET[28] * 5 * 28 + 3 * SECOND * MET[14] * 5 * 14 + 3 * DENSE)
LARGE = 2**16  # bytes of an array that is made for reuse
FLOAT = 4
# What may be counted at most: name -> (number, why).
BOUNDS = {
    "products": (35, "rows of outputs with the same taps are multiplied at once"),
    "multiplications": (FEW, "no margin along the height"),
    "lowered": (
        # Rows, taps and columns of all images: twice for the first convolution
        # (forward, weights), once for the second (weights).
        FLOAT * BATCH * (2 * 28 * 5 * 28 + 14 * 32 * 5 * 14),
        "many channels are spread instead, and gradients of inputs always",
    ),
    "allocated": (0, "all large arrays lie in memory of the step before"),
    "peak": (3 * 2**20, "mostly the gradient of the first dense layer, 1.6 MB"),
}


class CountingNumpy:
    """NumPy, as `threads` sees it; it counts the memory of large new arrays."""

    def __init__(self):
        self.bytes = 0

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, shape, dtype=float):
        """Make an array; count it if it wasn't made for a matrix product."""
        array = np.empty(shape, dtype)
        if sys._getframe(1).f_code.co_name != "product" and array.nbytes >= LARGE:
            self.bytes += array.nbytes
        return array


@pytest.fixture
def counts(monkeypatch):
    """Return a function that counts a step when it is called: name -> number."""
    before = threads.get_num_threads()
    threads.set_num_threads(1)
    model = models.wide_convnet(0)
    how = CrossEntropyLoss(), Adam(model.parameters(), 1e-3)
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 1, 28, 28), dtype=np.float32)
    y = rng.integers(0, 10, BATCH)

    def step():
        train_step(model, x, y, *how)

    def count():
        for _ in range(2):  # until everything has its memory
            step()
        done = SimpleNamespace(products=0, multiplications=0, lowered=0)
        numpy, matmul, lower = CountingNumpy(), np.matmul, fast.lower

        def counted_matmul(a, b, **options):
            result = matmul(a, b, **options)
            done.products += 1
            done.multiplications += result.size * a.shape[-1]
            return result

        def counted_lower(*arguments):
            lowered = lower(*arguments)
            done.lowered += lowered.nbytes
            return lowered

        with monkeypatch.context() as patch:
            patch.setattr(np, "matmul", counted_matmul)
            patch.setattr(fast, "lower", counted_lower)
            patch.setattr(threads, "np", numpy)
            step()
        tracemalloc.start()
        try:
            step()  # from here on, what is given back was seen to be made
            tracemalloc.reset_peak()
            start, _ = tracemalloc.get_traced_memory()
            step()
            _, end = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return vars(done) | {"allocated": numpy.bytes, "peak": end - start}

    yield count
    threads.set_num_threads(before)


def exceeded(counted):
    """Return the names of the bounds that are exceeded."""
    return {name for name, (most, _) in BOUNDS.items() if counted[name] > most}


def test_a_step_stays_within_its_bounds(counts):
    """And does all that is to be done."""
    counted = counts()
    assert not exceeded(counted), counted
    assert counted["multiplications"] >= LEAST
    assert counted["multiplications"] <= 1.09 * LEAST  # the margin along the width


def test_every_step_is_the_same(counts):
    """What is counted doesn't depend on the weights, nor on the steps before."""
    first, second = counts(), counts()
    del first["peak"], second["peak"]  # dictionaries that grow, and the like
    assert first == second


def padded(x):
    """Return images with a margin of two zeros."""
    return np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))


def with_margin(x, weight, bias, *options):
    """Convolve as network B does, but with the margin as pixels."""
    return fast.conv2d(padded(x), weight, bias)


def with_margin_backward(dy, x, weight, *options, input_gradient=True):
    """Return its gradients."""
    dx, *others = fast.conv2d_backward(
        dy, padded(x), weight, input_gradient=input_gradient
    )
    return None if dx is None else dx[:, :, 2:-2, 2:-2], *others


def test_products_with_the_margin_are_noticed(counts, monkeypatch):
    """Zeros are multiplied like any number."""
    monkeypatch.setattr(Conv2d, "forwards", with_margin)
    monkeypatch.setattr(Conv2d, "backwards", with_margin_backward)
    assert "multiplications" in exceeded(counts())


def test_lowering_every_layer_is_noticed(counts, monkeypatch):
    """The second convolution is lowered five times as wide, and then once more."""
    monkeypatch.setattr(fast, "gathers", lambda weight, g: True)
    assert "lowered" in exceeded(counts())


def test_products_row_by_row_are_noticed(counts, monkeypatch):
    """A product for each row of outputs would be a hundred calls."""
    stacks = fast.stacks
    monkeypatch.setattr(fast, "stacks", lambda *a: stacks(*a[:-1], 1))
    counted = counts()
    assert "products" in exceeded(counted)
    assert "multiplications" not in exceeded(counted)


def test_a_gradient_that_nobody_asks_for_is_noticed(counts, monkeypatch):
    """The pixels' gradient is a third of the first convolution's work."""
    backward = fast.conv2d_backward
    monkeypatch.setattr(Conv2d, "backwards", lambda *a, input_gradient: backward(*a))
    assert "multiplications" in exceeded(counts())


def test_memory_that_is_not_used_again_is_noticed(counts, monkeypatch):
    """New arrays everywhere, or one that is kept from step to step."""
    with monkeypatch.context() as patch:
        patch.setattr(threads, "LEAST", 2**62)
        assert {"allocated", "peak"} <= exceeded(counts())
    with monkeypatch.context() as patch:
        kept, lower = [], fast.lower

        def keeping(*arguments):
            kept.append(lower(*arguments))
            return kept[-1]

        patch.setattr(fast, "lower", keeping)
        assert {"allocated", "peak"} <= exceeded(counts())


def test_the_kernels_are_short_enough_to_read():
    """Under 500 lines are exported from the chapter, blank ones not counted."""
    exported = inspect.getsource(fast).splitlines()
    lines = [line for line in exported if line.strip() and not line.startswith("#")]
    assert 300 < len(lines) < 500
