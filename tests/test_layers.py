"""Layers beside PyTorch's: outputs, gradients, weights by name."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnbook import layers, losses, models, optimizers, threads
from cnnbook.layers import (
    AvgPool2d,
    Buffer,
    Conv1d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    LocallyConnected2d,
    MaxPool1d,
    MaxPool2d,
    Parameter,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    as_rng,
    check_layer,
    linear,
    linear_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
)
from cnnbook.losses import Softmax
from cnnbook.lowering import conv1d, conv2d, max_pool2d
from cnnbook.regularization import BatchNorm2d, Dropout

FOLDER = Path(__file__).parent / "recorded"
# Name: a layer's kind, arguments, options, and an input shape, which the script
# scripts/record_pytorch_training.py gave to PyTorch, too.
TWINS = json.loads((FOLDER / "training.json").read_text())["layers"]
CONVOLUTIONS = [name for name, (kind, *_) in TWINS.items() if "Conv" in kind]


def build(kind, args, options):
    """Return our layer from a recipe, whose arguments can be recipes."""
    made = [
        build(*a) if isinstance(a, list) and isinstance(a[0], str) else a for a in args
    ]
    own = getattr(layers, kind, None) or getattr(losses, kind)
    return own(*made, **options)


def make(name):
    """Return our layer of a twin, with seeded weights, and an input shape."""
    *recipe, shape = TWINS[name]
    layer, rng = build(*recipe), np.random.default_rng(len(name))
    for p in layer.parameters():
        p.data[...] = 0.5 * rng.normal(size=p.data.shape)
    return layer, tuple(shape)


def network(rng=0):
    """Return a small network, (N, 2, 9, 8) to (N, 4)."""
    return Sequential(
        Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), rng=rng),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(18, 4, rng=rng),
    )


def torch_network(torch):
    """Return the same network of PyTorch's."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(18, 4),
    )


@pytest.fixture(scope="module")
def recorded():
    """Return what PyTorch gave."""
    with np.load(FOLDER / "training.npz") as archive:
        return dict(archive)


def close(found, expected, tolerance=1e-12):
    """Assert that two arrays agree, relative to the largest number."""
    assert found.shape == expected.shape
    scale = max(np.abs(expected).max(initial=0), 1e-300)
    assert np.abs(found - expected).max(initial=0) <= tolerance * scale


# Against PyTorch


def test_relu_recorded(recorded):
    """ReLU and its gradient; at zero the gradient is zero."""
    x, dy = recorded["relu/x"], recorded["relu/dy"]
    assert np.any(x == 0)
    np.testing.assert_array_equal(relu(x), recorded["relu/y"])
    np.testing.assert_array_equal(relu_backward(dy, x), recorded["relu/dx"])


def test_linear_recorded(recorded):
    """The dense layer and its three gradients."""
    r = {k.removeprefix("linear/"): v for k, v in recorded.items()}
    close(linear(r["x"], r["weight"], r["bias"]), r["y"])
    close(linear(r["x"], r["weight"]), r["y"] - r["bias"])
    found = linear_backward(r["dy"], r["x"], r["weight"])
    for gradient, name in zip(found, ("dx", "dweight", "dbias"), strict=True):
        close(gradient, r[name])


def test_network_recorded(recorded):
    """A network with recorded weights: output, every gradient, the names."""
    r = {k.removeprefix("network/"): v for k, v in recorded.items()}
    state = {k[6:]: v for k, v in r.items() if k.startswith("state/")}
    model = network().astype(np.float64)
    own = {k: v.shape for k, v in model.state_dict().items()}
    assert own == {k: v.shape for k, v in state.items()}
    model.load_state_dict(state)
    close(model(r["x"]), r["y"])
    close(model.backward(r["dy"]), r["dx"])
    for name, parameter in model.named_parameters():
        close(parameter.grad, r[f"grad/{name}"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TWINS)
def test_recorded(recorded, name, dtype):
    """Every layer: output, all gradients, names, in float64 and float32."""
    prefix = f"layers/{name}/"
    r = {k.removeprefix(prefix): recorded[k] for k in recorded if k.startswith(prefix)}
    state = {k[6:]: v for k, v in r.items() if k.startswith("state/")}
    layer = make(name)[0].astype(dtype)
    assert list(layer.state_dict()) == list(state)
    layer.load_state_dict(state)
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, state[key])
        assert array.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    x, dy = r["x"].astype(dtype), r["dy"].astype(dtype)
    y, dx = layer(x), layer.backward(dy)
    close(y, r["y"], tolerance)
    close(dx, r["dx"], tolerance)
    for key, p in layer.named_parameters():
        close(p.grad, r[f"grad/{key}"], tolerance)
        assert p.data.dtype == p.grad.dtype == dtype
    assert y.dtype == dx.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TWINS)
def test_live(torch, load_script, name, dtype):
    """Random inputs: outputs, gradients, names, weights there and back."""
    rng = np.random.default_rng(len(name))
    layer, shape = make(name)
    script = load_script("record_pytorch_training")
    *recipe, same_shape = script.LAYERS[name]
    assert same_shape == shape
    twin = script.build(*recipe).to(torch.float64)
    tolerance = 1e-12
    layer.astype(dtype)
    if dtype == np.float32:
        twin, tolerance = twin.float(), 1e-5
    # PyTorch's weights come here with no renaming ...
    state = {k: v.detach().numpy() for k, v in twin.state_dict().items()}
    own = layer.state_dict()
    assert list(own) == list(state)
    assert [a.shape for a in own.values()] == [a.shape for a in state.values()]
    layer.load_state_dict(twin.state_dict())
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, state[key])
        assert array.dtype == dtype
    # ... and ours go there.
    for p in layer.parameters():
        p.data[...] = rng.normal(size=p.data.shape)
    tensors = {k: torch.tensor(v) for k, v in layer.state_dict().items()}
    twin.load_state_dict(tensors)
    for key, tensor in twin.state_dict().items():
        np.testing.assert_array_equal(tensor, layer.state_dict()[key])

    array = rng.normal(size=shape).astype(dtype)
    x = torch.tensor(array, requires_grad=True)
    expected = twin(x)
    y = layer(array)
    assert y.dtype == dtype
    close(y, expected.detach().numpy(), tolerance)
    dy = rng.normal(size=y.shape).astype(dtype)
    expected.backward(torch.tensor(dy))
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    close(dx, x.grad.numpy(), tolerance)
    named = dict(twin.named_parameters())
    for key, p in layer.named_parameters():
        assert p.data.dtype == p.grad.dtype == dtype
        close(p.grad, named[key].grad.numpy(), tolerance)


