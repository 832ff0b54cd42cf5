"""He initialization: spread, biases, seeds."""

import numpy as np
import pytest

from cnnbook.initialization import he_normal
from cnnbook.layers import Conv2d, Layer, Linear, Parameter, ReLU, Sequential


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
