"""Initializations: spread, bounds, biases, seeds."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnnbook import layers
from cnnbook.initialization import (
    draw_weights,
    fans,
    he_normal,
    he_uniform,
    small_normal,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from cnnbook.layers import (
    Conv2d,
    Layer,
    Linear,
    LocallyConnected2d,
    Parameter,
    ReLU,
    Residual,
    Sequential,
)
from cnnbook.losses import cross_entropy

FOLDER = Path(__file__).parent / "recorded"
FANS = json.loads((FOLDER / "training.json").read_text())["fans"]
DRAWS = (he_normal, he_uniform, xavier_normal, xavier_uniform, small_normal)


@pytest.mark.parametrize("name", FANS)
def test_fans_recorded(name):
    """Fan-in and fan-out are PyTorch's; so are the deviations and the bounds."""
    kind, arguments, options = FANS[name]
    layer = getattr(layers, kind)(*arguments, **options)
    with np.load(FOLDER / "training.npz") as archive:
        inward, outward, he, he_bound, xavier, xavier_bound = archive[f"fans/{name}"]
    shape = layer.weight.data.shape
    assert fans(shape) == (inward, outward)
    count = 20_000 // layer.weight.data.size + 1
    for draw, deviation, bound in (
        (he_normal, he, None),
        (he_uniform, he, he_bound),
        (xavier_normal, xavier, None),
        (xavier_uniform, xavier, xavier_bound),
        (small_normal, 0.01, None),
    ):
        rng = np.random.default_rng(5)
        drawn = np.array([draw(layer, rng).weight.data.copy() for _ in range(count)])
        assert abs(drawn.mean()) < 5 * deviation / np.sqrt(drawn.size)
        assert drawn.std() == pytest.approx(deviation, rel=5 / np.sqrt(drawn.size))
        largest = np.abs(drawn).max()
        if bound is None:
            assert largest > 3 * deviation  # a normal distribution has tails
            assert np.mean(np.abs(drawn) > 2 * deviation) == pytest.approx(
                0.0455, abs=0.008
            )
        else:
            assert 0.995 * bound < largest <= bound * (1 + 1e-6)
            counts, _ = np.histogram(drawn, 10, (-bound, bound))
            np.testing.assert_allclose(counts, drawn.size / 10, rtol=0.15)
        assert drawn.dtype == np.float32
        if layer.bias is not None:
            assert not layer.bias.data.any()


def test_fans_by_hand():
    """Windows count; the places of a locally connected layer don't."""
    assert fans((5, 7)) == (7, 5)
    assert fans((6, 4, 3)) == (12, 18)
    assert fans((8, 6, 3, 5)) == (90, 120)
    assert fans((8, 6, 3, 5, 10, 11)) == (90, 120)
    assert fans((0, 0)) == (1, 1)


def test_locally_connected():
    """Its biases have three axes, and become zero, too."""
    layer = LocallyConnected2d(4, 6, 9, 3, rng=0)
    he_normal(layer, 1)
    assert layer.weight.data.std() == pytest.approx((2 / 36) ** 0.5, rel=0.05)
    assert layer.bias.data.shape == (6, 7, 7)
    assert not layer.bias.data.any()


@pytest.mark.parametrize("draw", [*DRAWS, lambda layer, rng: zeros(layer)])
def test_every_layer_is_drawn(draw):
    """In a network with a residual block, too; dtypes and arrays stay."""
    model = Sequential(
        Linear(4, 4, rng=0), Residual(Linear(4, 4, rng=1), Linear(4, 4, rng=2))
    ).astype(np.float64)
    before, held = model.state_dict(), [p.data for p in model.parameters()]
    for p in model.parameters():
        p.grad += 1
    assert draw(model, 3) is model
    for (key, p), array in zip(model.named_parameters(), held, strict=True):
        assert p.data is array and p.data.dtype == np.float64
        assert np.all(p.data != before[key])
        assert p.data.any() == (key.endswith("weight") and draw in DRAWS)
        assert np.all(p.grad == 1)


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_by_seed(draw):
    """A seed or a generator decides."""

    def weights(rng):
        return draw(Linear(6, 4, rng=0), rng).weight.data

    np.testing.assert_array_equal(weights(5), weights(np.random.default_rng(5)))
    assert np.any(weights(5) != weights(6))
    assert np.any(weights(None) != weights(None))
    with pytest.raises(TypeError, match="^rng: "):
        weights("seed")