def test_network_live(torch):
    """A nested network has PyTorch's names, and learns its weights."""
    twin = torch.nn.Sequential(
        torch_network(torch), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    model = Sequential(network(), ReLU(), Linear(4, 2))
    state = twin.state_dict()
    assert list(model.state_dict()) == list(state)
    model.load_state_dict(state)
    x = np.random.default_rng(3).normal(size=(5, 2, 9, 8)).astype(np.float32)
    close(model(x), twin(torch.tensor(x)).detach().numpy(), 1e-5)


@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 3, 6), (0, 6), (2, 0, 6)])
def test_linear_any_batch(torch, shape):
    """Any leading axes, also none and empty ones."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=shape), rng.normal(size=(4, 6))
    bias, dy = rng.normal(size=4), rng.normal(size=(*shape[:-1], 4))
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = torch.nn.functional.linear(*leaves)
    y.backward(torch.tensor(dy))
    close(linear(x, weight, bias), y.detach().numpy())
    for found, leaf in zip(linear_backward(dy, x, weight), leaves, strict=True):
        close(found, leaf.grad.numpy())


def test_functions_keep_float32():
    """float32 in, float32 out, from every function."""
    x, weight = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    dy, bias = np.ones((2, 4), np.float32), np.ones(4, np.float32)
    results = [relu(x), relu_backward(x, x), sigmoid(x), sigmoid_backward(x, x)]
    results += [linear(x, weight, bias), *linear_backward(dy, x, weight)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


def test_linear_without_outputs():
    """A weight of no rows gives no outputs, and gradients of zero."""
    x, weight = np.ones((2, 3)), np.zeros((0, 3))
    y = linear(x, weight)
    assert y.shape == (2, 0)
    dx, dweight, dbias = linear_backward(y, x, weight)
    np.testing.assert_array_equal(dx, np.zeros((2, 3)))
    assert dweight.shape == (0, 3)
    assert dbias.shape == (0,)


# By hand, and by properties


def test_by_hand():
    """Small numbers, worked out on paper."""
    assert relu([-1.5, 0, 2]).tolist() == [0, 0, 2]
    assert relu_backward([5, 5, 5], [-1.5, 0, 2]).tolist() == [0, 0, 5]
    assert linear([1, 2], [[3, 4], [5, 6]], [10, 20]).tolist() == [21, 37]
    dx, dweight, dbias = linear_backward([1, 10], [1, 2], [[3, 4], [5, 6]])
    assert dx.tolist() == [53, 64]
    assert dweight.tolist() == [[1, 2], [10, 20]]
    assert dbias.tolist() == [1, 10]


def test_linear_adjoint():
    """<x W, dy> = <x, dx> = <W, dW>, as for every linear operation."""
    rng = np.random.default_rng(5)
    x, weight = rng.normal(size=(7, 5)), rng.normal(size=(3, 5))
    dy = rng.normal(size=(7, 3))
    dx, dweight, _ = linear_backward(dy, x, weight)
    inner = np.vdot(linear(x, weight), dy)
    assert np.vdot(x, dx) == pytest.approx(inner, rel=1e-12)
    assert np.vdot(weight, dweight) == pytest.approx(inner, rel=1e-12)


def test_relu_keeps_nan():
    """NaN goes through, so that it is noticed."""
    assert np.isnan(relu([np.nan, -1.0])).tolist() == [True, False]


@pytest.mark.parametrize("name", TWINS)
def test_check_layer_passes(name):
    """Every layer passes check_layer, and keeps weights and dtypes."""
    layer, shape = make(name)
    before = layer.state_dict()
    for p in layer.parameters():
        p.grad += 1
    assert check_layer(layer, shape) <= 1e-7
    for key, array in layer.state_dict().items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, before[key])
    for p in layer.parameters():
        assert p.grad.dtype == np.float32
        assert not p.grad.any()


def test_check_layer_network():
    """A whole network passes, too."""
    assert check_layer(network(), (2, 2, 9, 8)) <= 1e-7


class Scaled(Layer):
    """A right layer, scale * x, for the wrong ones to inherit from."""

    def __init__(self):
        self.scale = Parameter([0.5, -1.5, 2.0])

    def forward(self, x):
        self._x = x
        return x * self.scale.data

    def backward(self, dy):
        self.scale.grad += (dy * self._x).sum(axis=0)
        return dy * self.scale.data


class WrongInput(Scaled):
    """Its dx is off in one place only."""

    def backward(self, dy):
        dx = super().backward(dy)
        dx[1, 2] *= 1.001
        return dx


class WrongSign(Scaled):
    """Its dx points the wrong way."""

    def backward(self, dy):
        return -super().backward(dy)


class WrongWeight(Scaled):
    """Averages over the batch where it should add up."""

    def backward(self, dy):
        self.scale.grad += (dy * self._x).mean(axis=0)
        return dy * self.scale.data


class NoWeight(Scaled):
    """Forgets its weight's gradient."""

    def backward(self, dy):
        return dy * self.scale.data


class WrongShape(Scaled):
    """Loses the batch."""

    def backward(self, dy):
        return super().backward(dy).sum(axis=0)


class GivesNan(Scaled):
    """Divides zero by zero."""

    def backward(self, dy):
        return super().backward(dy) * np.nan


class ChangesInBackward(Scaled):
    """Writes over its input on the way back."""

    def backward(self, dy):
        dx = super().backward(dy)
        self._x *= 2
        return dx


class ChangesInForward(Layer):
    """Doubles its input in place; output and gradient are right."""

    def forward(self, x):
        x *= 2
        return x.copy()

    def backward(self, dy):
        return 2 * dy


class ClipsInForward(Layer):
    """A ReLU in place."""

    def forward(self, x):
        x[x < 0] = 0
        self._x = x
        return x

    def backward(self, dy):
        return dy * (self._x > 0)


def test_check_layer_own_layer():
    """A layer of one's own: a right one passes."""
    assert check_layer(Scaled(), (4, 3)) <= 1e-7


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (WrongInput, r"dx.*\(1, 2\)"),
        (WrongSign, "dx"),
        (WrongWeight, "scale"),
        (NoWeight, "scale"),
        (GivesNan, "dx"),
        (ChangesInBackward, "changes its input"),
        (ChangesInForward, "changes its input"),
        (ClipsInForward, "changes its input"),
    ],
)
def test_check_layer_fails(wrong, says):
    """A wrong layer is caught, and what is wrong is said."""
    layer = wrong()
    before = layer.state_dict()
    with pytest.raises(AssertionError, match=says):
        check_layer(layer, (4, 3))
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    with pytest.raises(AssertionError, match=says):
        check_layer(Sequential(layer), (4, 3))


def test_check_layer_shape():
    """A gradient of the wrong shape is caught."""
    with pytest.raises((AssertionError, ValueError), match="dx"):
        check_layer(WrongShape(), (4, 3))


def test_check_layer_tolerance():
    """The tolerance decides; the seed gives the same error again."""
    layer = WrongInput()
    error = check_layer(layer, (4, 3), seed=2, tolerance=0.01)
    assert 1e-5 < error < 0.01
    assert check_layer(layer, (4, 3), seed=2, tolerance=0.01) == error


