"""One operator at a time: its speed, beside the best that the machine can do."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import (
    PAUSE,
    Competitor,
    blas_threads,
    busy_notes,
    check_threads,
    machine,
    notes,
    paired,
    progress_bar,
    quartiles,
    ratios,
    set_threads,
    summed_up,
)
from benchmarks.networks import (
    CHANNELS_LAST,
    LEARNING_RATE,
    OURS,
    PYTORCH,
    SLOW,
    TORCH,
    build,
    check_agreement,
    import_torch,
    twin,
)
from cnnbook import fast, lowering
from cnnbook.convolution import conv_geometry
from cnnbook.layers import Parameter
from cnnbook.optimizers import Adam
from cnnbook.regularization import BatchNorm2d

ROOF = "roofline"
SQUARE = 1024  # side of the matrices whose product is the roofline
BATCH = 64
WATCHED_RUNS = 5

# name: channels in, filters, kernel, padding, image size
CONVOLUTIONS = {
    "A, first": (1, 8, 3, 0, 28),
    "B, first": (1, 32, 5, 2, 28),
    "B, second": (32, 64, 5, 2, 14),
    "C, second": (16, 32, 3, 1, 14),
}
POOLED = (BATCH, 32, 28, 28)  # what B's first pooling takes


@dataclass(frozen=True)
class Settings:
    """How much is measured: rounds for each operator, and the numbers of threads."""

    rounds: int = 15
    threads: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Operator:
    """One operator, as each competitor computes it.

    Attributes
    ----------
    name, shape
        What the table calls it.
    work
        Additions and multiplications, or bytes that must be read and written.
    unit
        ``"GFLOP/s"`` or ``"GB/s"``.
    steps
        By competitor, a function that returns an array or several.
    """

    name: str
    shape: str
    work: float
    unit: str
    steps: dict[str, Callable]


def run(settings: Settings) -> dict:
    """Time every operator; return all results."""
    import_torch()  # before the threads are set, so that they are set for it, too
    facts = machine()
    rows, warnings = [], notes(facts, settings.threads)
    count = len(settings.threads) * len(operators())
    bar = progress_bar(count * settings.rounds)
    for threads in settings.threads:
        set_threads(threads)
        for operator in operators():
            bar.set_description(f"{operator.name}, {operator.shape}, {threads} thr.")
            rows.append(run_operator(operator, threads, settings.rounds, bar.update))
            warnings += busy_notes(rows[-1], f"{operator.name}, {operator.shape}")
        check_threads(threads)
    bar.close()
    if import_torch() is None:
        warnings.append("PyTorch is not installed (pip install torch): ours alone.")
    return {
        "benchmark": "operators",
        "machine": facts,
        "notes": warnings,
        "settings": {"rounds": settings.rounds, "batch": BATCH},
        "rows": rows,
    }


def run_operator(operator: Operator, threads: int, rounds: int, update) -> dict:
    """Return the times, rates and shares of the roofline of one operator."""
    agree(operator)
    roof, roof_work = roofline(operator)
    held = {name for name in operator.steps if name in SLOW} | {ROOF}

    def around(name):
        return (lambda: blas_threads(threads)) if name in held else None

    steps = {**operator.steps, ROOF: roof}
    competitors = {
        name: Competitor(step, around=around(name) or contextlib.nullcontext)
        for name, step in steps.items()
    }
    times = paired(competitors, rounds, after_round=update)
    summed = summed_up(times, competitors, OURS)
    work = dict.fromkeys(steps, operator.work) | {ROOF: roof_work}
    rates = {
        name: [work[name] / seconds / 1e9 for seconds in wall]
        for name, wall in times.wall.items()
    }
    row = {
        "operator": operator.name,
        "shape": operator.shape,
        "threads": threads,
        "unit": operator.unit,
        "rates": {name: quartiles(rate) for name, rate in rates.items()},
        "shares": {n: ratios(r, rates[ROOF]) for n, r in rates.items() if n != ROOF},
        **summed,
    }
    if operator.unit == "GFLOP/s" and threads == 1:
        best = operator.work / (1e9 * row["rates"][ROOF]["median"])
        row["breakdown"] = breakdown(operator.steps[OURS], best)
    return row


def agree(operator: Operator) -> None:
    """Stop, unless all competitors compute the same."""
    first = {name: arrays(step()) for name, step in operator.steps.items()}
    for parts in zip(*first.values(), strict=True):
        check_agreement(dict(zip(first, parts, strict=True)), operator.name)


def arrays(result) -> list[np.ndarray]:
    """Return copies of the arrays or tensors that an operator returned."""
    several = result if isinstance(result, tuple | list) else [result]
    parts = [part for part in several if part is not None]
    return [np.array(p.detach().numpy() if hasattr(p, "detach") else p) for p in parts]


def roofline(operator: Operator) -> tuple[Callable, float]:
    """Return the best that the machine can do, and how much work it does.

    For what multiplies that is a product of large square matrices; for what only
    reads and writes, a copy of an array as large as the operator's.
    """
    rng = np.random.default_rng(0)
    if operator.unit == "GFLOP/s":
        a, b = rng.random((2, SQUARE, SQUARE), np.float32)
        out = np.empty_like(a)
        return (lambda: np.matmul(a, b, out=out)), 2.0 * SQUARE**3
    source = rng.random(max(1, int(operator.work / 8)), np.float32)
    target = np.empty_like(source)
    return (lambda: np.copyto(target, source)), 2.0 * source.nbytes


def breakdown(step: Callable, best: float) -> dict[str, float] | None:
    """Return where the time of a step of ours goes, as shares that sum to 1.

    Parameters
    ----------
    step
        Runs in one thread.
    best
        Seconds that the step would take at the roofline.

    Returns
    -------
    dict or None
        ``roofline``: what the large square product would take for the same work;
        ``product``: what our products take beyond that; ``other``: everything that
        isn't a product, such as copies, sums and Python. None if no product was seen.
    """
    shares = []
    for _ in range(WATCHED_RUNS):
        time.sleep(PAUSE)
        step()
        with watched_products(fast) as watch:
            start = time.perf_counter()
            step()
            total = time.perf_counter() - start
        if not watch.calls:
            return None
        ideal, product = best / total, watch.seconds / total
        shares.append((ideal, product - ideal, 1 - product))
    # the middle run's shares, not each share's median: they are to sum to 1
    ideal, product, other = sorted(shares)[len(shares) // 2]
    return {"roofline": ideal, "product": product, "other": other}


class WatchedNumPy:
    """NumPy with a stopwatch on its products; everything else as it is.

    A product written with ``@`` is not seen.
    """

    products = "matmul", "dot", "einsum", "tensordot", "inner", "vdot"

    def __init__(self):
        self.seconds, self.calls = 0.0, 0

    def __getattr__(self, name):
        value = getattr(np, name)
        if name not in self.products:
            return value

        def timed(*arguments, **options):
            start = time.perf_counter()
            try:
                return value(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - start
                self.calls += 1

        return timed


@contextlib.contextmanager
def watched_products(module):
    """Let a module see a :py:class:`WatchedNumPy` as ``np``, and yield that."""
    real, module.np = module.np, WatchedNumPy()
    try:
        yield module.np
    finally:
        module.np = real


def operators() -> list[Operator]:
    """Return all operators, with fresh data."""
    found = []
    for name, sizes in CONVOLUTIONS.items():
        found += convolution(name, *sizes)
    return [*found, *pooling(), batch_norm(), adam()]


def convolution(name, channels, filters, k, padding, size) -> list[Operator]:
    """Return forward, dX, dW and both gradients of one convolution.

    The first layer of a network needs no dX, and the book's slower versions can't
    compute one gradient without the other.
    """
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((filters, channels, k, k)).astype(np.float32)
    bias = rng.standard_normal(filters).astype(np.float32)
    x = activations(rng, channels, size)
    options = 1, padding, 1, 1
    dy = like(fast.conv2d(x, weight, bias, *options), rng)

    g = fast.geometry(conv_geometry, (x, weight, bias), *options, 2)

    def gradients(dx):
        return lambda: fast.conv2d_backward(dy, x, weight, *options, input_gradient=dx)

    def input_alone():
        dx = fast.input_gradients(fast.planes(dy), x.shape[-2:], weight, g)
        return fast.unplanes(dx, x)

    kinds = {
        "forward": {OURS: lambda: fast.conv2d(x, weight, bias, *options)},
        "dX": {OURS: input_alone},
        "dW": {OURS: gradients(False)},
        "dX and dW": {OURS: gradients(True)},
    }
    for version in ("im2col", "einsum"):
        kinds["forward"][version] = slow_forward(version, x, weight, bias, options)
        kinds["dX and dW"][version] = slow_backward(version, dy, x, weight, options)
    for layout in TORCH if import_torch() else ():
        for kind, step in torch_convolution(layout, dy, x, weight, bias, padding):
            kinds[kind][layout] = step
    if channels == 1:
        del kinds["dX"]
    shape = f"{name}: {channels} to {filters}, {k}x{k}, on {size}x{size}"
    once = 2.0 * dy.size * channels * k * k
    return [
        Operator(
            f"conv {kind}",
            shape,
            2 * once if kind == "dX and dW" else once,
            "GFLOP/s",
            steps,
        )
        for kind, steps in kinds.items()
    ]


def slow_forward(version: str, x, weight, bias, options) -> Callable:
    """Return a convolution by one of the book's slower versions."""
    x = np.ascontiguousarray(x)
    return lambda: SLOW[version][0](x, weight, bias, *options)


