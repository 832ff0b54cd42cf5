"""The networks that race: ours, PyTorch's twins of them, and the slower versions."""

import functools
import warnings
from collections.abc import Callable

import numpy as np

from cnnbook import backprop, convolution, lowering, pooling
from cnnbook.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from cnnbook.losses import CrossEntropyLoss
from cnnbook.models import light_convnet, small_convnet, wide_convnet
from cnnbook.optimizers import Adam
from cnnbook.training import train_step

NETWORKS = {"A": small_convnet, "B": wide_convnet, "C": light_convnet}
OURS, PYTORCH, CHANNELS_LAST = "cnnbook", "PyTorch", "PyTorch channels_last"
TORCH = (PYTORCH, CHANNELS_LAST)
LEARNING_RATE = 1e-3
TOLERANCE = 1e-3  # relative, for results of the same numbers in another order

# The book's slower versions: convolution and its backward, pooling and its backward.
SLOW = {
    "im2col": (
        lowering.conv2d,
        lowering.conv2d_backward,
        lowering.max_pool2d,
        lowering.max_pool2d_backward,
    ),
    "einsum": (
        lowering.conv2d_einsum,
        lowering.conv2d_einsum_backward,
        lowering.max_pool2d,
        lowering.max_pool2d_backward,
    ),
    "loops": (
        convolution.conv2d,
        backprop.conv2d_backward,
        pooling.max_pool2d,
        backprop.max_pool2d_backward,
    ),
}


class Disagreement(RuntimeError):
    """Two competitors don't compute the same, so that there is nothing to compare."""


def import_torch():
    """Return PyTorch, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torch
        except ModuleNotFoundError:
            return None
    return torch


def digits(batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random images (N, 1, 28, 28), float32 from 0 to 1, and labels (N,)."""
    rng = np.random.default_rng(seed)
    return rng.random((batch, 1, 28, 28), np.float32), rng.integers(0, 10, batch)


def build(network: str, version: str = OURS) -> Sequential:
    """Return a network, ``"A"``, ``"B"`` or ``"C"``, always with the same weights.

    With the name of one of the `SLOW` versions, its convolutions and poolings are
    that version's; everything else is the library's.
    """
    model = NETWORKS[network](rng=0)
    if version != OURS:
        classes = slow_classes(*SLOW[version])
        for layer in model.layers:
            layer.__class__ = classes.get(type(layer), type(layer))
    return model


def slow_classes(conv, conv_backward, pool, pool_backward) -> dict[type, type]:
    """Return the classes that take the place of Conv2d and MaxPool2d."""

    def backward_of_all(*arguments, **ignored):
        # The slower versions can't leave out a gradient that nobody needs.
        return conv_backward(*arguments)

    class SlowConv2d(Conv2d):
        forwards, backwards = conv, backward_of_all

    class SlowMaxPool2d(MaxPool2d):
        def forward(self, x):
            self._x = x
            return pool(x, *self.options())

        def backward(self, dy):
            return pool_backward(dy, self._x, *self.options())

    return {Conv2d: SlowConv2d, MaxPool2d: SlowMaxPool2d}


def twin(model: Sequential):
    """Return PyTorch's network of the same layers and weights."""
    torch = import_torch()
    layers = torch.nn.Sequential(*(torch_layer(layer) for layer in model.layers))
    state = {k: torch.from_numpy(v) for k, v in model.state_dict().items()}
    layers.load_state_dict(state)
    return layers


def torch_layer(layer):
    """Return PyTorch's layer for one of ours, with weights of its own."""
    nn = import_torch().nn
    if isinstance(layer, Conv2d):
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size
        return nn.Conv2d(*sizes, *layer.options())
    if isinstance(layer, MaxPool2d):
        return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, Linear):
        return nn.Linear(layer.in_features, layer.out_features)
    return {ReLU: nn.ReLU, Flatten: nn.Flatten}[type(layer)]()


def competitor_step(name: str, network: str, task: str, batch) -> Callable:
    """Return the function that a competitor is timed on; see `competitor_steps`."""
    return competitor_steps(name, network, task, [batch])[0]


def competitor_steps(name: str, network: str, task: str, batches) -> list[Callable]:
    """Return a function without arguments for each batch, all on the same network.

    Parameters
    ----------
    name : str
        `OURS`, one of `TORCH` or one of `SLOW`.
    network : str
    task : str
        ``"training"``: a step returns the loss, a float; ``"inference"``: the
        logits, (N, 10).
    batches : list of pairs of arrays
        Each as :py:func:`digits` returns it.
    """
    model = build(network, name if name in SLOW else OURS)
    if name in TORCH:
        model = twin(model)
        last = name == CHANNELS_LAST
        batches = [prepared(model, x, y, last) for x, y in batches]
        step = torch_training(model) if task == "training" else torch_inference(model)
    else:
        step = own_training(model) if task == "training" else own_inference(model)
    return [functools.partial(step, *batch) for batch in batches]


def own_training(model: Sequential) -> Callable:
    """Return one training step of ours, a function of a batch."""
    loss, optimizer = CrossEntropyLoss(), Adam(model.parameters(), lr=LEARNING_RATE)
    return lambda x, y: train_step(model, x, y, loss, optimizer)[0]


def own_inference(model: Sequential) -> Callable:
    """Return our answer to a batch."""
    model.eval()
    return lambda x, y: model(x)


def torch_training(model) -> Callable:
    """Return one training step of PyTorch's, a function of a batch."""
    torch = import_torch()
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def torch_inference(model) -> Callable:
    """Return PyTorch's answer to a batch."""
    torch = import_torch()
    model.eval()

    def step(x, y):
        with torch.inference_mode():
            return model(x)

    return step


def prepared(model, x, y, channels_last: bool) -> tuple:
    """Return a batch as tensors, and bring a network into the same layout."""
    torch = import_torch()
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    if channels_last:
        model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    return x, y


def check_agreement(results: dict[str, object], what: str) -> None:
    """Raise a :py:class:`Disagreement` unless all results are the first one's.

    They may differ by `TOLERANCE` of the largest number.
    """
    (first, wanted), *others = results.items()
    wanted = np.asarray(wanted)
    for name, got in others:
        got = np.asarray(got)
        if got.shape != wanted.shape:
            raise Disagreement(f"{what}: {name} {got.shape}, {first} {wanted.shape}")
        error = np.abs(got - wanted).max() / np.abs(wanted).max()
        if not error <= TOLERANCE:  # a NaN disagrees
            raise Disagreement(
                f"{what}: {name} is off from {first} by {error:.2g} of the largest "
                f"number, more than {TOLERANCE:g}; this would be no race of equals"
            )