class Drops(Layer):
    """Sets some numbers to zero, drawn anew every time."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def forward(self, x):
        self._kept = self.rng.random(x.shape) < 0.5
        return x * self._kept

    def backward(self, dy):
        return dy * self._kept


class DropsOnTheWayOnly(Drops):
    """Forgets on the way back what it had set to zero."""

    def backward(self, dy):
        return dy


class Counts(Layer):
    """Counts its calls, and adds their running mean to nothing."""

    def __init__(self):
        self.calls, self.mean = Buffer(0), Buffer(np.zeros(3, np.float32))

    def forward(self, x):
        self.calls.data = self.calls.data + 1
        self.mean.data[...] += x.mean(axis=0)
        return 2 * x

    def backward(self, dy):
        return 2 * dy


class HalfResidual(Residual):
    """Forgets the way past on the way back."""

    def backward(self, dy):
        return self.body.backward(dy)


def test_check_layer_that_draws():
    """The same numbers are drawn at every evaluation; then it goes on as before."""
    layer, inside = Drops(), Drops()
    state = layer.rng.bit_generator.state
    assert check_layer(Sequential(layer, Linear(3, 2, rng=0), inside), (4, 3)) <= 1e-7
    assert layer.rng.bit_generator.state == state
    with pytest.raises(AssertionError, match="dx"):
        check_layer(DropsOnTheWayOnly(), (4, 3))


def test_check_layer_keeps_buffers():
    """What it counted during the check is forgotten; dtypes stay."""
    layer = Counts()
    layer(np.ones((2, 3)))
    before = layer.state_dict()
    assert check_layer(layer, (4, 3)) <= 1e-7
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key], strict=True)


def test_check_layer_residual():
    """A residual block that forgets one way is caught."""
    with pytest.raises(AssertionError, match="dx"):
        check_layer(HalfResidual(Linear(3, 3, rng=0)), (4, 3))


# Sigmoid


def test_sigmoid_by_hand():
    """A half at zero; 3 to 1 at log 3; the slope there is p (1 - p)."""
    np.testing.assert_allclose(sigmoid([0, np.log(3), -np.log(3)]), [0.5, 0.75, 0.25])
    np.testing.assert_allclose(
        sigmoid_backward([1, 2, 16], [0, np.log(3), -np.log(3)]), [0.25, 0.375, 3]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_extremes(dtype):
    """No overflow, no warning; NaN stays NaN; small results stay exact."""
    x = np.array([1e4, -1e4, np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(
        sigmoid(x), np.array([1, 0, 1, 0, np.nan], dtype), strict=True
    )
    np.testing.assert_array_equal(sigmoid_backward(np.ones_like(x[:4]), x[:4]), 0)
    assert sigmoid(dtype(-50)) == pytest.approx(np.exp(-50), rel=1e-5)


@given(st.floats(-700, 700))
def test_sigmoid_properties(x):
    """sigmoid(x) + sigmoid(-x) is one; it never falls; it is softmax of two."""
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1, abs=1e-15)
    assert sigmoid(x) <= sigmoid(x + 1)
    assert sigmoid(x) == pytest.approx(losses.softmax([x, 0])[0], rel=1e-12)


# Locally connected


@pytest.mark.parametrize(
    "options", [{}, {"stride": (2, 1)}, {"padding": (1, 2)}, {"bias": False}]
)
def test_locally_connected_as_a_convolution(options):
    """With the same weights everywhere it is a convolution; gradients add up."""
    conv = Conv2d(2, 3, (3, 2), rng=0, **options).astype(np.float64)
    local = LocallyConnected2d(2, 3, (5, 6), (3, 2), rng=1, **options)
    local.astype(np.float64)
    local.weight.data[...] = conv.weight.data[..., None, None]
    if conv.bias is not None:
        local.bias.data[...] = conv.bias.data[:, None, None]
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 2, 5, 6))
    y = conv(x)
    close(local(x), y)
    dy = rng.normal(size=y.shape)
    close(local.backward(dy), conv.backward(dy))
    close(local.weight.grad.sum(axis=(-2, -1)), conv.weight.grad)
    if conv.bias is not None:
        close(local.bias.grad.sum(axis=(-2, -1)), conv.bias.grad)


def test_locally_connected_by_loops():
    """Each place has a filter of its own."""
    local = LocallyConnected2d(2, 3, (4, 5), 2, (2, 1), padding=(0, 1), rng=3)
    x = np.random.default_rng(0).normal(size=(2, 2, 4, 5))
    y = local(x)
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1)))
    assert y.shape == (2, 3, 2, 6)
    for n, f, i, j in np.ndindex(y.shape):
        window = padded[n, :, 2 * i : 2 * i + 2, j : j + 2]
        total = np.sum(window * local.weight.data[f, ..., i, j])
        assert y[n, f, i, j] == pytest.approx(total + local.bias.data[f, i, j])
    assert local.weight.data.shape == (3, 2, 2, 2, 2, 6)
    assert np.abs(local.weight.data).max() <= 8**-0.5


# Signals, means, shapes


def test_signal_layers():
    """A signal is an image of one row."""
    x = np.random.default_rng(0).normal(size=(2, 3, 11))
    conv = Conv1d(3, 4, 3, stride=2, padding=1, rng=0)
    close(conv(x), conv1d(x, conv.weight.data, conv.bias.data, 2, 1))
    row = conv2d(x[:, :, None], conv.weight.data[:, :, None], None, (1, 2), (0, 1))
    close(conv(x), row[:, :, 0] + conv.bias.data[:, None])
    pool = MaxPool1d(3, 2, padding=1)
    expected = max_pool2d(x[:, :, None], (1, 3), (1, 2), (0, 1))[:, :, 0]
    np.testing.assert_array_equal(pool(x), expected)
    np.testing.assert_array_equal(pool(x[0]), expected[0])


def test_global_average():
    """A mean per channel, of images of any size; its gradient is spread evenly."""
    layer = GlobalAvgPool2d()
    for size in [(1, 1), (4, 5), (7, 2)]:
        x = np.random.default_rng(0).normal(size=(2, 3, *size))
        close(layer(x), x.mean(axis=(2, 3), keepdims=True))
        dx = layer.backward(np.full((2, 3, 1, 1), 6.0))
        np.testing.assert_allclose(dx, np.full(x.shape, 6 / np.prod(size)))


def test_reshape():
    """Numbers keep their order; -1 is worked out; back is the way back."""
    x = np.arange(24.0).reshape(2, 12)
    for shape in [(3, 4), (-1, 4), (3, -1), (2, 3, 2), (12,), (1, 12, 1), (-1,)]:
        layer = Reshape(*shape)
        y = layer(x)
        np.testing.assert_array_equal(y.ravel(), x.ravel())
        assert y.shape == (2, *np.empty(12).reshape(shape).shape)
        np.testing.assert_array_equal(layer.backward(y), x)
        np.testing.assert_array_equal(Reshape(shape)(x), y)
    assert Reshape(-1, 2)(np.ones((0, 6))).shape == (0, 3, 2)
    assert isinstance(Flatten(), Reshape)
    flatten = Flatten()  # takes images of another size, too
    assert [flatten(np.ones((2, 3, k))).shape for k in (2, 5)] == [(2, 6), (2, 15)]


@pytest.mark.parametrize("shape", [(5,), (-1, 5), (3, 5), ()])
def test_reshape_that_does_not_fit(shape):
    """The message names the input and both shapes."""
    with pytest.raises(ValueError, match=r"^x: shape \(2, 12\)"):
        Reshape(*shape)(np.ones((2, 12)))


# Residual


def test_residual_by_hand():
    """Both ways add up, forward and back."""
    x = np.array([[1.0, -2.0]])
    plain = Residual(Linear(2, 2, rng=0).astype(np.float64))
    plain.body.weight.data[...] = [[1, 2], [3, 4]]
    plain.body.bias.data[...] = [10, 20]
    assert plain(x).tolist() == [[1 - 4 + 10 + 1, 3 - 8 + 20 - 2]]
    assert plain.backward([[1.0, 0.0]]).tolist() == [[1 + 1, 2]]
    both = Residual(ReLU(), Linear(2, 2, bias=False, rng=0).astype(np.float64))
    both.shortcut.weight.data[...] = [[1, 2], [3, 4]]
    assert both(x).tolist() == [[1 + 1 - 4, 0 + 3 - 8]]
    assert both.backward([[1.0, 10.0]]).tolist() == [[1 + 31, 42]]
    assert both.shortcut.weight.grad.tolist() == [[1, -2], [10, -20]]
    assert [name for name, _ in both.named_parameters()] == ["shortcut.weight"]


def test_residual_of_two_shapes():
    """Outputs that can't be added are refused; broadcasting is no way out."""
    for outputs in (2, 1):
        with pytest.raises(ValueError, match=rf"^body: .*\(1, {outputs}\).*\(1, 3\)"):
            Residual(Linear(3, outputs, rng=0))(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((None,), "body"),
        ((ReLU,), "body"),
        ((np.tanh,), "body"),
        ((ReLU(), ReLU), "shortcut"),
        ((ReLU(), [ReLU()]), "shortcut"),
    ],
)
def test_residual_of_no_layers(arguments, name):
    """What is no layer is refused by name."""
    with pytest.raises(TypeError, match=f"^{name}: needs a Layer"):
        Residual(*arguments)