def slow_backward(version: str, dy, x, weight, options) -> Callable:
    """Return a convolution's gradients by one of the book's slower versions."""
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    return lambda: SLOW[version][1](dy, x, weight, *options)


def torch_convolution(layout: str, dy, x, weight, bias, padding: int):
    """Yield PyTorch's functions for each kind of :py:func:`convolution`."""
    torch = import_torch()
    dy, x, w, b = (tensor(part, layout) for part in (dy, x, weight, bias))
    pair = [padding, padding]

    def backward(dx, dw):
        # what autograd calls; the bias has its gradient with the weight's
        return lambda: torch.ops.aten.convolution_backward(
            *(dy, x, w, [len(b)], [1, 1], pair, [1, 1], False, [0, 0], 1),
            [dx, dw, dw],
        )

    def forward():
        with torch.inference_mode():
            return torch.nn.functional.conv2d(x, w, b, 1, padding)

    yield "forward", forward
    yield "dX", backward(True, False)
    yield "dW", backward(False, True)
    yield "dX and dW", backward(True, True)


def pooling() -> list[Operator]:
    """Return max pooling, 2x2, and its backward."""
    rng = np.random.default_rng(0)
    x = activations(rng, *POOLED[1:3])
    dy = like(fast.max_pool2d(x, 2), rng)
    plain_x, plain_dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    forward = {
        OURS: lambda: fast.max_pool2d(x, 2),
        "im2col": lambda: lowering.max_pool2d(plain_x, 2),
    }
    backward = {
        OURS: lambda: fast.max_pool2d_backward(dy, x, 2),
        "im2col": lambda: lowering.max_pool2d_backward(plain_dy, plain_x, 2),
    }
    for layout in TORCH if import_torch() else ():
        forward[layout], backward[layout] = torch_pooling(layout, dy, x)
    shape = f"B, first: {POOLED[1]} on {POOLED[2]}x{POOLED[3]}"
    reads = x.nbytes + dy.nbytes
    return [
        Operator("max pool forward", shape, reads, "GB/s", forward),
        Operator("max pool backward", shape, reads + x.nbytes, "GB/s", backward),
    ]