def test_small_normal_of_another_size():
    """The deviation is what it is told."""
    layer = small_normal(Linear(200, 200, rng=0), 0, 0.5)
    assert layer.weight.data.std() == pytest.approx(0.5, rel=0.02)
    layer = small_normal(Linear(200, 200, rng=0), 0, size=0)
    assert not layer.weight.data.any()


def test_zeros_learn_nothing():
    """All hidden numbers stay alike: a network of zeros has no gradients inside."""
    net = zeros(Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1)))
    net(np.ones((2, 3)))
    net.backward(np.ones((2, 2)))
    assert not net[0].weight.grad.any()
    assert not net[2].weight.grad.any()


def test_draw_weights_of_ones_own():
    """Any function of a shape will do; it is asked once per weight, in order."""
    asked = []

    def draw(shape):
        asked.append(shape)
        return np.full(shape, len(asked))

    net = draw_weights(Sequential(Linear(2, 3), Linear(3, 1, bias=False)), draw)
    assert asked == [(3, 2), (1, 3)]
    assert np.all(net[0].weight.data == 1) and np.all(net[1].weight.data == 2)


@pytest.mark.parametrize("seed", range(3))
def test_untrained_network_costs_log_ten(seed):
    """With small last weights, ten classes cost about log 10 at first."""
    rng = np.random.default_rng(seed)
    body = he_normal(Sequential(Linear(50, 80), ReLU()), rng)
    model = Sequential(body, small_normal(Linear(80, 10), rng))
    x = rng.normal(size=(200, 50)).astype(np.float32)
    loss = cross_entropy(model(x), rng.integers(0, 10, 200))
    assert loss == pytest.approx(np.log(10), abs=0.05)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (Linear(50, 400), 50),
        (Conv2d(3, 200, (5, 4)), 60),
        (Conv2d(6, 300, 5, groups=3), 50),
    ],
)
def test_spread(layer, fan_in):
    """Weights are normal with variance 2 / fan-in; biases are zero."""
    assert he_normal(layer, 3) is layer
    weights = layer.weight.data.ravel() * np.sqrt(fan_in / 2)
    assert abs(weights.mean()) < 5 / np.sqrt(weights.size)
    assert abs(weights.var() - 1) < 5 * np.sqrt(2 / weights.size)
    # 4.55% of a normal distribution lie outside of two deviations.
    assert np.mean(np.abs(weights) > 2) == pytest.approx(0.0455, abs=0.006)
    assert layer.weight.data.dtype == np.float32
    assert not layer.bias.data.any()


def test_keeps_the_signal():
    """Twenty layers deep, the size of the signal has stayed about the same."""
    net = Sequential(*(f for _ in range(20) for f in (Linear(200, 200), ReLU())))
    he_normal(net, 0)
    x = np.random.default_rng(1).normal(size=(50, 200)).astype(np.float32)
    ratio = np.mean(net(x) ** 2) / np.mean(x**2)
    assert 0.2 < ratio < 5


def test_nested_and_without_bias():
    """Every layer in a network is drawn; a missing bias is no trouble."""
    inner = Sequential(Conv2d(1, 2, 3, bias=False), ReLU())
    net = Sequential(inner, Sequential(Linear(4, 3)))
    before = net.state_dict()
    he_normal(net, 0)
    after = net.state_dict()
    assert list(after) == ["0.0.weight", "1.0.weight", "1.0.bias"]
    for key in ("0.0.weight", "1.0.weight"):
        assert not np.any(before[key] == after[key])
    assert not after["1.0.bias"].any()


def test_other_parameters_stay():
    """Only biases become zero; a scale of one axis is left alone."""

    class Scale(Layer):
        def __init__(self):
            self.scale = Parameter([1.0, 2.0])
            self.bias = Parameter([3.0, 4.0])

    layer = he_normal(Scale())
    assert layer.scale.data.tolist() == [1, 2]
    assert layer.bias.data.tolist() == [0, 0]


def test_seeds():
    """A seed or generator decides; the global generator is not touched."""

    def weights(rng):
        return he_normal(Linear(6, 4, rng=0), rng).weight.data

    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(weights(5), weights(5))
    generator = np.random.default_rng(5)
    np.testing.assert_array_equal(weights(generator), weights(5))
    assert np.any(weights(generator) != weights(5))
    assert np.any(weights(5) != weights(6))
    assert np.any(weights(None) != weights(None))
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, state)