def test_residual_of_one_layer_twice():
    """Nor can a layer be on both ways, or in another place of the network."""
    shared = Linear(2, 2, rng=0)
    with pytest.raises(ValueError, match="one place only"):
        Residual(shared, Sequential(shared))
    with pytest.raises(ValueError, match="one place only"):
        Sequential(shared, Residual(shared))


def test_text_of_nested_networks():
    """Each level is indented; a residual block names its ways."""
    model = Sequential(ReLU(), Residual(Sequential(Sigmoid(), ReLU()), Softmax()))
    assert repr(model).splitlines() == [
        "Sequential(",
        "  (0): ReLU()",
        "  (1): Residual(",
        "    (body): Sequential(",
        "      (0): Sigmoid()",
        "      (1): ReLU()",
        "    )",
        "    (shortcut): Softmax()",
        "  )",
        ")",
    ]


@pytest.mark.parametrize("name", TWINS)
def test_text_names_the_layer(name):
    """Every layer's text starts with its kind."""
    layer, _ = make(name)
    assert repr(layer).startswith(type(layer).__name__ + "(")
    assert "object at" not in repr(layer)


# Gradients and inputs


@pytest.mark.parametrize(
    "name",
    ["conv", "conv groups", "signal conv", "linear", "locally connected"],
)
def test_gradients_add_up(name):
    """Backward adds into the gradients; zero_grad clears them."""
    layer, shape = make(name)
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    dy = rng.normal(size=layer(x).shape)
    layer.backward(dy)
    once = [p.grad.copy() for p in layer.parameters()]
    layer(2 * x)
    layer.backward(dy)
    for (key, p), first in zip(layer.named_parameters(), once, strict=True):
        assert first.any()
        factor = 3 if key == "weight" else 2
        np.testing.assert_allclose(p.grad, factor * first, rtol=1e-5, atol=1e-5)
    layer.zero_grad()
    for p in layer.parameters():
        assert p.grad.shape == p.data.shape
        assert p.grad.dtype == p.data.dtype
        assert not p.grad.any()


@pytest.mark.parametrize("name", TWINS)
def test_inputs_stay(name):
    """Neither x nor dy is changed, in any memory layout."""
    layer, shape = make(name)
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape[::-1]).T
    plain = np.ascontiguousarray(x)
    y = layer(x)
    close(y, make_output(layer, plain), 1e-12)
    dy = rng.normal(size=y.shape[::-1]).T
    kept = dy.copy()
    layer(x)
    dx = layer.backward(dy)
    close(dx, layer.backward(np.ascontiguousarray(dy)), 1e-12)
    np.testing.assert_array_equal(x, plain)
    np.testing.assert_array_equal(dy, kept)


def make_output(layer, x):
    """Return the layer's output for x."""
    return layer(x)


@pytest.mark.parametrize("name", TWINS)
def test_read_only_inputs(name):
    """An array that can't be written to does as well."""
    layer, shape = make(name)
    x = np.random.default_rng(0).normal(size=shape)
    x.flags.writeable = False
    dy = np.ones_like(layer(x))
    dy.flags.writeable = False
    assert layer.backward(dy).shape == shape


def test_lists_will_do():
    """What np.asarray takes is welcome; whole numbers become float64."""
    layer = Linear(2, 3)
    y = layer([[1, 2]])
    assert y.dtype == np.float64
    assert layer.backward([[1, 0, 0]]).shape == (1, 2)
    assert ReLU()([-1, 2]).tolist() == [0, 2]
    assert Flatten()([[[1, 2], [3, 4]]]).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("name", TWINS)
def test_backward_first(name):
    """Backward before forward says what is missing."""
    layer, shape = make(name)
    kind = type(layer).__name__
    inner = {"Residual": "Sequential"}  # the first to be asked
    match = f"^{inner.get(kind, kind)}.backward: call the layer"
    with pytest.raises(RuntimeError, match=match):
        layer.backward(np.zeros(shape))


# Weights by name


def test_names():
    """PyTorch's names, in order, also nested and in layers of one's own."""

    class Twice(Layer):
        def __init__(self):
            self.first = Linear(2, 3)
            self.bias = Parameter([1.0])
            self.second = Sequential(ReLU(), Linear(3, 2, bias=False))

    names = [name for name, _ in Sequential(ReLU(), Twice()).named_parameters()]
    assert sorted(names) == [
        "1.bias",
        "1.first.bias",
        "1.first.weight",
        "1.second.1.weight",
    ]
    assert len(Twice().parameters()) == 4


def test_state_dict_is_a_copy():
    """Training on does not change a state that was kept."""
    layer = Linear(2, 3)
    state = layer.state_dict()
    kept = {k: v.copy() for k, v in state.items()}
    layer.weight.data += 1
    np.testing.assert_array_equal(state["weight"], kept["weight"])
    layer.load_state_dict(state)
    layer.weight.data += 1
    np.testing.assert_array_equal(state["weight"], kept["weight"])


def test_load_state_dict_in_place():
    """Weights are set in place, so that an optimizer still holds them."""
    model = network()
    held = [p.data for p in model.parameters()]
    state = {k: v.astype(np.float64) for k, v in network(9).state_dict().items()}
    model.load_state_dict(state)
    for p, array, value in zip(model.parameters(), held, state.values(), strict=True):
        assert p.data is array
        assert p.data.dtype == np.float32
        np.testing.assert_array_equal(p.data, value.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda s: s.pop("4.bias"), KeyError, r"missing.*4\.bias"),
        (lambda s: s.update({"5.bias": 0.0}), KeyError, r"unknown.*5\.bias"),
        (lambda s: s.clear(), KeyError, r"0\.weight"),
        (
            lambda s: s.update({"4.weight": np.zeros((18, 4))}),
            ValueError,
            r"4\.weight.*\(18, 4\)",
        ),
        (lambda s: s.update({"4.bias": 0.0}), ValueError, r"4\.bias"),
        (lambda s: s.update({"4.bias": [0.0]}), ValueError, r"4\.bias"),
        (lambda s: s.update({"4.bias": ["a"] * 4}), TypeError, "state"),
    ],
)
def test_load_state_dict_wrong(change, error, says):
    """A state that doesn't fit is refused, and nothing is set."""
    model, state = network(1), network(2).state_dict()
    change(state)
    before = model.state_dict()
    with pytest.raises(error, match=says):
        model.load_state_dict(state)
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def with_buffers():
    """Return a network whose layers have buffers, too."""
    return Sequential(Counts(), Residual(Sequential(Linear(3, 3, rng=0), Counts())))


