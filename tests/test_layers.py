"""Layers beside PyTorch's: outputs, gradients, weights by name."""

from pathlib import Path

import numpy as np
import pytest

from cnnbook.layers import (
    AvgPool2d,
    Conv2d,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Parameter,
    ReLU,
    Sequential,
    check_layer,
    linear,
    linear_backward,
    relu,
    relu_backward,
)

# Name: our layer, the class and arguments of PyTorch's, a shape to try.
TWINS = {
    "conv": (Conv2d, (2, 4, 3), {}, (3, 2, 7, 6)),
    "conv strided": (
        Conv2d,
        (2, 3, (3, 2)),
        {"stride": (2, 3), "padding": (1, 2)},
        (2, 2, 8, 9),
    ),
    "conv dilated": (Conv2d, (1, 2, 3), {"dilation": (1, 2)}, (2, 1, 6, 8)),
    "conv groups": (
        Conv2d,
        (4, 6, 3),
        {"groups": 2, "padding": 1, "bias": False},
        (2, 4, 5, 4),
    ),
    "conv same": (Conv2d, (2, 2, 3), {"padding": "same"}, (2, 2, 5, 6)),
    "conv valid": (Conv2d, (2, 2, 3), {"padding": "valid"}, (2, 2, 5, 6)),
    "max pool": (MaxPool2d, (2,), {}, (2, 3, 7, 6)),
    "max pool overlapping": (
        MaxPool2d,
        ((3, 2),),
        {"stride": (2, 1), "padding": 1, "dilation": (1, 2)},
        (2, 2, 7, 8),
    ),
    "max pool ceil": (MaxPool2d, (3, 2), {"ceil_mode": True}, (2, 2, 8, 8)),
    "average pool": (AvgPool2d, (2,), {}, (2, 3, 7, 6)),
    "average pool clipped": (
        AvgPool2d,
        (3,),
        {"stride": 2, "padding": 1, "count_include_pad": False},
        (2, 2, 7, 6),
    ),
    "average pool ceil": (AvgPool2d, (3, 2), {"ceil_mode": True}, (1, 2, 8, 6)),
    "linear": (Linear, (6, 4), {}, (5, 6)),
    "linear without bias": (Linear, (3, 2), {"bias": False}, (4, 3)),
    "relu": (ReLU, (), {}, (3, 4, 5)),
    "flatten": (Flatten, (), {}, (3, 2, 4, 5)),
}


def make(name, **more):
    """Return our layer of a twin, and an input shape."""
    kind, args, options, shape = TWINS[name]
    return kind(*args, **options, **more), shape


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


def as_float64(layer):
    """Turn all weights of a layer into float64."""
    for p in layer.parameters():
        p.data = p.data.astype(np.float64)
        p.grad = np.zeros_like(p.data)
    return layer


@pytest.fixture(scope="module")
def recorded():
    """Return what PyTorch gave."""
    path = Path(__file__).parent / "recorded" / "training.npz"
    with np.load(path) as archive:
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
    model = as_float64(network())
    own = {k: v.shape for k, v in model.state_dict().items()}
    assert own == {k: v.shape for k, v in state.items()}
    model.load_state_dict(state)
    close(model(r["x"]), r["y"])
    close(model.backward(r["dy"]), r["dx"])
    for name, parameter in model.named_parameters():
        close(parameter.grad, r[f"grad/{name}"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TWINS)
def test_live(torch, name, dtype):
    """Random inputs: outputs, gradients, names, weights there and back."""
    rng = np.random.default_rng(len(name))
    layer, shape = make(name, **({"rng": 1} if "conv" in name else {}))
    kind, args, options, _ = TWINS[name]
    twin = getattr(torch.nn, kind.__name__)(*args, **options)
    tolerance = 1e-12
    if dtype == np.float64:
        as_float64(layer)
        twin = twin.double()
    else:
        tolerance = 1e-5
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


# Gradients and inputs


@pytest.mark.parametrize("name", ["conv", "conv groups", "linear"])
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
        np.testing.assert_allclose(p.grad, factor * first, rtol=1e-5, atol=1e-6)
    held = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    for p, grad in zip(layer.parameters(), held, strict=True):
        assert p.grad is grad
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
    with pytest.raises(RuntimeError, match=type(layer).__name__):
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


# Construction


@pytest.mark.parametrize(
    ("make_layer", "fan_in"),
    [
        (lambda rng: Linear(30, 200, rng=rng), 30),
        (lambda rng: Conv2d(4, 60, (3, 5), groups=2, rng=rng), 30),
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
        (lambda: Flatten()(np.ones(3)), ValueError, "^x"),
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


@pytest.mark.parametrize("name", [n for n in TWINS if n != "flatten"])
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