def torch_pooling(layout: str, dy, x) -> tuple[Callable, Callable]:
    """Return PyTorch's max pooling and its backward, as autograd calls them."""
    torch = import_torch()
    dy, x = tensor(dy, layout), tensor(x, layout)
    options = [2, 2], [2, 2], [0, 0], [1, 1], False
    _, places = torch.ops.aten.max_pool2d_with_indices(x, *options)
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    return (
        lambda: torch.ops.aten.max_pool2d_with_indices(x, *options)[0],
        lambda: backward(dy, x, *options, places),
    )


def batch_norm() -> Operator:
    """Return batch norm in training, forward and backward."""
    rng = np.random.default_rng(0)
    x = activations(rng, *POOLED[1:3])
    dy, layer = like(x, rng), BatchNorm2d(POOLED[1])

    def ours():
        layer(x)
        return layer.backward(dy)

    steps = {OURS: ours}
    for layout in TORCH if import_torch() else ():
        steps[layout] = torch_batch_norm(layout, dy, x)
    shape = f"B, first: {POOLED[1]} on {POOLED[2]}x{POOLED[3]}"
    # reads x and writes y; reads dy and x again, writes dx
    return Operator("batch norm and backward", shape, 5 * x.nbytes, "GB/s", steps)


def torch_batch_norm(layout: str, dy, x) -> Callable:
    """Return PyTorch's batch norm, forward and backward."""
    torch = import_torch()
    layer = torch.nn.BatchNorm2d(x.shape[1])
    dy, x = tensor(dy, layout), tensor(x, layout).requires_grad_()
    wanted = [x, layer.weight, layer.bias]
    return lambda: torch.autograd.grad(layer(x), wanted, dy)[0]