def test_buffers():
    """Buffers are in the state, but are not learned; whole ones stay whole."""
    model = with_buffers()
    assert list(model.state_dict()) == [
        "0.calls",
        "0.mean",
        "1.body.0.weight",
        "1.body.0.bias",
        "1.body.1.calls",
        "1.body.1.mean",
    ]
    names = [name for name, _ in model.named_parameters()]
    assert names == ["1.body.0.weight", "1.body.0.bias"]
    assert len(model.parameters()) == 2
    model(np.ones((2, 3)))
    model(np.ones((2, 3)))
    state = model.state_dict()
    assert state["0.calls"] == 2 and state["0.mean"].tolist() == [2, 2, 2]
    model(np.ones((2, 3)))
    assert state["0.calls"] == 2  # a copy
    other = with_buffers()
    other.load_state_dict(state)
    for key, array in other.state_dict().items():
        np.testing.assert_array_equal(array, state[key], strict=True)
    other.astype(np.float64)
    assert other[0].calls.data.dtype.kind == "i"
    assert other[0].mean.data.dtype == np.float64
    assert "shape=(3,)" in repr(other[0].mean)


def test_own_attributes_come_first():
    """Parameters, then buffers, then the layers inside, as in PyTorch."""

    class Mixed(Layer):
        def __init__(self):
            self.inside = Linear(1, 1, rng=0)
            self.count = Buffer(0)
            self.scale = Parameter([1.0])

    names = ["scale", "count", "inside.weight", "inside.bias"]
    assert [name for name, _ in Mixed().named_state()] == names


def test_shared_parameter_counts_once():
    """It has two names, and is one parameter."""
    first, second = Linear(2, 2, rng=0), Linear(2, 2, rng=1)
    second.weight = first.weight
    model = Sequential(first, second)
    assert len(list(model.named_parameters())) == 4
    assert len(model.parameters()) == 3


def test_astype():
    """Weights and gradients change together; the layer itself comes back."""
    model = Sequential(Linear(2, 2, rng=0), Residual(Linear(2, 2, rng=1)))
    before = model.state_dict()
    assert model.astype(np.float64) is model
    for key, p in model.named_parameters():
        assert p.data.dtype == p.grad.dtype == np.float64
        np.testing.assert_array_equal(p.data, before[key])
    assert model(np.ones((1, 2), np.float64)).dtype == np.float64
    model.astype("float32")
    assert all(p.data.dtype == p.grad.dtype == np.float32 for p in model.parameters())
    for wrong in (np.float16, int, complex, "int8"):
        with pytest.raises(TypeError, match="^dtype: "):
            model.astype(wrong)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
def test_copies(name, duplicate):
    """A copied or pickled layer gives the same, and shares nothing."""
    layer, shape = make(name)
    x = np.random.default_rng(0).normal(size=shape)
    y = layer(x)
    other = duplicate(layer)
    np.testing.assert_array_equal(other.backward(y), layer.backward(y))
    for p, q in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)
        q.data += 1
    np.testing.assert_array_equal(layer(x), y)


@pytest.mark.parametrize("name", TWINS)
def test_half_precision(name):
    """float16 is too coarse for sums: float32 comes out, and goes back."""
    layer, shape = make(name)
    y = layer(np.ones(shape, np.float16))
    assert y.dtype == np.float32
    assert layer.backward(y.astype(np.float16)).dtype == np.float32


@pytest.mark.parametrize("name", [n for n in TWINS if "one image" not in n])
def test_empty_batch(name):
    """No images give no outputs, and gradients of zero."""
    layer, shape = make(name)
    y = layer(np.ones((0, *shape[1:])))
    assert y.shape[0] == 0
    assert y.shape[1:] == layer(np.ones(shape)).shape[1:]
    layer(np.ones((0, *shape[1:])))
    assert layer.backward(y).shape == (0, *shape[1:])
    assert not any(p.grad.any() for p in layer.parameters())


# Construction


@pytest.mark.parametrize(
    ("make_layer", "fan_in"),
    [
        (lambda rng: Linear(30, 200, rng=rng), 30),
        (lambda rng: Conv2d(4, 60, (3, 5), groups=2, rng=rng), 30),
        (lambda rng: Conv1d(6, 60, 5, rng=rng), 30),
        (lambda rng: LocallyConnected2d(2, 9, (6, 8), (3, 5), rng=rng), 30),
    ],
)
def test_starting_weights(make_layer, fan_in):
    """Uniform within 1 / sqrt(fan-in), as PyTorch's; seeded; float32."""
    layer, bound = make_layer(3), fan_in**-0.5
    for p in layer.parameters():
        assert p.data.dtype == np.float32
        assert np.abs(p.data).max() <= bound
        assert np.abs(p.data).max() > 0.9 * bound
    spread = layer.weight.data.std() / (bound / 3**0.5)
    assert spread == pytest.approx(1, abs=0.05)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    again, other = make_layer(3), make_layer(4)
    np.testing.assert_array_equal(again.weight.data, layer.weight.data)
    np.testing.assert_array_equal(again.bias.data, layer.bias.data)
    assert np.all(other.weight.data != layer.weight.data)
    shared = np.random.default_rng(3)
    first, second = make_layer(shared), make_layer(shared)
    np.testing.assert_array_equal(first.weight.data, layer.weight.data)
    assert np.any(second.weight.data != layer.weight.data)
    assert np.any(make_layer(None).weight.data != make_layer(None).weight.data)
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, state)


def test_parameter():
    """A parameter owns its numbers, and starts with no gradient."""
    array = np.ones((2, 3), np.float32)
    p = Parameter(array)
    array[0] = 5
    assert np.all(p.data == 1)
    assert p.data.dtype == p.grad.dtype == np.float32
    assert p.grad.shape == (2, 3)
    assert not p.grad.any()
    assert Parameter([1, 2]).data.dtype == np.float64
    assert "(2, 3)" in repr(p)
    with pytest.raises(TypeError, match="data"):
        Parameter(["a"])


def test_modes():
    """Training and evaluation reach every layer inside."""
    model = Sequential(ReLU(), Sequential(Linear(2, 2)))
    layers = [model, model[0], model[1], model[1][0]]
    assert all(layer.training for layer in layers)
    assert model.eval() is model
    assert not any(layer.training for layer in layers)
    assert model.train() is model
    assert all(layer.training for layer in layers)
    model.train(False)
    assert not any(layer.training for layer in layers)
    assert ReLU().training  # each layer has its own mode


def test_sequential():
    """Indexing, slices, length, iteration, text."""
    model = network()
    assert len(model) == 5
    assert isinstance(model[-1], Linear)
    assert model[1:3][1] is model[2]
    assert isinstance(model[:2], Sequential)
    assert [type(layer).__name__ for layer in model] == [
        "Conv2d",
        "ReLU",
        "MaxPool2d",
        "Flatten",
        "Linear",
    ]
    text = repr(model)
    for part in ("(0): Conv2d(2, 3", "(3): Flatten()", "(4): Linear(18, 4)"):
        assert part in text
    with pytest.raises(IndexError):
        model[5]
    x = np.random.default_rng(0).normal(size=(2, 2, 9, 8))
    np.testing.assert_array_equal(model[2:](model[:2](x)), model(x))
    empty = Sequential()
    assert empty(x) is x
    assert empty.parameters() == []


