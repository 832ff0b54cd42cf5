"""The numbers that Stanford's course CS231n publishes on convolutions and poolings.

The arrays come from its second assignment (ConvolutionalNetworks.ipynb, unchanged
since 2016), the sizes and figures from its notes "Convolutional Neural Networks
(CNNs / ConvNets)", https://cs231n.github.io/convolutional-networks/.
"""

import numpy as np
import pytest

import cnnbook as cb
from cnnbook import backprop, convolution, fast, lowering, pooling

CONV1D = [convolution.conv1d, lowering.conv1d, fast.conv1d]
CONV2D = [convolution.conv2d, lowering.conv2d, fast.conv2d]
MAX_POOL2D = [pooling.max_pool2d, lowering.max_pool2d, fast.max_pool2d]
WAYS = ["loops", "products", "fast"]
BACKWARD = dict(zip(WAYS, (backprop, lowering, fast), strict=True))

# Assignment 2, "Convolution: Naive Forward Pass"
CONV_OUT = [
    [
        [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
        [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
        [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
    ],
    [
        [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
        [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
        [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
    ],
]
# Assignment 2, "Max-Pooling: Naive Forward Pass"
POOL_OUT = [
    [
        [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
        [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
        [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
    ],
    [
        [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
        [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
        [[0.32631579, 0.34105263], [0.38526316, 0.4]],
    ],
]
# size, kernel, stride, padding -> size
SIZES = {
    "a 3x3 filter on 7x7": ((7, 3, 1, 0), 5),
    "with stride 2": ((7, 3, 2, 0), 3),
    "the figure's left half": ((5, 3, 1, 1), 5),
    "its right half, and the demo": ((5, 3, 2, 1), 3),
    "without its zeros": ((5, 3, 1, 0), 3),
    "Krizhevsky's first layer": ((227, 11, 4, 0), 55),
    "the layer in NumPy": ((11, 5, 2, 0), 4),
    "F = 3, P = 1 keeps the size": ((224, 3, 1, 1), 224),
    "F = 5, P = 2 keeps the size": ((32, 5, 1, 2), 32),
    "the pooling in the figure": ((224, 2, 2, 0), 112),
    "pooling CIFAR-10": ((32, 2, 2, 0), 16),
    "a linear layer as a convolution": ((7, 7, 1, 0), 1),
    "the same on a larger image": ((12, 7, 1, 0), 6),
    "assignment 2, fast convolution": ((31, 3, 2, 1), 16),
    "assignment 2, pooling backward": ((8, 2, 2, 0), 4),
}
# "VGGNet in detail": the size and the channels after every layer, and its weights
VGG = """
    224x224x64 1,728    224x224x64 36,864    112x112x64 0
    112x112x128 73,728  112x112x128 147,456  56x56x128 0
    56x56x256 294,912   56x56x256 589,824    56x56x256 589,824    28x28x256 0
    28x28x512 1,179,648 28x28x512 2,359,296  28x28x512 2,359,296  14x14x512 0
    14x14x512 2,359,296 14x14x512 2,359,296  14x14x512 2,359,296  7x7x512 0
"""


def linspace(start, stop, shape):
    """Return an array of evenly spaced numbers."""
    return np.linspace(start, stop, num=np.prod(shape)).reshape(shape)


def rel_error(x, y):
    """Return the largest relative error, as the assignment measures it."""
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))


def course_gradient(f, x, dy, h=1e-5):
    """Return the gradient of sum(f(x) * dy), by the assignment's differences."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[place] = h
        gradient[place] = np.sum((f(x + step) - f(x - step)) * dy) / (2 * h)
    return gradient


def assert_published(y, published):
    """Check all eight decimals that are printed."""
    np.testing.assert_allclose(y, published, rtol=0, atol=0.5000001e-8)


@pytest.mark.parametrize("conv2d", CONV2D, ids=WAYS)
def test_assignment_convolution(conv2d):
    """The convolution of the assignment gives what it prints."""
    x, w = linspace(-0.1, 0.5, (2, 3, 4, 4)), linspace(-0.2, 0.3, (3, 3, 4, 4))
    b = np.linspace(-0.1, 0.2, num=3)
    assert_published(conv2d(x, w, b, stride=2, padding=1), CONV_OUT)


@pytest.mark.parametrize("max_pool2d", MAX_POOL2D, ids=WAYS)
def test_assignment_max_pooling(max_pool2d):
    """The pooling of the assignment gives what it prints."""
    x = linspace(-0.3, 0.4, (2, 3, 4, 4))
    assert_published(max_pool2d(x, 2, stride=2), POOL_OUT)


@pytest.mark.parametrize("way", WAYS)
def test_assignment_convolution_backward(way):
    """The gradients pass the assignment's check: "around e-8 or less"."""
    conv2d = dict(zip(WAYS, CONV2D, strict=True))[way]
    backward = BACKWARD[way].conv2d_backward
    rng = np.random.RandomState(231)
    shapes = [(4, 3, 5, 5), (2, 3, 3, 3), (2,), (4, 2, 5, 5)]
    x, w, b, dy = (rng.randn(*shape) for shape in shapes)
    dx, dw, db = backward(dy, x, w, stride=1, padding=1)

    def y(x, w, b):
        return conv2d(x, w, b, stride=1, padding=1)

    numbers = [
        course_gradient(lambda v: y(v, w, b), x, dy),
        course_gradient(lambda v: y(x, v, b), w, dy),
        course_gradient(lambda v: y(x, w, v), b, dy),
    ]
    for gradient, number in zip((dx, dw, db), numbers, strict=True):
        assert rel_error(gradient, number) < 1e-7


@pytest.mark.parametrize("way", WAYS)
def test_assignment_max_pooling_backward(way):
    """The gradient passes the assignment's check: "on the order of e-12"."""
    max_pool2d = dict(zip(WAYS, MAX_POOL2D, strict=True))[way]
    backward = BACKWARD[way].max_pool2d_backward
    rng = np.random.RandomState(231)
    x, dy = rng.randn(3, 2, 8, 8), rng.randn(3, 2, 4, 4)
    number = course_gradient(lambda v: max_pool2d(v, 2, stride=2), x, dy)
    assert rel_error(backward(dy, x, 2, stride=2), number) < 1e-11


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    """A size that the course works out is the size of the outputs."""
    (size, kernel, stride, padding), output = SIZES[name]
    assert cb.conv_output_size(size, kernel, stride, padding) == output
    signal, weight = np.zeros((1, size)), np.zeros((1, 1, kernel))
    for conv1d in CONV1D:
        assert conv1d(signal, weight, None, stride, padding).shape == (1, output)
    for max_pool2d in MAX_POOL2D:
        y = max_pool2d(signal[None], (1, kernel), (1, stride), (0, padding))
        assert y.shape == (1, 1, output)


def test_a_filter_that_does_not_fit():
    """Where the notes get (10 - 3) / 2 + 1 = 4.5, the half window is left out."""
    assert cb.conv_output_size(10, 3, stride=2) == 4


@pytest.mark.parametrize("conv1d", CONV1D, ids=WAYS)
def test_figure_of_a_stride(conv1d):
    """The figure on strides: a filter 1, 0, -1 over five numbers and two zeros."""
    x, weight = [[1, 2, -1, 1, -3]], [[[1, 0, -1]]]
    assert conv1d(x, weight, padding=1).tolist() == [[-2, 2, 1, 2, 1]]
    assert conv1d(x, weight, stride=2, padding=1).tolist() == [[-2, 1, 1]]


@pytest.mark.parametrize("max_pool2d", MAX_POOL2D, ids=WAYS)
def test_figure_of_max_pooling(max_pool2d):
    """The figure on max pooling: sixteen numbers become four."""
    x = [[[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]]
    assert max_pool2d(x, 2, stride=2).tolist() == [[[6, 8], [3, 4]]]


@pytest.mark.parametrize("conv2d", CONV2D, ids=WAYS)
def test_conv_layer_example(conv2d):
    """The "Conv Layer Example", where x counts rows and the channels come last."""
    rng = np.random.default_rng(0)
    X, W0, W1 = (rng.normal(size=s) for s in [(11, 11, 4), (5, 5, 4), (5, 5, 4)])
    b0, b1 = rng.normal(size=2)
    weight = np.stack([W0, W1]).transpose(0, 3, 1, 2)
    V = conv2d(X.transpose(2, 0, 1), weight, [b0, b1], stride=2).transpose(1, 2, 0)
    assert V.shape == (4, 4, 2)
    published = {
        (0, 0, 0): np.sum(X[:5, :5, :] * W0) + b0,
        (1, 0, 0): np.sum(X[2:7, :5, :] * W0) + b0,
        (2, 0, 0): np.sum(X[4:9, :5, :] * W0) + b0,
        (3, 0, 0): np.sum(X[6:11, :5, :] * W0) + b0,
        (0, 0, 1): np.sum(X[:5, :5, :] * W1) + b1,
        (1, 0, 1): np.sum(X[2:7, :5, :] * W1) + b1,
        (2, 0, 1): np.sum(X[4:9, :5, :] * W1) + b1,
        (3, 0, 1): np.sum(X[6:11, :5, :] * W1) + b1,
        (0, 1, 1): np.sum(X[:5, 2:7, :] * W1) + b1,
        (2, 3, 1): np.sum(X[4:9, 6:11, :] * W1) + b1,
    }
    for place, number in published.items():
        np.testing.assert_allclose(V[place], number, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("conv1d", CONV1D, ids=WAYS)
def test_dilated_convolution(conv1d):
    """The notes' dilation 1 is our 2: w[0] x[0] + w[1] x[2] + w[2] x[4]."""
    x, w = [1, 10, 100, 1000, 10000], [2, 3, 5]
    assert conv1d([x], [[w]], dilation=2).tolist() == [[2 + 300 + 50000]]


def test_krizhevsky_as_a_product():
    """The first layer of 2012 as a product of matrices, with its numbers."""
    images = np.zeros((3, 227, 227))
    columns = cb.im2col(images, 11, stride=4)
    assert columns.shape == (363, 3025)
    layer = cb.Conv2d(3, 96, 11, stride=4, rng=0)
    rows = layer.weight.data.reshape(96, -1)
    assert rows.shape == (96, 363)
    assert (rows @ columns).shape == (96, 3025)
    assert layer(images).shape == (96, 55, 55)
    assert layer(images).size == 290_400
    assert layer(images).size * (rows.shape[1] + 1) == 105_705_600
    assert layer.weight.data.size == 34_848
    assert cb.parameter_count(layer) == 34_944


def test_vggnet():
    """Every convolution and pooling of the notes' VGGNet has its size and weights."""
    size, channels = 224, 3
    words = VGG.split()
    for volume, weights in zip(words[::2], words[1::2], strict=True):
        after, _, filters = map(int, volume.split("x"))
        if weights == "0":
            size = cb.conv_output_size(size, 2, stride=2)
            assert filters == channels
        else:
            size = cb.conv_output_size(size, 3, stride=1, padding=1)
            layer = cb.Conv2d(channels, filters, 3, padding=1, bias=False, rng=0)
            assert cb.parameter_count(layer) == int(weights.replace(",", ""))
            channels = layer.out_channels
        assert size == after