def adam() -> Operator:
    """Return a step of Adam on B's parameters."""
    rng = np.random.default_rng(0)
    model = build("B")
    # the twin first: its weights are a copy of those that ours begins with
    theirs = twin(model) if import_torch() else None
    parameters = model.parameters()
    optimizer = Adam(parameters, lr=LEARNING_RATE)
    for parameter in parameters:
        parameter.grad[...] = rng.standard_normal(parameter.data.shape)
    steps = {OURS: stepping(optimizer, parameters)}
    if theirs is not None:
        steps[PYTORCH] = torch_adam(theirs, parameters)
    size = sum(p.data.size for p in parameters)
    # reads weight, gradient and two means; writes weight and means
    return Operator("Adam step", f"B: {size:,} weights", 7 * 4 * size, "GB/s", steps)


def stepping(optimizer: Adam, parameters: list[Parameter]) -> Callable:
    """Return a function that takes a step and returns the first weight."""

    def step():
        optimizer.step()
        return parameters[0].data

    return step


def torch_adam(model, parameters: list[Parameter]) -> Callable:
    """Return the same step of PyTorch's Adam, from the same gradients."""
    torch = import_torch()
    theirs = list(model.parameters())
    optimizer = torch.optim.Adam(theirs, lr=LEARNING_RATE)
    for parameter, ours in zip(theirs, parameters, strict=True):
        parameter.grad = torch.from_numpy(ours.grad.copy())

    def step():
        optimizer.step()
        return theirs[0]

    return step


def activations(rng, channels: int, size: int) -> np.ndarray:
    """Return random activations (N, C, H, W), lying in memory as they do in a network.

    An image (one channel) is as the user gives it; anything else is as the library's
    own convolution and pooling leave it.
    """
    if channels == 1:
        return rng.standard_normal((BATCH, 1, size, size)).astype(np.float32)
    images = np.zeros((BATCH, 1, 2 * size, 2 * size), np.float32)
    weight = np.zeros((channels, 1, 3, 3), np.float32)
    bias = np.zeros(channels, np.float32)
    return like(fast.max_pool2d(fast.conv2d(images, weight, bias, 1, 1, 1, 1), 2), rng)


def like(array: np.ndarray, rng) -> np.ndarray:
    """Return random numbers, shaped and lying in memory as `array`."""
    new = np.empty_like(array)
    new[...] = rng.standard_normal(array.shape)
    return new


def tensor(array: np.ndarray, layout: str):
    """Return a copy as a tensor in one of PyTorch's layouts."""
    torch = import_torch()
    new = torch.from_numpy(np.array(array, order="C"))
    if layout == CHANNELS_LAST and new.ndim == 4:
        new = new.to(memory_format=torch.channels_last)
    return new