@pytest.mark.parametrize("wrong", [None, 3, np.tanh, [ReLU(), ReLU()], ReLU])
def test_sequential_of_no_layers(wrong):
    """What is no layer is refused with its place; nor is a class a layer."""
    with pytest.raises(TypeError, match="1"):
        Sequential(ReLU(), wrong)


def test_base_class():
    """A layer that lacks a method says which."""

    class Unfinished(Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Unfinished.*forward"):
        Unfinished()(1)
    with pytest.raises(NotImplementedError, match=r"Unfinished.*backward"):
        Unfinished().backward(1)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: Conv2d(0, 1, 3), "in_channels"),
        (lambda: Conv2d(1, -1, 3), "out_channels"),
        (lambda: Conv2d(1, 1, 0), "kernel_size"),
        (lambda: Conv2d(1, 1, (3, 3, 3)), "kernel_size"),
        (lambda: Conv2d(1, 1, 2.5), "kernel_size"),
        (lambda: Conv2d(1, 1, "3"), "kernel_size"),
        (lambda: Conv2d(1, 1, 3, stride=0), "stride"),
        (lambda: Conv2d(1, 1, 3, padding=-1), "padding"),
        (lambda: Conv2d(1, 1, 3, padding="full"), "padding"),
        (lambda: Conv2d(1, 1, 3, stride=2, padding="same"), "padding"),
        (lambda: Conv2d(1, 1, 3, dilation=0), "dilation"),
        (lambda: Conv2d(4, 4, 3, groups=3), "groups"),
        (lambda: Conv2d(4, 6, 3, groups=4), "groups"),
        (lambda: Conv2d(4, 4, 3, groups=0), "groups"),
        (lambda: MaxPool2d(0), "kernel_size"),
        (lambda: MaxPool2d(2, stride=0), "stride"),
        (lambda: MaxPool2d(2, padding=-1), "padding"),
        (lambda: MaxPool2d(2, padding="same"), "padding"),
        (lambda: MaxPool2d(2, dilation=0), "dilation"),
        (lambda: AvgPool2d(None), "kernel_size"),
        (lambda: AvgPool2d(2, stride=1.5), "stride"),
        (lambda: AvgPool2d(2, padding=(0, -1)), "padding"),
        (lambda: Conv1d(1, 1, (3, 3)), "kernel_size"),
        (lambda: Conv1d(1, 1, 3, stride=(1, 1)), "stride"),
        (lambda: Conv1d(1, 1, 3, stride=2, padding="same"), "padding"),
        (lambda: MaxPool1d((2, 2)), "kernel_size"),
        (lambda: MaxPool1d(2, stride=0), "stride"),
        (lambda: MaxPool1d(2, padding=-1), "padding"),
        (lambda: MaxPool1d(2, dilation=0), "dilation"),
        (lambda: Reshape(2.0), "^shape"),
        (lambda: Reshape("a"), "^shape"),
        (lambda: Reshape(-2), "^shape"),
        (lambda: Reshape(-1, 2, -1), "^shape"),
        (lambda: LocallyConnected2d(0, 1, 5, 3), "^in_channels"),
        (lambda: LocallyConnected2d(1, 0, 5, 3), "^out_channels"),
        (lambda: LocallyConnected2d(1, 1, 0, 3), "^input_size"),
        (lambda: LocallyConnected2d(1, 1, 2, 3), "^kernel_size"),
        (lambda: LocallyConnected2d(1, 1, 5, 3, stride=0), "^stride"),
        (lambda: LocallyConnected2d(1, 1, 5, 3, padding="same"), "^padding"),
        (lambda: LocallyConnected2d(1, 1, 5, 3, rng="no"), "^rng"),
        (lambda: Linear(0, 3), "in_features"),
        (lambda: Linear(3, 2.0), "out_features"),
    ],
)
def test_bad_settings(build, name):
    """Wrong settings are refused when the layer is made, by name."""
    with pytest.raises((TypeError, ValueError), match=name):
        build()


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: relu("text"), TypeError, "x"),
        (lambda: relu_backward([1.0], [1.0, 2.0]), ValueError, "dy"),
        (lambda: relu_backward([[1.0, 2.0]], [1.0, 2.0]), ValueError, "dy"),
        (lambda: linear([1.0], [1.0]), ValueError, "weight"),
        (lambda: linear(1.0, [[1.0]]), ValueError, "^x"),
        (lambda: linear([1.0, 2.0, 3.0], [[1.0, 2.0]]), ValueError, "^x"),
        (lambda: linear([1.0], [[1.0]], [1.0, 2.0]), ValueError, "bias"),
        (lambda: linear([1.0], [[1.0]], 1.0), ValueError, "bias"),
        (lambda: linear(["a"], [[1.0]]), TypeError, "^x"),
        (
            lambda: linear_backward(np.ones((2, 3)), np.ones((2, 4)), [[1.0]]),
            ValueError,
            "^x",
        ),
        (
            lambda: linear_backward([[1.0]], [[1.0], [2.0]], [[1.0]]),
            ValueError,
            "dy",
        ),
        (lambda: sigmoid("text"), TypeError, "^x"),
        (lambda: sigmoid_backward([1.0], [1.0, 2.0]), ValueError, "^dy"),
        (lambda: sigmoid_backward([1j], [1.0]), TypeError, "^dy"),
        (lambda: Flatten()(np.ones(3)), ValueError, "^x"),
        (lambda: Flatten()("text"), TypeError, "^x"),
        (lambda: Reshape(1)(3.0), ValueError, "^x"),
        (lambda: Conv1d(2, 3, 2)(np.ones((1, 3, 5))), ValueError, "x"),
        (lambda: Conv1d(2, 3, 2)(np.ones((1, 2, 5, 1))), ValueError, "^x"),
        (lambda: MaxPool1d(2)(np.ones(5)), ValueError, "^x"),
        (lambda: MaxPool1d(2)(np.ones((1, 1, 1, 5))), ValueError, "^x"),
        (lambda: MaxPool1d(6)(np.ones((1, 1, 5))), ValueError, "^kernel_size"),
        (lambda: GlobalAvgPool2d()(np.ones((2, 3))), ValueError, "^x"),
        (lambda: GlobalAvgPool2d()(np.ones((2, 3, 0, 4))), ValueError, "^x"),
        (
            lambda: LocallyConnected2d(1, 1, 5, 3)(np.ones((1, 5, 5))),
            ValueError,
            "^x",
        ),
        (
            lambda: LocallyConnected2d(1, 1, 5, 3)(np.ones((1, 1, 6, 5))),
            ValueError,
            "^x",
        ),
        (lambda: Linear(3, 2)(np.ones((1, 4))), ValueError, "^x"),
        (lambda: Conv2d(3, 2, 2)(np.ones((1, 4, 5, 5))), ValueError, "x"),
    ],
)
def test_bad_arguments(call, error, name):
    """Arrays that don't fit are refused by name."""
    with pytest.raises(error, match=name):
        call()


@pytest.mark.parametrize("shape", [(2, 5), (3, 4), (12,), (2, 3, 2)])
def test_flatten_backward_shape(shape):
    """A gradient that hasn't the output's shape is refused by name."""
    layer = Flatten()
    layer(np.ones((2, 3, 2)))
    with pytest.raises(ValueError, match="dy"):
        layer.backward(np.ones(shape))


@pytest.mark.parametrize("name", TWINS)
def test_backward_shape(name):
    """So do all other layers, and no gradient is touched then."""
    layer, shape = make(name)
    y = layer(np.ones(shape))
    with pytest.raises(ValueError, match="dy"):
        layer.backward(np.ones((*y.shape[:-1], y.shape[-1] + 1)))
    assert not any(p.grad.any() for p in layer.parameters())


def test_a_layer_stands_in_one_place_only():
    """Used twice, it would have forgotten its first input on the way back."""
    shared = ReLU()
    with pytest.raises(ValueError, match="one place only"):
        Sequential(Linear(3, 3), shared, Sequential(Linear(3, 3), shared))


def test_check_layer_wants_gradients_added():
    """A layer that overwrites its gradients instead of adding fails."""

    class Overwrites(Linear):
        def backward(self, dy):
            for parameter in self.parameters():
                parameter.grad[...] = 0
            return super().backward(dy)

    with pytest.raises(AssertionError, match="dweight"):
        check_layer(Overwrites(4, 3, rng=0), (2, 4))


def test_padding_given_as_a_list_is_copied():
    """Changing the caller's list later does not change the layer."""
    padding = [1, 1]
    layer = Conv2d(1, 1, 3, padding=padding, rng=0)
    padding[0] = 4
    assert layer(np.ones((1, 1, 5, 5))).shape == (1, 1, 5, 5)


@pytest.mark.parametrize("rng", ["seed", 1.5, -1])
def test_rng_that_is_none_is_named(rng):
    """What is neither a generator nor a seed is refused by name."""
    with pytest.raises(TypeError, match="^rng: "):
        Linear(2, 2, rng=rng)
    with pytest.raises(TypeError, match="^other: "):
        as_rng(rng, "other")
    generator = np.random.default_rng(0)
    assert as_rng(generator) is generator


# What the pooling does for a ReLU, gradients on demand, threads.


class Apart(ReLU):
    """A ReLU that runs: the pooling behind it can't know what a subclass does."""


POOLED = {
    "usual": (2, {}),
    "pairs": ((3, 2), {"stride": (2, 3), "padding": (1, 0)}),
    "margin": (3, {"padding": 1}),
    "overlap": (3, {"stride": 1, "padding": 1}),
    "dilation": (2, {"stride": 1, "dilation": 2}),
    "ceil": (2, {"stride": 3, "ceil_mode": True}),
}


def melted_and_not(kernel, options, dtype=np.float32):
    """Return two networks with the same weights; in one, no ReLU melts."""
    networks = []
    for kind in (ReLU, Apart):
        rng = np.random.default_rng(0)
        pooling = MaxPool2d(kernel, **options)
        networks.append(
            Sequential(
                Conv2d(2, 4, 3, padding=1, rng=rng),
                kind(),
                pooling,
                Sequential(Conv2d(4, 3, 2, rng=rng), kind(), MaxPool2d(2)),
                kind(),
                Flatten(),
            ).astype(dtype)
        )
    return networks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["training", "evaluation", "changed in between"])
@pytest.mark.parametrize("name", POOLED)
def test_a_melted_relu_changes_no_number(name, mode, dtype):
    """Outputs and all gradients are, to the last digit, those without melting."""
    networks = melted_and_not(*POOLED[name], dtype)
    x = np.random.default_rng(1).standard_normal((3, 2, 12, 13)).astype(dtype)
    results = []
    for net in networks:
        net.train(mode != "evaluation")
        y = net(x)
        if mode == "changed in between":
            net.eval()
        dy = np.random.default_rng(2).standard_normal(y.shape).astype(dtype)
        for _ in range(2):  # in evaluation, the places are found the first time
            dx = net.backward(dy)
        results.append([y, dx, *(p.grad for p in net.parameters())])
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype == dtype
        assert a.any()
        np.testing.assert_array_equal(a, b)
    ran = name == "dilation"  # then a window may hold nothing but margin
    assert [hasattr(net[1], "_y") for net in networks] == [ran, True]
    assert [hasattr(net[3][1], "_y") for net in networks] == [False, True]


@pytest.mark.parametrize("bad", [0.0, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", POOLED)
def test_a_melted_relu_takes_any_number(name, training, bad):
    """Ties at zero, NaN, infinities, in the pixels and in the gradient."""
    kernel, options = POOLED[name]
    rng = np.random.default_rng(3)
    x = np.round(rng.standard_normal((2, 2, 7, 8)))
    x[0, 0, 2:5, 3:6] = -np.inf
    x[1, 1, rng.random((7, 8)) < 0.2] = bad
    results = []
    for kind in (ReLU, Apart):
        net = Sequential(kind(), MaxPool2d(kernel, **options)).train(training)
        y = net(x)
        dy = np.random.default_rng(4).standard_normal(y.shape)
        dy[1, 1, 0, 0] = bad
        with np.errstate(invalid="ignore"):
            results.append((y, net.backward(dy)))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_backward_of_a_melted_relu_says_that_it_did_not_run():
    """Also if it ran before: what it kept then is of another input."""
    relu, x = ReLU(), np.ones((1, 1, 4, 4))
    net = Sequential(relu, MaxPool2d(2))
    for ran_before in (False, True):
        if ran_before:
            assert relu(x).shape == x.shape
            assert relu.backward(x).all()
        net(x)
        with pytest.raises(RuntimeError, match=r"^ReLU\.backward: call the layer"):
            relu.backward(x)
        net.backward(np.ones((1, 1, 2, 2)))


def test_a_pooling_is_itself_again_behind_a_melted_relu():
    """What it was told once doesn't hold for the next input."""
    pooling = MaxPool2d(2)
    net, x = Sequential(ReLU(), pooling), -np.ones((1, 1, 2, 2))
    assert net(x).item() == 0
    assert pooling(x).item() == -1
    assert pooling.backward(np.ones((1, 1, 1, 1))).sum() == 1
    assert net(x).item() == 0
    assert net.backward(np.ones((1, 1, 1, 1))).sum() == 0


@pytest.mark.parametrize("watched", [0, 1])
@pytest.mark.parametrize("what", ["forward", "backward"])
def test_a_watched_layer_is_not_melted(watched, what):
    """Who replaces a layer's method sees every call of it."""
    net, calls = Sequential(ReLU(), MaxPool2d(2)), []
    x = np.arange(-8.0, 8).reshape(1, 1, 4, 4)
    expected = Sequential(Apart(), MaxPool2d(2))
    inner = getattr(net[watched], what)

    def watch(array):
        calls.append(array.shape)
        return inner(array)

    setattr(net[watched], what, watch)
    np.testing.assert_array_equal(net(x), expected(x))
    dy = np.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(net.backward(dy), expected.backward(dy))
    assert calls == [(1, 1, 4, 4) if (what, watched) != ("backward", 1) else dy.shape]


class OtherPooling(MaxPool2d):
    """A pooling that does more than its base."""

    def forward(self, x):
        return super().forward(x) + 1


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (Apart(), MaxPool2d(2)),
        lambda: (ReLU(), OtherPooling(2)),
        lambda: (ReLU(), Sequential(MaxPool2d(2))),
        lambda: (Sequential(ReLU()), MaxPool2d(2)),
        lambda: (ReLU(), AvgPool2d(2)),
        lambda: (Sigmoid(), MaxPool2d(2)),
        lambda: (ReLU(), ReLU(), MaxPool2d(2)),
        lambda: (MaxPool2d(2), ReLU()),
        lambda: (ReLU(), MaxPool2d(2), Conv2d(3, 3, 1, rng=0), MaxPool2d(1)),
        lambda: (ReLU(),),
        lambda: (ReLU(), Sequential()),
    ],
)
def test_other_layers_are_what_they_are_one_by_one(layers):
    """A network is its layers, one after another, whatever melts."""
    together, alone = Sequential(*layers()), layers()
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    y = x
    for layer in alone:
        y = layer(y)
    np.testing.assert_array_equal(together(x), y)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx = together.backward(dy)
    for layer in reversed(alone):
        dy = layer.backward(dy)
    np.testing.assert_array_equal(dx, dy)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
def test_a_copy_in_the_middle_of_a_step_goes_on_alone(duplicate):
    """What was melted in a network is melted in its copy."""
    net, _ = melted_and_not(2, {})
    x = np.random.default_rng(0).standard_normal((2, 2, 12, 13)).astype(np.float32)
    dy = np.ones_like(net(x))
    other = duplicate(net)
    expected = net.backward(dy)
    np.testing.assert_array_equal(other.backward(dy), expected)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)
        assert not np.shares_memory(p.grad, q.grad)


def test_a_gradient_is_made_when_it_is_asked_for():
    """Zeros at first, the same array from then on, and again after `clear`."""
    p = Parameter(np.ones((2, 3), np.float32))
    for _ in range(2):
        grad = p.grad
        assert (grad.shape, grad.dtype) == ((2, 3), np.float32)
        assert not grad.any()
        assert p.grad is grad
        p.grad += 1
        assert p.grad is grad
        assert np.all(grad == 1)
        p.clear()
        assert np.all(grad == 1)  # it was somebody's own
    p.grad = grad
    assert p.grad is grad
    p.clear()
    p.clear()
    assert not p.grad.any()


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_gradients_are_added(shape):
    """The first is kept, the others are added to it; of any layout and dtype."""
    p = Parameter(np.zeros(shape, np.float32))
    first = np.full(shape, 2.0, np.float32)
    p.add(first)
    assert p.grad.shape == shape
    assert np.shares_memory(p.grad, first) == (first.size > 0)
    p.add(np.full(shape, 3.0, np.float32))
    p.add(np.full(shape, 0.5, np.float64))  # a wider one doesn't change the dtype
    assert p.grad.dtype == np.float32
    assert np.all(p.grad == 5.5)
    p.clear()
    p.add(np.full(shape, 0.5, np.float64))
    assert p.grad.dtype == np.float32
    assert np.all(p.grad == 0.5)
    p.clear()
    p.grad[...] = 1  # asked for before something is added
    p.add(np.ones(shape, np.float32).copy(order="F"))
    assert np.all(p.grad == 2)


def test_what_two_layers_share_gets_both_gradients():
    """Nor is one layer's upstream gradient, or another's, what is added to."""
    one, two = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    two.bias = one.bias
    net = Sequential(one, two)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    dy = np.ones_like(net(x))
    for _ in range(2):
        net.zero_grad()
        net.backward(dy)
    assert np.all(dy == 1)
    np.testing.assert_allclose(
        one.bias.grad, (dy @ two.weight.data).sum(axis=0) + 4, rtol=1e-6
    )


def every_kind():
    """Return a layer of every kind, and the shape of an input, by name."""
    made = {name: make(name) for name in TWINS}
    made["melted"] = melted_and_not(2, {})[0], (3, 2, 12, 13)
    made["empty"] = Sequential(), (2, 3)
    made["nested"] = Sequential(Sequential(Linear(4, 3, rng=0)), ReLU()), (2, 4)
    made["global"] = GlobalAvgPool2d(), (2, 3, 4, 5)
    made["dropout"] = Dropout(0.5, rng=0), (4, 5)
    made["batch norm"] = BatchNorm2d(3), (2, 3, 4, 5)
    made["own"] = Scaled(), (2, 3)
    return made


@pytest.mark.parametrize("name", every_kind())
def test_accumulate_does_as_backward(name):
    """The same gradients of all parameters, added to what is there; and no result."""
    layer, shape = every_kind()[name]
    other = copy.deepcopy(layer)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    dy = np.random.default_rng(1).standard_normal(layer(x).shape).astype(np.float32)
    other(x)
    for _ in range(2):
        layer.backward(dy)
        assert other.accumulate(dy) is None
    mine, theirs = dict(layer.named_parameters()), dict(other.named_parameters())
    assert mine.keys() == theirs.keys()
    for key, p in mine.items():
        assert p.grad.any()
        np.testing.assert_array_equal(p.grad, theirs[key].grad, err_msg=key)


def test_accumulate_is_tested_for_every_kind():
    """No layer of the book is forgotten."""
    kinds, open_ones = set(), [Layer]
    while open_ones:
        for kind in open_ones.pop().__subclasses__():
            open_ones.append(kind)
            if kind.__module__.startswith("cnnbook."):
                kinds.add(kind.__name__)
    tested = {
        type(m).__name__ for layer, _ in every_kind().values() for m in layer.modules()
    }
    assert kinds - tested <= {"Convolution"}


@pytest.mark.parametrize("name", ["Conv2d", "Conv1d", "Linear"])
def test_accumulate_before_forward(name):
    """It says what is missing, as backward does."""
    layer = {"Conv2d": Conv2d, "Conv1d": Conv1d}.get(name)
    layer = Linear(2, 2, rng=0) if layer is None else layer(2, 2, 1, rng=0)
    for net in (layer, Sequential(layer)):
        kind = type(net).__name__
        with pytest.raises(RuntimeError, match=f"^{kind}.backward: call the layer"):
            net.accumulate(np.zeros((1, 2)))


def test_linear_without_the_input_gradient():
    """dx is None, the others are the same."""
    rng = np.random.default_rng(0)
    dy, x, weight = (rng.standard_normal(s) for s in [(3, 2), (3, 4), (2, 4)])
    _, *expected = linear_backward(dy, x, weight)
    dx, *found = linear_backward(dy, x, weight, input_gradient=False)
    assert dx is None
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_training(dtype, monkeypatch):
    """Three steps on one, two and three threads, to rounding."""
    monkeypatch.setattr(threads, "SHORT", -1)  # all work is shared
    rng = np.random.default_rng(0)
    x = rng.random((6, 1, 28, 28)).astype(dtype)
    y = np.arange(6)
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            net = models.light_convnet(0).astype(dtype)
            step = optimizers.Adam(net.parameters(), eps=1e-3)
            for _ in range(3):
                logits = net(x)
                net.zero_grad()
                net.accumulate(losses.cross_entropy_backward(logits, y))
                step.step()
            results.append([net(x), *(p.data for p in net.parameters())])
    finally:
        threads.set_num_threads(before)
    tolerance = {np.float32: 1e-4, np.float64: 1e-11}[dtype]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            close(b, a, tolerance)


def test_a_window_of_margin_only_is_the_same_with_a_relu():
    """Nothing is minus infinity, and not zero, also behind a ReLU."""
    x = np.random.default_rng(0).standard_normal((1, 1, 2, 2))
    options = {"stride": 1, "padding": 1, "dilation": 3}
    together = Sequential(ReLU(), MaxPool2d(2, **options))(x)
    np.testing.assert_array_equal(together, MaxPool2d(2, **options)(relu(x)))
